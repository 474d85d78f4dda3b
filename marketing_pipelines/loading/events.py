"""Events files into `analytics.contact_activity`: every event id once per organization.

The columns follow the events file format; a column that the format does not know becomes a key of
the event's `properties` (a key that the properties name themselves wins). Organizations, contacts
and campaigns that are not known yet become stubs.
"""

import datetime as dt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from marketing_pipelines.loading.batches import Batch, Reader
from marketing_pipelines.loading.checker import Checker, read_sql
from marketing_pipelines.loading.columns import ColumnPicker
from marketing_pipelines.loading.event_store import EventStore
from marketing_pipelines.loading.ids import odd_ids
from marketing_pipelines.loading.pipeline import Checked, split_checked
from marketing_pipelines.loading.remarks import Remark
from marketing_pipelines.loading.results import Counts
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import connecting

if TYPE_CHECKING:
    import pyarrow as pa

REQUIRED = ("event_id", "organization_id", "contact_id", "event_type", "occurred_at")
COLUMNS = (*REQUIRED, "event_source", "received_at", "properties")
WRITERS = 2
_IDS = ("event_id", "organization_id", "contact_id", "event_source")


class EventsTarget:
    """Checks and stores a file of events.

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
        restore_consent: bool = False,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._restore_consent = restore_consent
        self._checker = checker
        self._picker = ColumnPicker(reader, COLUMNS, ("properties",), checker)
        self._months = _Months(engine, until=started_at + dt.timedelta(days=31))
        self._soon = started_at + dt.timedelta(days=1)
        first_instant = dt.datetime.combine(settings.earliest_day, dt.time(), settings.zone)
        self._parameters = {
            "zone": timezone,
            "started_at": started_at,
            "first_day": settings.earliest_day.isoformat(),
            "first_instant": first_instant.astimezone(dt.UTC),
            # The day of an event ends where the next one begins.
            "last_instant": dt.datetime(9999, 12, 31, tzinfo=dt.UTC),
        }

    @property
    def kept(self) -> tuple[str, set[str]]:
        """Properties."""
        return "properties", self._picker.further

    @property
    def missing(self) -> list[str]:
        """Required columns that no row has had so far."""
        return self._picker.missing(REQUIRED)

    def check(self, batch: Batch) -> Checked:
        """Separates good events from bad ones and from repeats within the batch.

        The same event id always goes to the same writer, so that writers never meet at a key and
        repeats are met in the file's order.
        """
        picked, rejects = self._picker.pick(batch)
        checked = self._checker.query(read_sql("events/check"), {"batch": picked}, self._parameters)
        good, refused = split_checked(checked)
        winners = self._without_repeats(good)
        self._months.ensure(winners["occurred_at"])
        repeated = Counts(repeated=good.num_rows - winners.num_rows)
        remarks = odd_ids(winners, _IDS) + self._in_the_future(winners)
        return Checked(_shares(winners, self.writers), rejects + refused, repeated, remarks)

    def _in_the_future(self, events: "pa.Table") -> list[Remark]:
        """Notes events that are further ahead than a sender's time can be wrong."""
        import pyarrow.compute as pc

        latest = pc.max(events["occurred_at"]).as_py()
        if latest is None or latest <= self._soon:
            return []
        ahead = events.filter(pc.greater(events["occurred_at"], self._soon))
        reason = f"'{latest:%Y-%m-%dT%H:%M:%SZ}' lies more than a day in the future"
        return [Remark(pc.min(ahead["line"]).as_py(), "occurred_at", reason, ahead.num_rows)]

    def _without_repeats(self, events: "pa.Table") -> "pa.Table":
        """Each event id once; comparing hashes finds out cheaply that nothing is to be done."""
        import numpy as np

        if len(np.unique(events["id_hash"].to_numpy())) == events.num_rows:
            return events
        return self._checker.query(read_sql("events/drop_repeats"), {"batch": events})

    def store(self) -> EventStore:
        """Returns the store of one writer's shares."""
        return EventStore(self._settings, restore_consent=self._restore_consent)


def _shares(events: "pa.Table", writers: int) -> list["pa.Table"]:
    import pyarrow as pa

    writer = events["id_hash"].to_numpy() % writers
    rows = events.drop_columns(["id_hash"])
    return [rows.filter(pa.array(writer == number)) for number in range(writers)]


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
        for month in sorted(months):
            with connecting(self._engine.url), self._engine.begin() as connection:
                connection.execute(sa.select(sa.func.analytics.ensure_activity_month(month)))
        self._done |= months
