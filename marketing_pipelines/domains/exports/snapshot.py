"""One state of the database, out of which all rows of a file are read."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg import sql

from marketing_pipelines.stores.postgres import cancel, fast_reader, raw_cursor

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 2 * 1024 * 1024
_SETTINGS = (
    "statement_timeout = 0",
    "work_mem = '64MB'",
    "jit = off",
    "timezone = 'UTC'",
    "datestyle = 'ISO'",
    # The planner takes workers for rows whose cells are costly, and does not know that these are.
    "parallel_tuple_cost = 0",
)


class Snapshot:
    """A read-only transaction of its own, whose statements have no time limit but `interrupt`.

    Attributes:
        connection: It; every statement sees the same rows.
    """

    def __init__(self, engine: sa.Engine, connection: sa.Connection) -> None:
        self.connection = connection
        self._engine = engine
        self._driver: Any = connection.connection.driver_connection
        self._fast: Any = None

    @classmethod
    @contextlib.contextmanager
    def taken(cls, engine: sa.Engine) -> Iterator["Snapshot"]:
        """A snapshot of the present state."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with engine.connect().execution_options(**options) as connection:
            for setting in _SETTINGS:
                connection.exec_driver_sql(f"set local {setting}")
            yield cls(engine, connection)
            connection.rollback()

    def copied(self, query: sql.Composable, options: str) -> Iterator[memoryview]:
        """The rows of a query, each as the text that COPY makes of it."""
        statement = sql.SQL("copy ({}) to stdout ({})").format(query, sql.SQL(options))
        with raw_cursor(self.connection).copy(statement) as copy:
            yield from copy

    @contextlib.contextmanager
    def arrow(self, query: sql.Composable) -> Iterator["pa.RecordBatchReader"]:
        """The rows of a query as Arrow batches."""
        identity = self.connection.exec_driver_sql("select pg_export_snapshot()").scalar_one()
        with fast_reader(self._engine.url) as source, source.cursor() as cursor:
            self._fast = cursor
            cursor.execute("begin isolation level repeatable read read only")
            try:
                cursor.execute(f"set transaction snapshot '{identity}'")
                for setting in _SETTINGS:
                    cursor.execute(f"set local {setting}")
                cursor.adbc_statement.set_options(
                    **{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)}
                )
                cursor.execute(query.as_string(self._driver))
                with cursor.fetch_record_batch() as batches:
                    yield batches
            finally:
                self._fast = None
                with contextlib.suppress(Exception):
                    cursor.execute("rollback")

    def interrupt(self) -> None:
        """Ends the statement under way; another thread may call it."""
        cancel(self._driver)
        fast = self._fast
        if fast is not None:
            with contextlib.suppress(Exception):
                fast.adbc_cancel()
