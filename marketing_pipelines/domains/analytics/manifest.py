"""The lake's manifest: which hours are exported, and the files to read for a span of time."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.analytics.tables import lake_hours
from marketing_pipelines.partitions import HOUR, Window
from marketing_pipelines.stores.lake import Lake


@dataclass(frozen=True)
class ExportedHour:
    """What the manifest says of one hour."""

    rows: int
    content_hash: str


def exported_hours(
    connection: sa.Connection, start: dt.datetime, end: dt.datetime
) -> dict[dt.datetime, ExportedHour]:
    """The exported hours that overlap `[start, end)`."""
    found = connection.execute(
        sa.select(lake_hours.c.hour, lake_hours.c.rows, lake_hours.c.content_hash)
        .where(lake_hours.c.hour > start - HOUR, lake_hours.c.hour < end)
        .order_by(lake_hours.c.hour)
    )
    return {row.hour.astimezone(dt.UTC): ExportedHour(row.rows, row.content_hash) for row in found}


def record_hours(
    connection: sa.Connection, hours: Mapping[dt.datetime, ExportedHour]
) -> None:
    """Writes what these hours hold now."""
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


def files_of(
    lake: Lake, exported: Mapping[dt.datetime, ExportedHour], span: Window
) -> list[str]:
    """The files that hold the span's events, oldest first."""
    return [
        lake.engine_path(hour)
        for hour, content in exported.items()
        if content.rows and hour < span.end and hour + HOUR > span.start
    ]


def rows_by_window(
    connection: sa.Connection, windows: Sequence[Window]
) -> tuple[dict[str, int], dict[dt.datetime, ExportedHour]]:
    """Lake rows of the hours of each window, and the hours themselves."""
    if not windows:
        return {}, {}
    exported = exported_hours(connection, windows[0].start, windows[-1].end)
    rows = dict.fromkeys((w.key for w in windows), 0)
    position = 0
    for hour, content in exported.items():
        while position < len(windows) - 1 and windows[position].end <= hour:
            position += 1
        rows[windows[position].key] += content.rows
    return rows, exported


def all_files(connection: sa.Connection, lake: Lake) -> list[str]:
    """Every file of the lake, oldest first, as the file system names it."""
    hours = connection.execute(
        sa.select(lake_hours.c.hour).where(lake_hours.c.rows > 0).order_by(lake_hours.c.hour)
    )
    return [lake.path(hour) for hour in hours.scalars()]
