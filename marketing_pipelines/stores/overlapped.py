"""A prepared statement that the server does while the caller does something else."""

import select
from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import pq

# Within this time a thread whose task is out of time comes back from waiting.
_SECONDS_BETWEEN_LOOKS = 1.0


class Overlapped:
    """One statement of a connection on which each statement commits by itself.

    It speaks to libpq directly: psycopg's own methods wait for the answer.
    """

    def __init__(self, connection: sa.Connection, name: str, statement: str) -> None:
        """Prepares a statement with the parameters $1, $2 …, unless its connection has it already.

        The server is asked: psycopg deallocates every statement of a connection at some rollbacks.

        Args:
            name: Of the prepared statement; another text needs another name.
        """
        self._connection = connection
        driver: Any = connection.connection.driver_connection
        self._pgconn: pq.abc.PGconn = driver.pgconn
        self._name = name.encode()
        self._is_under_way = False
        if self._pgconn.describe_prepared(self._name).status != pq.ExecStatus.COMMAND_OK:
            self._check(self._pgconn.prepare(self._name, statement.encode()))

    def send(self, values: Sequence[object | None]) -> None:
        """Sends the statement with these values, each as its text."""
        texts = [None if value is None else str(value).encode() for value in values]
        self._pgconn.send_query_prepared(self._name, texts)
        self._is_under_way = True
        while self._pgconn.flush():
            select.select([], [self._pgconn.socket], [], _SECONDS_BETWEEN_LOOKS)

    def receive(self) -> list[tuple[str | None, ...]]:
        """Waits for the rows of the statement sent last; it is committed then.

        Raises:
            psycopg.Error: the statement failed, or the server is gone.
        """
        while self._pgconn.is_busy():
            select.select([self._pgconn.socket], [], [], _SECONDS_BETWEEN_LOOKS)
            self._pgconn.consume_input()
        results = []
        while (result := self._pgconn.get_result()) is not None:
            results.append(result)
        self._is_under_way = False
        self._check(results[0])
        return [
            tuple(
                None if value is None else value.decode()
                for value in (
                    results[0].get_value(row, column) for column in range(results[0].nfields)
                )
            )
            for row in range(results[0].ntuples)
        ]

    def close(self) -> None:
        """Gives up a statement whose answer nobody took, and its connection."""
        if self._is_under_way:
            self._connection.invalidate()

    def _check(self, result: pq.abc.PGresult) -> None:
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            raise psycopg.errors.error_from_result(result)
