"""Events files into `analytics.contact_activity`: every event id once per organization.

The columns are those of the events file format; a column that the format does not know becomes a
key of the event's `properties` (a key that the properties name themselves wins). Organizations,
contacts and campaigns that are not known yet become stubs.
"""

import datetime as dt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from marketing_pipelines.loading.checker import Checker, read_sql
from marketing_pipelines.loading.columns import ColumnPicker
from marketing_pipelines.loading.readers import Batch, Reader
from marketing_pipelines.loading.results import Counts, Reject
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import connecting, copy_arrow

if TYPE_CHECKING:
    import pyarrow as pa

REQUIRED = ("event_id", "organization_id", "contact_id", "event_type", "occurred_at")
COLUMNS = (*REQUIRED, "event_source", "received_at", "properties")
WRITERS = 2


class EventsTarget:
    """How a file of events is checked and stored.

    Args:
        timezone: IANA zone in which instants without a zone are read; None: they are refused.
        started_at: `received_at` of events that do not say it.
    """

    writers = WRITERS

    def __init__(
        self,
        engine: sa.Engine,
        reader: Reader,
        checker: Checker,
        *,
        settings: Settings,
        timezone: str | None,
        started_at: dt.datetime,
    ) -> None:
        self._engine = engine
        self._checker = checker
        self._picker = ColumnPicker(reader, COLUMNS, ("properties",), checker)
        self._months = _Months(engine, until=started_at + dt.timedelta(days=31))
        first_instant = dt.datetime.combine(settings.first_day, dt.time(), settings.zone)
        self._parameters = {
            "zone": timezone,
            "started_at": started_at,
            "first_day": settings.first_day.isoformat(),
            "first_instant": first_instant.astimezone(dt.UTC),
            "writers": WRITERS,
        }

    def check(self, batch: Batch) -> tuple[list["pa.Table"], list[Reject]]:
        """The good rows, one table for each writer, and the refused ones.

        The same event id always goes to the same writer, so that writers never meet at a key and
        repeats are met in the file's order.
        """
        import pyarrow.compute as pc

        picked, rejects = self._picker.pick(batch)
        checked = self._checker.query(
            read_sql("events/check"), {"batch": picked}, self._parameters
        )
        good, refused = split_checked(checked)
        self._months.ensure(good["occurred_at"])
        shares = [
            good.filter(pc.equal(good["writer"], writer)).drop_columns(["writer"])
            for writer in range(WRITERS)
        ]
        return shares, rejects + refused

    def write(self, connection: sa.Connection, batch: "pa.Table") -> Counts:
        """Stores checked events: the stubs they need first, then all of them in one transaction."""
        with connection.begin():
            connection.exec_driver_sql(read_sql("events/create_stage"))
            connection.exec_driver_sql("truncate events_stage")
            copy_arrow(connection, "events_stage", without_zones(batch).to_reader())
            connection.exec_driver_sql("analyze events_stage")
            connection.exec_driver_sql(read_sql("events/add_organizations"))
            connection.exec_driver_sql(read_sql("events/add_contacts"))
            connection.exec_driver_sql(read_sql("events/add_campaigns"))
        with connection.begin():
            stored, replaced = connection.exec_driver_sql(read_sql("events/add_events")).one()
        return Counts(stored - replaced, replaced, batch.num_rows - stored)


def split_checked(checked: "pa.Table") -> tuple["pa.Table", list[Reject]]:
    """Separates rows by their columns `wrong_column` and `reason`; the good ones lose both."""
    import pyarrow.compute as pc

    good = checked
    refused: list[Reject] = []
    if checked["wrong_column"].null_count < checked.num_rows:
        bad = checked.filter(pc.is_valid(checked["wrong_column"]))
        columns = (bad[name].to_pylist() for name in ("line", "wrong_column", "reason"))
        refused = [Reject(*values) for values in zip(*columns, strict=True)]
        good = checked.filter(pc.is_null(checked["wrong_column"]))
    return good.drop_columns(["wrong_column", "reason"]), refused


def without_zones(table: "pa.Table") -> "pa.Table":
    """The same instants as UTC clock times, which Arrow writes ten times faster as text.

    The sessions of this package speak UTC, so PostgreSQL reads the same instants from them.
    """
    import pyarrow as pa

    fields = [
        pa.field(field.name, pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


class _Months:
    """Makes the month partitions that events need, each once per load.

    Months that lie further ahead are left to the default partition until they come: a file of
    absurd dates must not make thousands of partitions.
    """

    def __init__(self, engine: sa.Engine, until: dt.datetime) -> None:
        self._engine = engine
        self._until = until
        self._done: set[dt.date] = set()

    def ensure(self, instants: "pa.ChunkedArray") -> None:
        import pyarrow.compute as pc

        firsts = pc.unique(pc.floor_temporal(instants, unit="month")).to_pylist()
        months = {first.date() for first in firsts if first <= self._until} - self._done
        if not months:
            return
        with connecting(self._engine.url), self._engine.begin() as connection:
            for month in sorted(months):
                connection.execute(sa.select(sa.func.analytics.ensure_activity_month(month)))
        self._done |= months
