"""Events that contacts are assumed to send: read from a file once, each inserted in its time."""

import datetime as dt
from pathlib import Path

import sqlalchemy as sa

from marketing_pipelines.domains.rehearsals.statements import read_sql
from marketing_pipelines.loading import load_file
from marketing_pipelines.loading.results import LoadResult
from marketing_pipelines.settings import Settings

_TRIGGERS = "alter table analytics.contact_activity {} trigger user"


class AssumedEvents:
    """The events of a file, in a temporary table until their instants come.

    Args:
        connection: To the scratch database, not in a transaction.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._nexts: list[dt.datetime] = []
        with connection.begin():
            connection.execute(read_sql("create_assumed_events"))

    def load(self, path: Path, settings: Settings) -> LoadResult:
        """Reads the file; nothing happens by its events yet.

        Raises:
            BadInputError: the file as a whole cannot be used.
        """
        connection = self._connection
        with connection.begin():
            connection.exec_driver_sql(_TRIGGERS.format("disable"))
            first = connection.execute(read_sql("first_free_event")).scalar_one()
        result = load_file(connection.engine, "events", path, settings=settings)
        with connection.begin():
            connection.execute(read_sql("set_events_aside"), {"first": first})
            connection.exec_driver_sql(_TRIGGERS.format("enable"))
            instants = connection.execute(read_sql("instants_of_events")).scalars()
            self._nexts = sorted(instants, reverse=True)
        return result

    def insert_until(self, now: dt.datetime) -> None:
        """Inserts the events that have occurred."""
        if self._nexts and self._nexts[-1] <= now:
            with self._connection.begin():
                self._connection.execute(read_sql("insert_events"), {"now": now})
            while self._nexts and self._nexts[-1] <= now:
                self._nexts.pop()

    def next_at(self) -> dt.datetime | None:
        """The instant of the next event; None: none is left."""
        return self._nexts[-1] if self._nexts else None
