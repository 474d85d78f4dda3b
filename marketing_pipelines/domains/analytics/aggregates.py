"""Counting the lake's events per hour, day, month and campaign day.

One statement per day or month, with the real bounds as parameters and the label added outside:
the fastest way for exact distinct counts, and right for every zone.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.manifest import LakeHours, missing_hours
from marketing_pipelines.domains.analytics.tables import (
    campaign_daily_stats,
    event_aggregates,
    hourly_events,
)
from marketing_pipelines.engines.protocol import Engine
from marketing_pipelines.failures import UpstreamNotReadyError
from marketing_pipelines.freshness.partitions import Window
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines.stores.replace import replace_rows, stage

if TYPE_CHECKING:
    import pyarrow as pa

MONTHLY_PREFIX = "monthly:"
ENROLMENT_COLUMNS = {"entered", "completed", "exited"}
MICROSECONDS_PER_HOUR = 3_600_000_000


def require_exported(
    connection: sa.Connection, windows: Sequence[Window], now: dt.datetime
) -> None:
    """Refuses to count windows (unbroken) of which a closed hour is not in the lake.

    Raises:
        UpstreamNotReadyError: with the number of hours and the first of them.
    """
    last_closed = now.replace(minute=0, second=0, microsecond=0)
    missing = missing_hours(connection, windows[0].start, min(windows[-1].end, last_closed))
    if missing:
        raise UpstreamNotReadyError(
            f"{len(missing)} hours are not in the lake yet, the first "
            f"{missing[0]:%Y-%m-%d-%H:00}: they are marked now, and this partition follows by "
            "itself when they are exported; to do it by hand, materialise "
            "analytics/contact_activity for them first."
        )


def count_hours(
    connection: sa.Connection,
    windows: Sequence[Window],
    hours: LakeHours,
    lake: Lake,
    engine: Engine,
) -> dict[str, int]:
    """Replaces the rows of `hourly_events` for these hours; returns rows by partition key."""
    whole = Window(windows[0].start, windows[-1].end, windows[0].key, "hour")
    files = hours.files(lake, whole)
    rows = _with_hour(engine.query(_sql("count_hours"), files, {})) if files else None
    column = hourly_events.c.hour
    replace_rows(
        connection, hourly_events, sa.and_(column >= whole.start, column < whole.end), rows
    )
    return rows_per_key(rows, "hour", {w.start: w.key for w in windows})


def hours_hold(connection: sa.Connection, windows: Sequence[Window]) -> dict[str, Any]:
    """A digest of each hour's rows of `hourly_events`, by partition key; none where it has none."""
    hour = hourly_events.c.hour
    span = sa.and_(hour >= windows[0].start, hour < windows[-1].end)
    return _digests(connection, hourly_events, hour, span, {w.start: w.key for w in windows})


def days_hold(connection: sa.Connection, windows: Sequence[Window]) -> dict[str, Any]:
    """Returns a digest of each day's rows of `event_aggregates`, by partition key. Days without
    rows are absent."""
    date, kind = event_aggregates.c.date, event_aggregates.c.event_type
    keys = {w.date: w.key for w in windows}
    days = sa.and_(date.in_(list(keys)), ~kind.startswith(MONTHLY_PREFIX))
    return _digests(connection, event_aggregates, date, days, keys)


def _digests(
    connection: sa.Connection,
    table: sa.Table,
    column: sa.Column[Any],
    where: sa.ColumnElement[bool],
    keys: Mapping[Any, str],
) -> dict[str, Any]:
    row = sa.literal_column(f"{table.name}::text", sa.Text)
    digest = sa.func.sum(sa.func.hashtextextended(row, 0))
    found = connection.execute(sa.select(column, digest).where(where).group_by(column))
    return {keys[value]: number for value, number in found}


def count_days(
    connection: sa.Connection,
    windows: Sequence[Window],
    hours: LakeHours,
    lake: Lake,
    engine: Engine,
) -> dict[str, int]:
    """Replaces the days' rows of `event_aggregates`; returns rows by partition key."""
    rows = count_spans(windows, hours, lake, engine, _sql("count_span"))
    replace_rows(
        connection,
        event_aggregates,
        sa.and_(
            event_aggregates.c.date.in_([w.date for w in windows]),
            event_aggregates.c.event_type.not_like(f"{MONTHLY_PREFIX}%"),
        ),
        rows,
    )
    return rows_per_key(rows, "date", {w.date: w.key for w in windows})


def count_months(
    connection: sa.Connection,
    windows: Sequence[Window],
    hours: LakeHours,
    lake: Lake,
    engine: Engine,
) -> dict[str, int]:
    """Replaces the months' rows (`monthly:…`) of `event_aggregates`; returns rows by key."""
    rows = _with_monthly_types(count_spans(windows, hours, lake, engine, _sql("count_span")))
    replace_rows(
        connection,
        event_aggregates,
        sa.and_(
            event_aggregates.c.date.in_([w.date for w in windows]),
            event_aggregates.c.event_type.like(f"{MONTHLY_PREFIX}%"),
        ),
        rows,
    )
    return rows_per_key(rows, "date", {w.date: w.key for w in windows})


def count_campaign_days(
    connection: sa.Connection,
    windows: Sequence[Window],
    hours: LakeHours,
    lake: Lake,
    engine: Engine,
) -> dict[str, int]:
    """Replaces the days' rows of `campaign_daily_stats`; returns rows by partition key."""
    rows = count_spans(windows, hours, lake, engine, _sql("count_campaigns"))
    counted = [c for c in campaign_daily_stats.columns if c.name not in ENROLMENT_COLUMNS]
    stage(connection, counted, rows)
    days = [w.date for w in windows]
    connection.execute(sa.delete(campaign_daily_stats).where(campaign_daily_stats.c.date.in_(days)))
    inserted = connection.execute(
        sa.text(_sql("insert_campaign_daily_stats")),
        {"dates": days, "starts": [w.start for w in windows], "ends": [w.end for w in windows]},
    )
    counts: dict[dt.date, int] = {}
    for (date,) in inserted:
        counts[date] = counts.get(date, 0) + 1
    return {w.key: counts.get(w.date, 0) for w in windows}


def count_spans(
    windows: Sequence[Window], hours: LakeHours, lake: Lake, engine: Engine, statement: str
) -> "pa.Table | None":
    """Runs a statement over each window; returns all rows, with the window's `date` as a column.

    Args:
        statement: SQL that reads `events` within `:start` and `:end`.
    """
    import pyarrow as pa

    tables = []
    for span in windows:
        files = hours.files(lake, span)
        if files:
            counted = engine.query(statement, files, {"start": span.start, "end": span.end})
            label = pa.repeat(pa.scalar(span.date, pa.date32()), counted.num_rows)
            tables.append(counted.append_column("date", label))
    return pa.concat_tables(tables) if tables else None


def _with_hour(rows: "pa.Table") -> "pa.Table":
    """Replaces the columns `date` and `hour_of_day` by the instant they mean."""
    import pyarrow as pa
    import pyarrow.compute as pc

    day = rows["date"].cast(pa.timestamp("us"))
    microseconds = pc.multiply(rows["hour_of_day"].cast(pa.int64()), MICROSECONDS_PER_HOUR)
    hour = pc.assume_timezone(pc.add(day, microseconds.cast(pa.duration("us"))), "UTC")
    return rows.drop_columns(["date", "hour_of_day"]).append_column("hour", hour)


def _with_monthly_types(rows: "pa.Table | None") -> "pa.Table | None":
    import pyarrow as pa
    import pyarrow.compute as pc

    if rows is None:
        return None
    types = rows["event_type"].cast(pa.string())
    prefixed = pc.binary_join_element_wise(pa.scalar(MONTHLY_PREFIX), types, "")
    return rows.set_column(rows.schema.get_field_index("event_type"), "event_type", prefixed)


def rows_per_key(
    rows: "pa.Table | None", column: str, keys: Mapping[dt.date, str]
) -> dict[str, int]:
    """Counts rows by partition key, given the key of each value of a column; zeros included."""
    per_key = dict.fromkeys(keys.values(), 0)
    if rows is not None:
        for counted in rows[column].value_counts().to_pylist():
            per_key[keys[counted["values"]]] = counted["counts"]
    return per_key


@cache
def _sql(name: str) -> str:
    return resources.files(__package__).joinpath("sql", f"{name}.sql").read_text()
