"""Raw mail in files, each noted before it is written, so that one that no row names is found.

The rows that name files are committed after the files are written. A process that is killed in
between, or a mail that another copy is stored for, leaves a file and its note; the next run removes
the file. Runs follow one another under the lock of the job, so that no file is on its way to a row
meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.inbox.mails import Mail
from marketing_pipelines.domains.inbox.statements import statement
from marketing_pipelines.domains.inbox.tables import raw_files
from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.files import FileStore

# The folder of raw mail in the store of files.
RAW_MAIL = "mail"
# Files that one statement looks up.
BATCH = 500


@dataclass(frozen=True)
class RawFile:
    """A mail as it arrived, and its place, which follows from the content."""

    organization_id: int
    mail: Mail
    content: bytes

    @property
    def path(self) -> str:
        digest = self.mail.content_hash
        return f"{RAW_MAIL}/{self.organization_id}/{digest[:2]}/{digest}.eml"


def write_raw(tick: Tick, store: FileStore, files: Sequence[RawFile]) -> None:
    """Notes files in a transaction of its own, then writes them.

    Raises:
        StoreUnavailableError: one cannot be written.
    """
    if not files:
        return
    notes = [
        {
            "path": one.path,
            "organization_id": one.organization_id,
            "identity": one.mail.identity,
        }
        for one in files
    ]
    with tick.begin(isolation="read committed") as connection:
        connection.execute(pg.insert(raw_files).values(notes).on_conflict_do_nothing())
    for one in files:
        store.write(one.path, one.content)


def forget_named(connection: sa.Connection, paths: Sequence[str]) -> None:
    """Removes the notes of files that rows name."""
    if paths:
        connection.execute(statement("forget_named_files"), {"paths": paths})


def remove_unnamed(tick: Tick, store: FileStore) -> None:
    """Removes the files that earlier runs noted and no row names.

    Only the holder of the job's lock may call it, before it reads mail. A file that cannot be
    removed stays until the next run, and stops nothing.
    """
    while True:
        with tick.begin(isolation="read committed") as connection:
            noted = sa.select(raw_files.c.path).order_by(raw_files.c.path).limit(BATCH)
            paths = connection.execute(noted).scalars().all()
            forget_named(connection, paths)
            unnamed = connection.execute(noted.where(raw_files.c.path.in_(paths))).scalars().all()
        try:
            for path in unnamed:
                store.remove(path)
        except StoreUnavailableError as error:
            tick.metadata["raw_files_not_removed"] = str(error)
            return
        with tick.begin(isolation="read committed") as connection:
            connection.execute(sa.delete(raw_files).where(raw_files.c.path.in_(unnamed)))
        if len(paths) < BATCH:
            return
