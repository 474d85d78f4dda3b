"""Daily sizes of segments: members, entries, exits, and the overlap of each two."""

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from marketing_pipelines.domains.segments.segment_graph import read_sql
from marketing_pipelines.domains.segments.tables import daily_overlaps, daily_sizes
from marketing_pipelines.freshness.partitions import Window


def count_days(connection: sa.Connection, days: Sequence[Window]) -> dict[str, int]:
    """Replaces the rows of these days, which follow each other; returns rows by partition key."""
    dates = [day.date for day in days]
    for table in (daily_sizes, daily_overlaps):
        connection.execute(sa.delete(table).where(table.c.date.in_(dates)))
    counted = connection.execute(
        read_sql("count_sizes"),
        {"dates": dates, "starts": [day.start for day in days], "end": days[-1].end},
    )
    rows: dict[dt.date, int] = {}
    for (date,) in counted:
        rows[date] = rows.get(date, 0) + 1
    for day in days:
        connection.execute(read_sql("count_overlaps"), {"date": day.date, "end": day.end})
    return {day.key: rows.get(day.date, 0) for day in days}
