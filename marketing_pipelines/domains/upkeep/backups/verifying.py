"""The proof that a backup can be restored: it is, into a cluster that is thrown away."""

import contextlib
import datetime as dt
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import make_url

from marketing_pipelines.domains.upkeep.backups.contents import FILES_BETWEEN_WORDS, Say
from marketing_pipelines.domains.upkeep.backups.databases import (
    damaged,
    is_whole,
    load_dump,
    make_reader,
)
from marketing_pipelines.domains.upkeep.backups.dumps import PostgresTools
from marketing_pipelines.domains.upkeep.backups.fingerprints import differences, fingerprints
from marketing_pipelines.domains.upkeep.backups.restoring import bring_up_to_date, require_usable
from marketing_pipelines.domains.upkeep.erasing.restoring import apply_erasures
from marketing_pipelines.failures import BadInputError, ConfigurationError, StoreUnavailableError
from marketing_pipelines.secret_keys import secret_key
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.backups import Backup, BackupStore, hash_of, object_path
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine, database_url

FOLDER = "backup-verification"


@dataclass
class Verified:
    """The result of a verification; the backup is good if there are no problems."""

    backup: Backup
    tables: int = 0
    rows: int = 0
    files: int = 0
    erased: int = 0
    problems: list[str] = field(default_factory=list)


def verify(settings: Settings, backup_id: str, *, now: dt.datetime, say: Say) -> Verified:
    """Restores a backup into a temporary cluster in the data folder, and compares everything.

    Tables are compared as they were restored; then the schema is brought up to date, as a restore
    does it, and the erasures of the store are applied.

    Raises:
        BadInputError: there is no such backup.
        ConfigurationError: a setting must be changed first.
        StoreUnavailableError: a store fails, the disk is full, or another verification works.
    """
    store = BackupStore.of(settings)
    backup = store.read(backup_id)
    require_usable(backup, settings)
    tools = PostgresTools(settings)
    done = Verified(backup)
    _compare_files(store, done, say)
    lost = [one for one in backup.databases.values() if not is_whole(store, backup, one)]
    if lost:
        done.problems += [damaged(store, backup, dump) for dump in lost]
        return done
    with _temporary_cluster(settings) as cluster:
        _refuse_older_server(cluster, backup)
        temporary = settings.model_copy(
            update={
                "data_dir": cluster.data_dir,
                "database_url": None,
                "dagster_database_url": None,
                "lake_url": None,
                "files_url": None,
                # The key of the hashes of erased persons is encrypted with it.
                "secret_key": secret_key(settings),
            }
        )
        make_reader(database_url(temporary))
        for name, dump in backup.databases.items():
            say(f"database {name}")
            url = database_url(temporary).set(database=name)
            try:
                load_dump(store, backup, dump, tools, url, say)
            except BadInputError as error:
                done.problems.append(str(error))
                continue
            with create_engine(url).connect() as connection:
                found = fingerprints(connection)
            done.tables += len(found)
            done.rows += sum(table.rows for table in found.values())
            done.problems += [
                f"Table {table} of database {name} {how}."
                for table, how in differences(dump.tables, found).items()
            ]
        if not done.problems:
            url = database_url(temporary)
            bring_up_to_date(url, temporary, backup)
            replayed = apply_erasures(create_engine(url), temporary, now=now)
            done.erased = len(replayed.erased)
            done.problems += [f"A restore cannot do an {one}" for one in replayed.failed]
    return done


def _compare_files(store: BackupStore, done: Verified, say: Say) -> None:
    """Compares every object of a backup with its name and size; each is read once."""
    stored = store.objects()
    read = set[bytes]()
    for entry in store.listed(done.backup):
        digest = bytes.fromhex(entry.object)
        done.files += 1
        if done.files % FILES_BETWEEN_WORDS == 0:
            say(f"{done.files:,} of {done.backup.file_count:,} files")
        if digest in read:
            continue
        read.add(digest)
        if problem := _problem_of(store, entry.object, entry.size, stored.get(digest)):
            done.problems.append(
                f"{object_path(entry.object)}, the {entry.kind} file {entry.path}, {problem}."
            )


def _problem_of(store: BackupStore, digest: str, size: int, stored: int | None) -> str | None:
    if stored is None:
        return "is missing"
    if stored != size:
        return f"has {stored:,} bytes, not {size:,}"
    try:
        with store.files.reading(object_path(digest)) as file:
            return None if hash_of(file) == digest else "has another content"
    except FileNotFoundError:
        return "is missing"


def _refuse_older_server(cluster: EmbeddedPostgres, backup: Backup) -> None:
    newest = max(dump.server_version for dump in backup.databases.values()) // 10_000
    own = cluster.status().version or 0
    if own < newest:
        raise ConfigurationError(
            f"The backup is of PostgreSQL {newest} and the temporary server of PostgreSQL {own}: "
            f"set MARKETING_POSTGRES_BIN to the `bin` folder of PostgreSQL {newest}."
        )


@contextlib.contextmanager
def _temporary_cluster(settings: Settings) -> Iterator[EmbeddedPostgres]:
    """A server with empty databases in the data folder; that of a killed process goes first."""
    folder = settings.data_dir / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(settings) as is_free:
        if not is_free:
            raise StoreUnavailableError(f"Another verification works in '{folder}': wait for it.")
        cluster = EmbeddedPostgres(folder, settings.postgres_bin)
        _destroy(cluster)
        try:
            with cluster.using():
                _spare_the_disk(cluster)
                yield cluster
        finally:
            _destroy(cluster)


@dataclass(frozen=True)
class LeftFolder:
    """The folder of a verification that was killed, with its server."""

    path: Path
    since: dt.datetime
    remove: Callable[[], None]


@contextlib.contextmanager
def left_folder(settings: Settings) -> Iterator[LeftFolder | None]:
    """The folder that a killed verification left; None: there is none, or it is used."""
    folder = settings.data_dir / FOLDER
    if not folder.is_dir():
        yield None
        return
    with _locked(settings) as is_free:
        since = dt.datetime.fromtimestamp(folder.stat().st_mtime, dt.UTC)
        cluster = EmbeddedPostgres(folder, settings.postgres_bin)
        yield LeftFolder(folder, since, lambda: _destroy(cluster)) if is_free else None


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[bool]:
    """Takes the lock of the folder; False: another verification works in it."""
    handle = os.open(settings.data_dir / f"{FOLDER}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def _spare_the_disk(cluster: EmbeddedPostgres) -> None:
    """Lets a server that is thrown away wait for no write."""
    url = make_url(cluster.url("postgres", driver="psycopg"))
    with create_engine(url).connect() as connection:
        own = connection.execution_options(isolation_level="AUTOCOMMIT")
        for setting in ("fsync", "full_page_writes"):
            own.exec_driver_sql(f"alter system set {setting} = off")
        own.exec_driver_sql("select pg_reload_conf()")


def _destroy(cluster: EmbeddedPostgres) -> None:
    if cluster.data_dir.is_dir():
        cluster.stop(force=True)
        home = cluster.pgdata.parent
        shutil.rmtree(cluster.pgdata, ignore_errors=True)
        shutil.rmtree(cluster.data_dir, ignore_errors=True)
        if home != cluster.data_dir:
            # As root the cluster lies outside the data folder.
            shutil.rmtree(home, ignore_errors=True)
