"""One backup: both databases as of a snapshot, and the files that belong to them."""

import contextlib
import datetime as dt
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.upkeep.backups import keeping
from marketing_pipelines.domains.upkeep.backups.contents import (
    Contents,
    Say,
    copy_files,
    missing_objects,
)
from marketing_pipelines.domains.upkeep.backups.dumps import PostgresTools
from marketing_pipelines.domains.upkeep.backups.fingerprints import fingerprints
from marketing_pipelines.domains.upkeep.backups.secrets import probes_of
from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.backups import (
    BACKUPS,
    FINISHED,
    ID_FORMAT,
    SETTING,
    STARTED,
    Backup,
    BackupStore,
    Dump,
    copy_hashed,
    started_json,
)
from marketing_pipelines.stores.postgres import cancel, create_engine, dagster_database_url
from marketing_pipelines.stores.schema import (
    analysts_see_attributes,
    ensure_database,
    installation_id,
)

JOB = "upkeep/backup"
OPERATIONAL, DAGSTER = "marketing", "dagster"
_SCHEMA = sa.text("select version_num from public.alembic_version")
_UNLIMITED = sa.text(
    "select set_config(name, '0', true) from unnest(array['statement_timeout',"
    " 'idle_in_transaction_session_timeout']) as name"
)


@dataclass(frozen=True)
class Taken:
    """A finished backup, with what its files added to the store and what was removed since."""

    backup: Backup
    contents: Contents
    removed: keeping.RemovedBackups

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers that the job reports."""
        return {
            "tables": sum(len(dump.tables) for dump in self.backup.databases.values()),
            "bytes of databases": sum(dump.size for dump in self.backup.databases.values()),
            "files": self.contents.count,
            "bytes of files": self.contents.size,
            "new objects": self.contents.new_objects,
            "bytes of new objects": self.contents.new_bytes,
            "files that were gone": self.contents.missing,
            "replaced hours": len(self.contents.replaced_hours),
            "removed backups": self.removed.backups,
            "removed objects": self.removed.objects,
            "damaged backups": len(self.removed.damaged),
        }


def take_backup(engine: sa.Engine, settings: Settings, at: dt.datetime, *, say: Say) -> Taken:
    """Takes a backup, then removes those that are no longer kept.

    The caller holds the lock of `JOB`, so that a started backup of this database that is not
    finished is one whose process died.

    Args:
        engine: The operational database.
        at: The instant that the backup is named after.
        say: Gets lines of progress.

    Raises:
        ConfigurationError: a setting must be changed first.
        StoreUnavailableError: a database or the store failed; no backup was made.
    """
    store = BackupStore.of(settings)
    tools = PostgresTools(settings)
    ensure_database(dagster_database_url(settings))
    with engine.connect() as connection:
        store.claim(installation_id(connection))
        server = keeping.server_identity(connection)
    keeping.remove_unfinished(store, server, at)
    backup_id = _new_id(store, at)
    folder = f"{BACKUPS}/{backup_id}"
    store.files.write(f"{folder}/{STARTED}", started_json(server, at))
    try:
        backup, contents = _copy(engine, settings, store, tools, backup_id, at, say)
        if missing := missing_objects(store, folder):
            raise StoreUnavailableError(
                f"{len(missing)} objects at {store.files.url} are gone since they were copied, the "
                f"first {missing[0]}: let no two servers with the same {SETTING} take backups."
            )
        store.files.write(f"{folder}/{FINISHED}", backup.as_json())
    except BaseException:
        with contextlib.suppress(Exception):
            store.remove(backup_id)
        raise
    say("removing what is no longer kept")
    return Taken(backup, contents, keeping.remove_old(store, settings.zone, server, at))


def _new_id(store: BackupStore, at: dt.datetime) -> str:
    """The instant, as `20261130T040000Z`; a second backup of it ends in `-2`, and so on."""
    name = f"{at.astimezone(dt.UTC):{ID_FORMAT}}"
    numbers = [
        int(one.removeprefix(name).removeprefix("-") or 1)
        for one in store.ids()
        if re.fullmatch(rf"{name}(-\d+)?", one)
    ]
    return f"{name}-{max(numbers) + 1}" if numbers else name


def _copy(
    engine: sa.Engine,
    settings: Settings,
    store: BackupStore,
    tools: PostgresTools,
    backup_id: str,
    at: dt.datetime,
    say: Say,
) -> tuple[Backup, Contents]:
    folder = f"{BACKUPS}/{backup_id}"
    dagster_url = dagster_database_url(settings).set(drivername="postgresql+psycopg")
    say("database dagster")
    with _snapshot(create_engine(dagster_url)) as (connection, snapshot):
        dagster = _dump(connection, snapshot, store, tools, folder, DAGSTER, say)
    say("database marketing")
    with _snapshot(engine) as (connection, snapshot):
        marketing = _dump(connection, snapshot, store, tools, folder, OPERATIONAL, say)
        say(f"databases are copied, {(dagster.size + marketing.size) / 1e6:,.1f} MB; files")
        contents = copy_files(connection, store, settings, folder, say)
        backup = Backup(
            id=backup_id,
            taken_at=at,
            release=version("marketing-pipelines"),
            schema=str(connection.execute(_SCHEMA).scalar_one()),
            timezone=settings.timezone,
            installation=str(installation_id(connection)),
            analyst_attributes=analysts_see_attributes(connection),
            databases={OPERATIONAL: marketing, DAGSTER: dagster},
            files_sha256=contents.sha256,
            file_count=contents.count,
            file_bytes=contents.size,
            replaced_hours=contents.replaced_hours,
            secret_keys=probes_of(connection, settings),
        )
    return backup, contents


@contextlib.contextmanager
def _snapshot(engine: sa.Engine) -> Iterator[tuple[sa.Connection, str]]:
    """A connection in a snapshot, and the snapshot's name for others."""
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        # It is silent while large files are copied.
        connection.execute(_UNLIMITED)
        yield connection, connection.execute(sa.select(sa.func.pg_export_snapshot())).scalar_one()


def _dump(
    connection: sa.Connection,
    snapshot: str,
    store: BackupStore,
    tools: PostgresTools,
    folder: str,
    name: str,
    say: Say,
) -> Dump:
    """Dumps a database; the content of its tables is summed up meanwhile."""
    number = int(connection.exec_driver_sql("show server_version_num").scalar_one())
    tools.require_for(number)
    driver: Any = connection.connection.driver_connection
    file = f"{name}.dump"
    with ThreadPoolExecutor(1) as threads:
        summing = threads.submit(fingerprints, connection)
        try:
            with (
                store.files.writing(f"{folder}/{file}") as target,
                tools.dumping(connection.engine.url, snapshot, number) as source,
            ):
                digest, size = copy_hashed(source, target, say)
            tables = summing.result()
        except BaseException:
            cancel(driver)
            raise
    return Dump(file, size, digest, number, tables)


@contextlib.contextmanager
def backup_lock(engine: sa.Engine) -> Iterator[bool]:
    """Takes the lock of the job; False: a backup of this database is being taken."""
    with engine.connect() as connection:
        taken = locks.try_lock(connection, JOB)
        connection.commit()
        try:
            yield taken
        finally:
            if taken:
                locks.unlock_all(connection, JOB, [locks.WHOLE_JOB])
