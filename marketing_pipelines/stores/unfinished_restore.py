"""The mark of a restore that is not finished, which lies in the restored database itself.

It is written before the database takes its place and removed when all files are back: in between
only the next restore works on it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.stores.tables import installation


@dataclass(frozen=True)
class UnfinishedRestore:
    """A restore that ended before its last step.

    Attributes:
        backup_id: The backup that it restores.
        replace: True if it gives up the lake and the files that were there.
        failed: Sentences on persons that it could not erase.
    """

    backup_id: str
    replace: bool
    failed: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """The refusal of everything but a restore."""
        again = f"`marketing-pipelines backup restore {self.backup_id}`"
        if not self.failed:
            return (
                f"The restore of backup {self.backup_id} into this database is not finished: run "
                f"{again} again."
            )
        more = f" and {len(self.failed) - 1} more" if self.failed[1:] else ""
        return (
            f"The restore of backup {self.backup_id} could not erase persons who were erased since "
            f"({self.failed[0].rstrip('.')}{more}): remove the reason, then run {again} again."
        )


def mark(connection: sa.Connection, restore: UnfinishedRestore | None) -> None:
    """Writes the mark, or removes it."""
    value = sa.null() if restore is None else asdict(restore)
    connection.execute(sa.update(installation).values(unfinished_restore=value))


def found(connection: sa.Connection) -> UnfinishedRestore | None:
    """The mark of a database, of any release; None: it has none, or no tables."""
    if connection.execute(_EXISTS).scalar_one() is None:
        return None
    # A database of an older release has no such column.
    value: dict[str, Any] | None = connection.execute(_MARK).scalar()
    return None if value is None else UnfinishedRestore(**value)


def require_finished(connection: sa.Connection) -> None:
    """Refuses a database of this release whose restore is not finished.

    Raises:
        ConfigurationError: it is one.
    """
    value = connection.execute(sa.select(installation.c.unfinished_restore)).scalar()
    connection.rollback()
    if value is not None:
        raise ConfigurationError(UnfinishedRestore(**value).sentence)


_EXISTS = sa.text("select to_regclass('ops.installation')")
_MARK = sa.text(
    "select nullif(to_jsonb(installation) -> 'unfinished_restore', 'null')"
    " from ops.installation as installation"
)
