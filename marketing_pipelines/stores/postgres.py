"""Connections to PostgreSQL: where it is, how to reach it, fast ways in and out.

The mechanisms of safe writing are modules of their own: `runs/tick`, `stale_partitions`, `replace`.
"""

import contextlib
import datetime as dt
import os
import re
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from marketing_pipelines.failures import ConfigurationError, StoreUnavailableError
from marketing_pipelines.redaction import redact
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.session_settings import (
    KEEPALIVE,
    SET_SETTINGS,
    UNACKNOWLEDGED_MS,
    prepare,
)

if TYPE_CHECKING:
    import pyarrow as pa

OLDEST_VERSION = 15
# Opens a transaction.
Begin = Callable[[], contextlib.AbstractContextManager[sa.Connection]]
SECONDS_TO_CANCEL = 5.0


def database_url(settings: Settings) -> URL:
    """Returns the URL of the operational tables, for our own engine (driver psycopg)."""
    if settings.database_url is None:
        text = EmbeddedPostgres(settings.data_dir).url("marketing")
    else:
        text = settings.database_url
    return _parsed(text, "MARKETING_DATABASE_URL").set(drivername="postgresql+psycopg")


def dagster_database_url(settings: Settings) -> URL:
    """Returns the URL of Dagster's storage, which needs psycopg2."""
    if settings.dagster_database_url is not None:
        url = _parsed(settings.dagster_database_url, "MARKETING_DAGSTER_DATABASE_URL")
    elif settings.database_url is not None:
        url = database_url(settings).set(database="dagster")
    else:
        url = make_url(EmbeddedPostgres(settings.data_dir).url("dagster"))
    patience = {"tcp_user_timeout": UNACKNOWLEDGED_MS, **KEEPALIVE}
    unset = {name: str(value) for name, value in patience.items() if name not in url.query}
    return url.set(drivername="postgresql+psycopg2").update_query_dict(unset)


def reader_url(settings: Settings) -> URL:
    """The same database as the role that can only read."""
    if settings.reader_database_url is not None:
        url = _parsed(settings.reader_database_url, "MARKETING_READER_DATABASE_URL")
        return url.set(drivername="postgresql+psycopg")
    return database_url(settings).set(username="marketing_reader", password=None)


def _parsed(text: str, setting: str) -> URL:
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(
            f"{setting} must look like postgresql://user:password@host:port/database."
        )
    return url


def libpq_uri(url: URL) -> str:
    """The URL as libpq and ADBC read it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def create_engine(
    url: URL, *, application_name: str = "marketing-pipelines", pool_size: int | None = None
) -> sa.Engine:
    """An engine whose sessions have our settings and give up on an unreachable server.

    They give up after ten seconds while connecting and after a minute later; the server notices
    within seconds when the process of a session that works is gone.

    Args:
        pool_size: Connections that are kept open between uses, and as many more while they are
            needed; None: none is kept.
    """
    pool: dict[str, Any] = {"poolclass": sa.pool.NullPool}
    if pool_size is not None:
        pool = {"pool_size": pool_size, "max_overflow": pool_size, "pool_pre_ping": True}
    engine = sa.create_engine(
        url,
        **pool,
        hide_parameters=True,
        connect_args={
            "connect_timeout": 10,
            "application_name": application_name,
            "tcp_user_timeout": UNACKNOWLEDGED_MS,
            **KEEPALIVE,
        },
    )
    # Before SQLAlchemy's own listener, which reads the settings of the first connection.
    sa.event.listen(engine, "connect", prepare, insert=True)
    return engine


@contextlib.contextmanager
def committing_each(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection each of whose statements is a transaction of its own."""
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


@contextlib.contextmanager
def fast_reader(url: URL) -> Iterator[Any]:
    """A connection of ADBC, which hands rows over as Arrow, with our settings.

    It commits by itself unless told to begin a transaction.
    """
    import adbc_driver_postgresql.dbapi as adbc

    with adbc.connect(libpq_uri(url), autocommit=True) as source:
        with source.cursor() as cursor:
            cursor.execute(SET_SETTINGS)
            cursor.fetchall()
        yield source


@contextlib.contextmanager
def connecting(url: URL) -> Iterator[None]:
    """Turns a refused connection into one sentence without a password in it."""
    try:
        yield
    except sa.exc.OperationalError as error:
        if not error.connection_invalidated and error.statement is not None:
            raise
        reason = _first_line(error)
        where = redact(url.render_as_string(hide_password=True))
        raise StoreUnavailableError(
            f"PostgreSQL at {where} does not answer ({reason}): "
            "check MARKETING_DATABASE_URL, or start the embedded server with "
            "`marketing-pipelines db start`."
        ) from error


def _first_line(error: sa.exc.DBAPIError) -> str:
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    return re.sub(r"\s+", " ", lines[0]).rstrip(".") if lines else "no reason given"


def clock_skew(connection: sa.Connection, here: Callable[[], dt.datetime]) -> dt.timedelta:
    """Returns the time by which the server's clock is ahead of the one that `here` reads."""
    before = here()
    there: dt.datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    after = here()
    return there - (before + (after - before) / 2)


def copy_arrow(connection: sa.Connection, table: str, batches: "pa.RecordBatchReader") -> int:
    """Appends Arrow batches to a table by COPY; columns are matched by name.

    Returns:
        Rows copied.
    """
    import pyarrow.csv as pa_csv

    names = batches.schema.names
    columns = ", ".join(f'"{name}"' for name in names)
    options = pa_csv.WriteOptions(include_header=False)
    rows = 0
    with raw_cursor(connection).copy(f"copy {table} ({columns}) from stdin (format csv)") as copy:
        sink = _CopySink(copy)
        for batch in batches:
            rows += batch.num_rows
            pa_csv.write_csv(batch, sink, options)
    return rows


def raw_cursor(connection: sa.Connection) -> Any:
    """psycopg's own cursor of an open connection, for COPY."""
    driver: Any = connection.connection.driver_connection
    return driver.cursor()


def cancel(driver: Any) -> None:
    """Ends the statement that the server is doing for a psycopg connection of another thread."""
    import psycopg

    with contextlib.suppress(psycopg.Error):
        driver.cancel_safe(timeout=SECONDS_TO_CANCEL)


def cut(driver: Any) -> None:
    """Breaks a psycopg connection under the thread that waits for it, which sees it as lost."""
    import psycopg

    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(driver.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)


class _CopySink:
    """The file that pyarrow writes CSV into."""

    closed = False

    def __init__(self, copy: Any) -> None:
        self._copy = copy

    def write(self, data: Any) -> int:
        self._copy.write(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here."""

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """The COPY ends with its own block."""
