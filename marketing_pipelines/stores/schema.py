"""Bringing a database to this release's schema, and the decisions stored in it."""

import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.engine import URL

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import schema_files, zone_table
from marketing_pipelines.stores.postgres import (
    OLDEST_VERSION,
    connecting,
    create_engine,
    raw_cursor,
)
from marketing_pipelines.stores.session_settings import require_kept
from marketing_pipelines.stores.tables import installation
from marketing_pipelines.stores.unfinished_restore import require_finished

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATION_LOCK = 0x6D6B7470
POOLER_SAMPLES = 5
# Functions of PostgreSQL that lock, notify, write or end sessions, open to every role at first.
MORE_THAN_READING = (
    "^(pg_(try_)?advisory_.*|pg_notify|pg_logical_emit_message|pg_(cancel|terminate)_backend"
    "|lo_(creat|create|from_bytea|put|open|truncate|truncate64|unlink)|lowrite)$"
)


def migrate(url: URL, settings: Settings, *, compare_zone: bool = True) -> None:
    """Runs the missing migrations and applies the files of `schema/`; stores or compares zones.

    One transaction does both: a database has the whole schema of a release, or of the one before.

    Raises:
        ConfigurationError: the server is too old, sits behind a transaction pooler, the stored
            zone is another one, or a restore is not finished.
        StoreUnavailableError: the server refuses the connection.
    """
    engine = create_engine(url)
    with connecting(url), engine.connect() as connection:
        require_supported_server(connection)
        _refuse_newer(connection)
        if not _is_current(connection):
            with _only_one(connection):
                # Another process may have done it in the meantime, and one of a newer release more.
                _refuse_newer(connection)
                if not _is_current(connection):
                    with connection.begin():
                        _bring_up_to_date(connection, settings)
        if zone_table.is_older(connection):
            with _only_one(connection):
                if zone_table.is_older(connection):
                    zone_table.write(connection)
                connection.commit()
        connection.rollback()
        if settings.analyst_attributes is not None:
            show_attributes(connection, allowed=settings.analyst_attributes == "on")
        require_finished(connection)
        if compare_zone:
            require_same_zone(connection, settings.zone)


def _bring_up_to_date(connection: sa.Connection, settings: Settings) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection), "head")
    connection.execute(
        pg.insert(installation).values(id=1, timezone=settings.timezone).on_conflict_do_nothing()
    )
    schema_files.apply(connection)


def show_attributes(connection: sa.Connection, *, allowed: bool) -> None:
    """Lets the role of the analysts read names and attributes of contacts, or hides them."""
    if analysts_see_attributes(connection) is not allowed:
        verb, preposition = ("grant", "to") if allowed else ("revoke", "from")
        with _only_one(connection):
            connection.exec_driver_sql(
                f"{verb} select on analytics.contact_attributes {preposition} marketing_reader"
            )
            connection.commit()
    connection.rollback()


def analysts_see_attributes(connection: sa.Connection) -> bool:
    """Returns true if the analysts' role may read names and attributes of contacts."""
    may_read = sa.func.has_table_privilege(
        "marketing_reader", "analytics.contact_attributes", "select"
    )
    return bool(connection.execute(sa.select(may_read)).scalar_one())


def functions_open_to_reader(reader: sa.Connection) -> list[str]:
    """Functions beyond reading that the role of this connection may call, by name."""
    statement = sa.text(
        "select distinct proname::text from pg_proc"
        " where pronamespace = 'pg_catalog'::regnamespace and proname ~ :pattern"
        " and has_function_privilege(oid, 'execute') order by 1"
    )
    return list(reader.execute(statement, {"pattern": MORE_THAN_READING}).scalars())


def ensure_database(url: URL) -> None:
    """Creates the database that the URL names, if it is missing and this role may."""
    with contextlib.suppress(sa.exc.OperationalError), create_engine(_ours(url)).connect():
        return
    maintenance = create_engine(_ours(url).set(database="postgres"))
    with connecting(url), maintenance.connect() as connection:
        autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
        name = autocommit.dialect.identifier_preparer.quote(str(url.database))
        with contextlib.suppress(sa.exc.ProgrammingError):
            autocommit.exec_driver_sql(f"create database {name}")
    with connecting(url), create_engine(_ours(url)).connect():
        return


def _ours(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg")


def _is_current(connection: sa.Connection) -> bool:
    """Returns true if nothing is to be done; spares the commands the import of Alembic."""
    is_at_head = _stored_version(connection) == head_revision()
    return is_at_head and schema_files.are_applied(connection)


def head_revision() -> str:
    """The newest migration of this release."""
    return _head(_known_versions())


def require_known_schema(version: str, owner: str) -> None:
    """Refuses the schema of a newer release.

    Args:
        owner: The thing that is at the schema, for the error.

    Raises:
        ConfigurationError: this release does not know it.
    """
    if version not in _known_versions():
        raise ConfigurationError(
            f"{owner} is at schema {version}, which this release does not know: "
            "install the release that made it, or a newer one."
        )


def _refuse_newer(connection: sa.Connection) -> None:
    stored = _stored_version(connection)
    if stored is not None:
        require_known_schema(stored, "The database")


def _stored_version(connection: sa.Connection) -> str | None:
    exists = connection.exec_driver_sql("select to_regclass('public.alembic_version')").scalar()
    statement = "select version_num from public.alembic_version"
    stored = connection.exec_driver_sql(statement).scalar() if exists is not None else None
    connection.rollback()
    return stored


def _known_versions() -> dict[str, str | None]:
    """The migrations of this release, each with the one that it follows."""
    found: dict[str, str | None] = {}
    for file in resources.files("marketing_pipelines.migrations").joinpath("versions").iterdir():
        if file.name[:1].isdigit():
            revision, follows = (_stated(file.read_text(), name) for name in _LINKS)
            if revision is None or revision in found:
                raise ConfigurationError(
                    f"Migration {file.name} has no revision of its own: number it anew."
                )
            found[revision] = follows
    return found


_LINKS = ("revision", "down_revision")


def _stated(text: str, name: str) -> str | None:
    match = re.search(rf'^{name} = "(\w+)"$', text, re.MULTILINE)
    return match[1] if match else None


def _head(versions: Mapping[str, str | None]) -> str:
    heads = sorted(set(versions) - set(versions.values()))
    if len(heads) != 1:
        raise ConfigurationError(
            f"Migrations {' and '.join(heads)} both end the row of migrations: make one follow the "
            "other by its down_revision."
        )
    return heads[0]


def alembic_config(connection: sa.Connection) -> "Config":
    """Alembic's configuration for the migrations of this release, on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("marketing_pipelines.migrations"))
    )
    config.attributes["connection"] = connection
    return config


def require_supported_server(connection: sa.Connection) -> None:
    """Refuses servers on which locks or statements of this project would not work."""
    number = int(connection.exec_driver_sql("show server_version_num").scalar_one())
    if number < OLDEST_VERSION * 10_000:
        raise ConfigurationError(
            f"MARKETING_DATABASE_URL names PostgreSQL {number // 10_000}: "
            f"version {OLDEST_VERSION} or newer is needed."
        )
    if behind_transaction_pooler(connection):
        raise ConfigurationError(
            "MARKETING_DATABASE_URL points at a transaction pooler, which breaks the locks: "
            "name the server itself or a pool in session mode."
        )
    require_kept(connection, "MARKETING_DATABASE_URL")


def behind_transaction_pooler(connection: sa.Connection) -> bool:
    """Returns true if our connections change or share server processes between transactions.

    A pooler that hands out the last used process gives both the same; one that hands them out in
    turn gives another to the one that asks twice.
    """
    with connection.engine.connect() as other:
        own, others = set[int](), set[int]()
        for _ in range(POOLER_SAMPLES):
            for asked, found in ((connection, own), (other, others)):
                found.update(_server_process(asked) for _ in range(2))
    return len(own) > 1 or len(others) > 1 or own == others


def _server_process(connection: sa.Connection) -> int:
    """The process that serves one transaction."""
    driver: Any = connection.connection.driver_connection
    driver.rollback()
    # A prepared statement would be unknown to another process.
    (process,) = driver.execute("select pg_backend_pid()", prepare=False).fetchone()
    driver.rollback()
    return int(process)


def require_same_zone(connection: sa.Connection, zone: ZoneInfo) -> None:
    """Refuses to count days in another zone than the stored rows were counted in."""
    stored = connection.execute(sa.select(installation.c.timezone)).scalar_one_or_none()
    connection.rollback()
    if stored is not None and stored != zone.key:
        raise ConfigurationError(
            f"MARKETING_TIMEZONE is {zone.key} but the stored days are those of "
            f"{stored}: set it back, or run `marketing-pipelines migrate --rebuild` to count "
            "every day and month anew."
        )


def require_usable(connection: sa.Connection, zone: ZoneInfo) -> None:
    """Refuses the database of an unfinished restore, and days of another zone.

    Raises:
        ConfigurationError: it is one, or has such days.
    """
    require_finished(connection)
    require_same_zone(connection, zone)


def installation_id(connection: sa.Connection) -> uuid.UUID:
    """The identity that the database shares with its lake."""
    found: uuid.UUID = connection.execute(sa.select(installation.c.installation_id)).scalar_one()
    return found


def grant_rights_of_reader(connection: sa.Connection) -> None:
    """Gives and takes the rights that a migration did, in a database restored without rights."""
    with raw_cursor(connection) as cursor:
        cursor.execute(_sql_of_migrations("0012_reader.sql").encode())


def run_sql_file(name: str) -> None:
    """Runs one of the migrations' SQL files on the migration's connection."""
    run_sql(_sql_of_migrations(name))


def _sql_of_migrations(name: str) -> str:
    return resources.files("marketing_pipelines.migrations").joinpath("sql", name).read_text()


def run_sql(text: str) -> None:
    """Runs statements on the migration's connection."""
    from alembic import op

    with raw_cursor(op.get_bind()) as cursor:
        cursor.execute(text)


@contextlib.contextmanager
def _only_one(connection: sa.Connection) -> Iterator[None]:
    """Lets processes that start at once change the schema or its rights one after the other."""
    connection.execute(sa.select(sa.func.pg_advisory_lock(MIGRATION_LOCK)))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(sa.select(sa.func.pg_advisory_unlock(MIGRATION_LOCK)))
        connection.commit()
