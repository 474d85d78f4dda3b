"""Bringing a database to this release's schema, and the decisions stored in it."""

import contextlib
from collections.abc import Iterator
from importlib import resources

import sqlalchemy as sa

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import (
    OLDEST_VERSION,
    connecting,
    create_engine,
    raw_cursor,
)
from marketing_pipelines.stores.tables import installation

MIGRATION_LOCK = 0x6D6B7470


def migrate(url: sa.engine.URL, settings: Settings) -> None:
    """Runs the migrations that are missing and stores or compares the reporting zone.

    Raises:
        ConfigurationError: the server is too old, sits behind a transaction pooler, or the stored
            zone is another one.
        StoreUnavailableError: the server refuses the connection.
    """
    from alembic import command
    from alembic.config import Config

    engine = create_engine(url)
    with connecting(url), engine.connect() as connection:
        require_supported_server(connection)
        with _only_one(connection):
            config = Config()
            config.set_main_option(
                "script_location", str(resources.files("marketing_pipelines.migrations"))
            )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.execute(
                sa.text(
                    "insert into ops.installation (id, timezone) values (1, :zone)"
                    " on conflict do nothing"
                ),
                {"zone": settings.timezone},
            )
            connection.commit()
        require_same_zone(connection, settings)


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


def behind_transaction_pooler(connection: sa.Connection) -> bool:
    """Whether two connections of ours share one server process between transactions."""
    connection.rollback()
    own = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
    connection.rollback()
    with connection.engine.connect() as other:
        shared = other.exec_driver_sql("select pg_backend_pid()").scalar_one() == own
    return bool(shared)


def require_same_zone(connection: sa.Connection, settings: Settings) -> None:
    """Refuses to count days in another zone than the stored rows were counted in."""
    stored = connection.execute(sa.select(installation.c.timezone)).scalar_one_or_none()
    connection.rollback()
    if stored is not None and stored != settings.timezone:
        raise ConfigurationError(
            f"MARKETING_TIMEZONE is {settings.timezone} but the stored days are those of "
            f"{stored}: set it back, or run `marketing-pipelines migrate --rebuild` to count "
            "every day and month anew."
        )


def run_sql_file(name: str) -> None:
    """Runs one of the migrations' SQL files on the migration's connection."""
    from alembic import op

    text = resources.files("marketing_pipelines.migrations").joinpath("sql", name).read_text()
    with raw_cursor(op.get_bind()) as cursor:
        cursor.execute(text)


@contextlib.contextmanager
def _only_one(connection: sa.Connection) -> Iterator[None]:
    """Two processes that start at once migrate one after the other."""
    connection.execute(sa.select(sa.func.pg_advisory_lock(MIGRATION_LOCK)))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(sa.select(sa.func.pg_advisory_unlock(MIGRATION_LOCK)))
        connection.commit()
