"""The databases that a restore replaces: made next to them, renamed into their place at the end."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import URL

from marketing_pipelines.domains.upkeep.backups.contents import Say
from marketing_pipelines.domains.upkeep.backups.dumps import PostgresTools, has_statistics
from marketing_pipelines.failures import BadInputError, ConfigurationError, StoreUnavailableError
from marketing_pipelines.stores import locks, unfinished_restore
from marketing_pipelines.stores.backups import (
    BACKUPS,
    Backup,
    BackupStore,
    Dump,
    copy_hashed,
    hash_of,
)
from marketing_pipelines.stores.postgres import connecting, create_engine
from marketing_pipelines.stores.unfinished_restore import UnfinishedRestore

_TABLES = sa.text("""
    select count(*)
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    where relkind in ('r', 'p') and nspname <> 'information_schema' and nspname not like 'pg\\_%'
""")
_OTHERS = sa.text("""
    select datname, usename, coalesce(nullif(application_name, ''), 'unnamed') as application
    from pg_stat_activity
    where datname = any(:databases) and pid <> pg_backend_pid() and backend_type = 'client backend'
    order by 1, 2, 3
""")
# The comment on a database of a restore, before its instant.
NOTE = "of a restore of marketing-pipelines, begun at "
_NOTED = sa.text("""
    select datname, substr(comment, length(:note) + 1) as begun_at
    from pg_database, shobj_description(pg_database.oid, 'pg_database') as comment
    where datname = any(:names) and starts_with(comment, :note)
    order by 1
""")
_READER = sa.text("""
    do $$ begin
        if not exists (select from pg_roles where rolname = 'marketing_reader') then
            create role marketing_reader login;
            alter role marketing_reader set default_transaction_read_only = on;
            alter role marketing_reader set statement_timeout = '5min';
        end if;
    end $$
""")


@dataclass(frozen=True)
class DatabasePlace:
    """A database that is restored.

    Attributes:
        name: `marketing` or `dagster`, as in the backup.
        url: Its address, for our engine.
    """

    name: str
    url: URL

    @property
    def database(self) -> str:
        """Its name on the server."""
        return str(self.url.database)

    @property
    def restoring(self) -> URL:
        """The address of the copy that is being made."""
        return self.url.set(database=f"{self.database}_restoring")

    @property
    def replaced(self) -> str:
        """The name that the former database has until it is removed."""
        return f"{self.database}_replaced"

    @property
    def others(self) -> list[str]:
        """The names of the databases that only a restore makes."""
        return [str(self.restoring.database), self.replaced]

    @property
    def lock(self) -> str:
        """The name of the lock that a restore holds, in the maintenance database."""
        return f"restore of {self.database}"

    @property
    def server(self) -> tuple[object, ...]:
        """The server, for comparing."""
        query = self.url.query
        return (self.url.host, self.url.port, query.get("host"), query.get("port"))


class RestoreServer:
    """The maintenance connection to the server of some places."""

    def __init__(self, connection: sa.Connection, places: Sequence[DatabasePlace]) -> None:
        self._connection = connection
        self.places = places
        self._quote = connection.dialect.identifier_preparer.quote_identifier

    @classmethod
    @contextlib.contextmanager
    def of(cls, places: Sequence[DatabasePlace]) -> Iterator["RestoreServer"]:
        """Connects to the server; nothing else restores the places meanwhile.

        Raises:
            StoreUnavailableError: it does not answer, or another restore works on a place.
        """
        url = places[0].url.set(database="postgres")
        with connecting(url), create_engine(url).connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            for place in places:
                if not locks.try_lock(connection, place.lock):
                    raise StoreUnavailableError(
                        f"Another restore works on the database {place.database}: wait for it."
                    )
            yield cls(connection, places)

    def unfinished(self, place: DatabasePlace) -> UnfinishedRestore | None:
        """The mark of a restore into the operational database that is not finished."""
        if not self._exists(place.database):
            return None
        with create_engine(place.url).connect() as connection:
            return unfinished_restore.found(connection)

    def require_usable(self, backup: Backup, *, replace: bool) -> None:
        """Refuses an older server than the backup's, one in use, and databases that would be lost.

        Raises:
            ConfigurationError: the server is older.
            BadInputError: a database is not empty and is not to be replaced.
            StoreUnavailableError: others are connected.
        """
        own = int(self._connection.exec_driver_sql("show server_version_num").scalar_one())
        for place in self.places:
            made_by = backup.databases[place.name].server_version
            if own // 10_000 < made_by // 10_000:
                raise ConfigurationError(
                    f"The backup is of PostgreSQL {made_by // 10_000} and the server of "
                    f"PostgreSQL {own // 10_000}: restore into PostgreSQL {made_by // 10_000}."
                )
            for name in place.others:
                if self._is_of_others(place, name):
                    raise BadInputError(
                        f"The database {name} is none of a restore and has the name of one: rename "
                        "it."
                    )
        self.require_unused()
        for place in [] if replace else self.places:
            if self._exists(place.database) and self._tables(place.url):
                raise BadInputError(
                    f"The database {place.database} is not empty: restore into another data "
                    "folder or server, or give --replace to lose what it holds."
                )

    def _is_of_others(self, place: DatabasePlace, name: str) -> bool:
        """Returns true if a database with the name of a restore's is none, and would be lost.

        An empty one without a note is what a restore leaves that is killed after `create database`.
        """
        if not self._exists(name) or name in _noted(self._connection, place):
            return False
        return self._tables(place.url.set(database=name)) > 0

    def require_unused(self) -> None:
        """Refuses databases that others are connected to.

        Raises:
            StoreUnavailableError: one has other connections.
        """
        names = [place.database for place in self.places]
        others = self._connection.execute(_OTHERS, {"databases": names}).all()
        if others:
            first = others[0]
            raise StoreUnavailableError(
                f"{len(others)} other connections use the databases, the first as "
                f"{first.application} (role {first.usename}, database {first.datname}): end `up`, "
                "workers, the API and every other program."
            )

    def restore(
        self,
        place: DatabasePlace,
        store: BackupStore,
        backup: Backup,
        tools: PostgresTools,
        now: dt.datetime,
        say: Say,
    ) -> None:
        """Makes the copy of a database next to it.

        Args:
            now: The instant since which it counts as left.

        Raises:
            BadInputError: its dump is missing or another one than the backup says.
            StoreUnavailableError: `pg_restore` failed.
        """
        name = self._quote(str(place.restoring.database))
        try:
            make_reader(self._connection.engine.url)
            # A killed restore may have left it, and a `pg_restore` that goes on.
            self._connection.exec_driver_sql(f"drop database if exists {name} with (force)")
            self._connection.exec_driver_sql(f"create database {name}")
            self._note(self._connection, str(place.restoring.database), now)
        except sa.exc.ProgrammingError as error:
            raise ConfigurationError(
                f"Role {place.url.username} may not create databases and roles on this server: run "
                f"`alter role {place.url.username} createdb createrole` as a superuser."
            ) from error
        self._connection.exec_driver_sql(f"revoke temporary on database {name} from public")
        load_dump(store, backup, backup.databases[place.name], tools, place.restoring, say)

    def swap(self, now: dt.datetime) -> None:
        """Renames the copies into the places, all or none, and removes the former databases.

        Raises:
            StoreUnavailableError: somebody has connected to one of them.
        """
        self._drop_replaced()
        try:
            with create_engine(self._connection.engine.url).begin() as connection:
                for place in self.places:
                    own, restoring = place.database, str(place.restoring.database)
                    if self._exists(own):
                        self._note(connection, own, now)
                        self._rename(connection, own, place.replaced)
                    self._note(connection, restoring, None)
                    self._rename(connection, restoring, own)
        except sa.exc.OperationalError as error:
            self.require_unused()
            raise StoreUnavailableError(
                f"The restored databases cannot take their place ({error.orig}): restore again."
            ) from error
        self._drop_replaced()

    def _rename(self, connection: sa.Connection, old: str, new: str) -> None:
        connection.exec_driver_sql(
            f"alter database {self._quote(old)} rename to {self._quote(new)}"
        )

    def _note(self, connection: sa.Connection, database: str, begun_at: dt.datetime | None) -> None:
        """Notes on a database that it is one of a restore, and since when; None: it is not."""
        text = "null" if begun_at is None else f"'{NOTE}{begun_at.astimezone(dt.UTC).isoformat()}'"
        connection.exec_driver_sql(f"comment on database {self._quote(database)} is {text}")

    def drop(self, database: str) -> None:
        """Removes a database of a restore, with its connections."""
        self._connection.exec_driver_sql(f"drop database if exists {self._quote(database)} (force)")

    def _drop_replaced(self) -> None:
        for place in self.places:
            self.drop(place.replaced)

    def _exists(self, database: str) -> bool:
        found = self._connection.execute(
            sa.text("select count(*) from pg_database where datname = :name"), {"name": database}
        )
        return bool(found.scalar_one())

    def _tables(self, url: URL) -> int:
        with create_engine(url).connect() as connection:
            return int(connection.execute(_TABLES).scalar_one())


def left_of(place: DatabasePlace) -> dict[str, dt.datetime]:
    """The databases that restores of a place made or replaced, with the instant of each restore.

    Raises:
        StoreUnavailableError: the server does not answer.
    """
    with connecting(place.url), create_engine(place.url).connect() as connection:
        return _noted(connection, place)


def _noted(connection: sa.Connection, place: DatabasePlace) -> dict[str, dt.datetime]:
    found = connection.execute(_NOTED, {"names": place.others, "note": NOTE}).all()
    return {row.datname: dt.datetime.fromisoformat(row.begun_at) for row in found}


def make_reader(url: URL) -> None:
    """Makes the role of the analysts on a server that has none: dumps hold no roles."""
    with create_engine(url).begin() as connection:
        connection.execute(_READER)


def load_dump(
    store: BackupStore, backup: Backup, dump: Dump, tools: PostgresTools, url: URL, say: Say
) -> None:
    """Restores a dump into an empty database; its planner knows the rows afterwards.

    Raises:
        BadInputError: the dump is missing or another one than the backup says.
        StoreUnavailableError: `pg_restore` failed.
    """
    if not is_whole(store, backup, dump):
        raise BadInputError(damaged(store, backup, dump))
    path = _path(backup, dump)
    if store.files.folder is not None:
        with store.files.reading(path) as source:
            digest = hash_of(source)
        if digest == dump.sha256:
            tools.restore_file(url, store.files.folder / path)
    else:
        digest = _load_stream(store, path, dump, tools, url, say)
    if digest != dump.sha256:
        raise BadInputError(damaged(store, backup, dump))
    if not has_statistics(dump.server_version):
        with create_engine(url).connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("analyze")


def is_whole(store: BackupStore, backup: Backup, dump: Dump) -> bool:
    """Returns true if a dump is there with all its bytes."""
    return store.files.size(_path(backup, dump)) == dump.size


def damaged(store: BackupStore, backup: Backup, dump: Dump) -> str:
    """The sentence on a dump that cannot be restored."""
    return (
        f"{_path(backup, dump)} at {store.files.url} is missing or damaged: restore another backup."
    )


def _load_stream(
    store: BackupStore, path: str, dump: Dump, tools: PostgresTools, url: URL, say: Say
) -> str:
    """Restores a dump while it is read, once; returns the SHA-256 of what was read."""
    try:
        with store.files.reading(path) as source, tools.restoring(url) as target:
            digest, _ = copy_hashed(source, target, say)
    except StoreUnavailableError:
        # A damaged dump may have been the reason.
        with store.files.reading(path) as source:
            digest = hash_of(source)
        if digest == dump.sha256:
            raise
    return digest


def _path(backup: Backup, dump: Dump) -> str:
    return f"{BACKUPS}/{backup.id}/{dump.file}"
