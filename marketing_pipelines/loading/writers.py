"""Writing batches to PostgreSQL while the next ones are read: threads, retries, poison rows.

A batch is written whole or not at all, and again if another loader got in its way. A row that
PostgreSQL refuses although it passed every check is found by halving the batch, and refused alone.
"""

import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import sqlalchemy as sa

from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.loading.checker import read_sql
from marketing_pipelines.loading.results import Counts, Reject
from marketing_pipelines.stores.postgres import connecting

if TYPE_CHECKING:
    import pyarrow as pa

_ATTEMPTS = 6
_COLLISIONS = ("23505", "40001", "40P01")
_BAD_ROW_CLASSES = ("22", "54")


class Store(Protocol):
    """Writes batches of one kind of row, on one connection and in one thread."""

    def write(self, connection: sa.Connection, batch: "pa.Table") -> tuple[Counts, list[Reject]]:
        """Stores a batch, whose column `line` says where each row stood in the file.

        Returns its counts, and the rows that the stored ones rule out.

        The transactions are its own; the last one makes the rows visible. Doing it again changes
        nothing.
        """
        ...


class Writer:
    """One thread with one connection that writes batches in the order they are given.

    Args:
        waiting: batches that may wait before `submit` blocks.
    """

    def __init__(self, engine: sa.Engine, store: Store, waiting: int = 1) -> None:
        self._engine = engine
        self._store = store
        self._waiting = waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._running: deque[Future[tuple[Counts, list[Reject]]]] = deque()
        with connecting(engine.url):
            self._connection = engine.connect()
        self._connection.exec_driver_sql(read_sql("session_settings"))
        self._connection.commit()

    def submit(self, batch: "pa.Table") -> Iterable[tuple[Counts, list[Reject]]]:
        """Hands over a batch; returns the outcomes of earlier ones that had to end first."""
        done = [self._running.popleft().result()] if len(self._running) > self._waiting else []
        self._running.append(self._thread.submit(self._write, batch))
        return done

    def finish(self) -> Iterable[tuple[Counts, list[Reject]]]:
        """Waits for the batches handed over."""
        while self._running:
            yield self._running.popleft().result()

    def close(self) -> None:
        """Drops the writes that have not begun and closes the connection."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._connection.close()

    def _write(self, batch: "pa.Table") -> tuple[Counts, list[Reject]]:
        """Writes a batch whole, or without the rows that PostgreSQL refuses."""
        try:
            return self._write_whole(batch)
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            if sql_state(error)[:2] not in _BAD_ROW_CLASSES:
                raise
            if batch.num_rows == 1:
                return Counts(), [Reject(batch["line"][0].as_py(), "", _sentence(error))]
        half = batch.num_rows // 2
        first, first_rejects = self._write(batch.slice(0, half))
        second, second_rejects = self._write(batch.slice(half))
        return first + second, first_rejects + second_rejects

    def _write_whole(self, batch: "pa.Table") -> tuple[Counts, list[Reject]]:
        """Writes a batch; again if another loader stored the same rows at the same moment."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._store.write(self._connection, batch)
            except (sa.exc.DBAPIError, psycopg.Error) as error:
                if self._lost():
                    raise StoreUnavailableError(
                        "The connection to PostgreSQL broke during the load: load the file again, "
                        "rows that are stored already are not stored twice."
                    ) from error
                if sql_state(error) not in _COLLISIONS or attempt == _ATTEMPTS:
                    raise
                time.sleep(0.05 * 2**attempt)
        raise AssertionError("the loop returns or raises")

    def _lost(self) -> bool:
        if self._connection.invalidated:
            return True
        driver: Any = self._connection.connection.driver_connection
        return bool(driver.closed)


def sql_state(error: BaseException) -> str:
    """PostgreSQL's five characters for an error; '' if there are none.

    COPY speaks to psycopg directly, everything else through SQLAlchemy.
    """
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""


def _sentence(error: BaseException) -> str:
    lines = str(getattr(error, "orig", error)).splitlines()
    return f"PostgreSQL refuses the row: {lines[0] if lines else 'no reason given'}"
