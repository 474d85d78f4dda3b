"""The lake's manifest: which hours are exported, and the files to read for a span of time."""

import bisect
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.analytics.tables import lake_hours
from marketing_pipelines.freshness.partitions import HOUR, Window
from marketing_pipelines.stores.lake import Lake


@dataclass(frozen=True)
class ExportedHour:
    """The manifest's entry of one hour."""

    rows: int
    content_hash: str


def exported_hours(
    connection: sa.Connection, start: dt.datetime, end: dt.datetime
) -> dict[dt.datetime, ExportedHour]:
    """Returns the manifest's entries of hours that overlap `[start, end)`, empty ones included."""
    found = connection.execute(
        sa.select(lake_hours.c.hour, lake_hours.c.rows, lake_hours.c.content_hash)
        .where(_overlaps(start, end))
        .order_by(lake_hours.c.hour)
    )
    return {row.hour: ExportedHour(row.rows, row.content_hash) for row in found}


def missing_hours(
    connection: sa.Connection, start: dt.datetime, end: dt.datetime
) -> list[dt.datetime]:
    """The hours that overlap `[start, end)` and are not in the manifest."""
    first = start.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    return list(
        connection.execute(
            sa.text(
                "select wanted from generate_series("
                " cast(:first as timestamptz),"
                " cast(:end as timestamptz) - interval '1 microsecond',"
                " interval '1 hour') as wanted"
                " where not exists ("
                " select from analytics.lake_hours where lake_hours.hour = wanted)"
                " order by wanted"
            ),
            {"first": first, "end": end},
        ).scalars()
    )


def record_hours(connection: sa.Connection, hours: Mapping[dt.datetime, ExportedHour]) -> None:
    """Writes the present contents of these hours."""
    source = (
        sa.func.unnest(
            sa.cast(list(hours), pg.ARRAY(sa.DateTime(True))),
            sa.cast([h.rows for h in hours.values()], pg.ARRAY(sa.BigInteger)),
            sa.cast([h.content_hash for h in hours.values()], pg.ARRAY(sa.Text)),
        )
        .table_valued("hour", "rows", "content_hash")
        .render_derived(name="exported")
    )
    insert = pg.insert(lake_hours).from_select(
        ["hour", "rows", "content_hash", "exported_at"],
        sa.select(source.c.hour, source.c.rows, source.c.content_hash, sa.func.clock_timestamp()),
    )
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["hour"],
            set_={
                "rows": insert.excluded.rows,
                "content_hash": insert.excluded.content_hash,
                "exported_at": insert.excluded.exported_at,
            },
        )
    )


class LakeHours:
    """The hours of a span that have a file, in order."""

    def __init__(self, connection: sa.Connection, start: dt.datetime, end: dt.datetime) -> None:
        found = connection.execute(
            sa.select(lake_hours.c.hour, lake_hours.c.rows)
            .where(_overlaps(start, end), lake_hours.c.rows > 0)
            .order_by(lake_hours.c.hour)
        ).all()
        self.hours = [row.hour for row in found]
        self.rows = [row.rows for row in found]

    def files(self, lake: Lake, span: Window) -> list[str]:
        """The files that hold the span's events, oldest first."""
        return [lake.engine_path(hour) for hour in self.hours[self._slice(span)]]

    def rows_in(self, span: Window) -> int:
        """Events in the hours that overlap the span."""
        return sum(self.rows[self._slice(span)])

    def _slice(self, span: Window) -> slice:
        first = bisect.bisect_right(self.hours, span.start - HOUR)
        return slice(first, bisect.bisect_left(self.hours, span.end))


def all_files(connection: sa.Connection, lake: Lake) -> list[str]:
    """Every file of the lake, oldest first, as the file system names it."""
    hours = connection.execute(
        sa.select(lake_hours.c.hour).where(lake_hours.c.rows > 0).order_by(lake_hours.c.hour)
    )
    return [lake.path(hour) for hour in hours.scalars()]


def _overlaps(start: dt.datetime, end: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(lake_hours.c.hour > start - HOUR, lake_hours.c.hour < end)
