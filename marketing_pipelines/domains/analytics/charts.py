"""The chart of campaign days for the Dagster UI."""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import campaign_daily_stats
from marketing_pipelines.jobs.metadata import line_chart

CHART_DAYS = 28
DRAWN = ("sent", "delivered", "opened", "clicked")


def daily_chart(connection: sa.Connection, until: dt.date) -> Any:
    """Sent, delivered, opened and clicked per day over the four weeks to `until`, as an image."""
    stats = campaign_daily_stats.c
    rows = connection.execute(
        sa.select(
            stats.date,
            *(sa.func.sum(stats[name]) for name in DRAWN),
        )
        .where(stats.date > until - dt.timedelta(days=CHART_DAYS), stats.date <= until)
        .group_by(stats.date)
        .order_by(stats.date)
    ).all()
    days = [row[0] for row in rows]
    return line_chart(
        [
            (name, days, [int(row[position]) for row in rows])
            for position, name in enumerate(DRAWN, start=1)
        ],
        "events per day",
    )
