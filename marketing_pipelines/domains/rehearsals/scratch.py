"""Scratch databases: made on the server of the installation, dropped at the end.

A rehearsal holds a lock of its database's name in the maintenance database. A database whose lock
is free is one that a killed rehearsal left.
"""

import contextlib
import secrets
from collections.abc import Iterator

import sqlalchemy as sa
import stamina
from sqlalchemy.engine import URL

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.postgres import connecting, create_engine, database_url
from marketing_pipelines.stores.schema import migrate

LONGEST_NAME = 63
_MARK, _RANDOM_BYTES = "_rehearsal_", 4
_MIGRATING = "migration of a rehearsal"
_OF_REHEARSALS = sa.text("""
    select datname
    from pg_database
    where starts_with(datname, :prefix) and substr(datname, length(:prefix) + 1) ~ '^[0-9a-f]{8}$'
    order by 1
""")


@contextlib.contextmanager
def scratch_database(settings: Settings) -> Iterator[sa.Engine]:
    """An engine on a database of this release's schema without rows; it is gone afterwards.

    Drops the databases of rehearsals that were killed.

    Raises:
        ConfigurationError: the role may not create databases.
        StoreUnavailableError: the server refuses the connection.
    """
    with _maintenance(settings) as connection:
        _drop_left(connection, settings)
        url = database_url(settings)
        name = _prefix(settings) + secrets.token_hex(_RANDOM_BYTES)
        locks.lock_all(connection, name, [locks.WHOLE_JOB])
        scratch = url.set(database=name)
        engine = create_engine(scratch, application_name="marketing-pipelines rehearsal")
        try:
            _make(connection, scratch, settings)
            yield engine
        finally:
            engine.dispose()
            _drop(connection, name)


def drop_left(settings: Settings) -> list[str]:
    """Drops the scratch databases that no rehearsal uses; returns their names."""
    with _maintenance(settings) as connection:
        return _drop_left(connection, settings)


def _make(connection: sa.Connection, url: URL, settings: Settings) -> None:
    """Makes and migrates the database, anew where another one was migrated at the same moment.

    Databases of one server share the role of the analysts, whose rights both write.
    """
    name = str(url.database)
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    for retry in stamina.retry_context(on=_met_another, attempts=10, timeout=60):
        with retry:
            _drop(connection, name)
            try:
                connection.exec_driver_sql(f"create database {quoted}")
            except sa.exc.ProgrammingError as error:
                raise ConfigurationError(
                    f"Role {url.username} may not create databases, and a rehearsal works in one "
                    f"of its own: run `alter role {url.username} createdb` as a superuser."
                ) from error
            # Rehearsals migrate one after the other; other migrations are rare.
            locks.lock_all(connection, _MIGRATING, [locks.WHOLE_JOB])
            try:
                migrate(url, settings, compare_zone=False)
            finally:
                locks.unlock_all(connection, _MIGRATING, [locks.WHOLE_JOB])


def _met_another(error: Exception) -> bool:
    return "tuple concurrently updated" in str(error)


@contextlib.contextmanager
def _maintenance(settings: Settings) -> Iterator[sa.Connection]:
    url: URL = database_url(settings).set(database="postgres")
    with connecting(url), create_engine(url).connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


def _prefix(settings: Settings) -> str:
    own = str(database_url(settings).database)
    return own[: LONGEST_NAME - len(_MARK) - 2 * _RANDOM_BYTES] + _MARK


def _drop_left(connection: sa.Connection, settings: Settings) -> list[str]:
    dropped = []
    for name in connection.execute(_OF_REHEARSALS, {"prefix": _prefix(settings)}).scalars().all():
        if locks.try_lock(connection, name):
            _drop(connection, name)
            locks.unlock_all(connection, name, [locks.WHOLE_JOB])
            dropped.append(name)
    return dropped


def _drop(connection: sa.Connection, name: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    connection.exec_driver_sql(f"drop database if exists {quoted} with (force)")
