"""Another reporting zone: every day and month is counted anew, the lake stays as it is."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import (
    campaign_daily_stats,
    event_aggregates,
    lake_hours,
)
from marketing_pipelines.freshness import propagation
from marketing_pipelines.freshness.partitions import (
    labelled_assets,
    window,
    window_at,
    windows_over,
)
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.tables import (
    finished_partitions,
    installation,
    stale_partitions,
)


def count_anew(connection: sa.Connection, settings: Settings) -> None:
    """Stores the zone, removes counts in the old zone, marks their partitions in the new one."""
    connection.execute(sa.update(installation).values(timezone=settings.timezone))
    connection.execute(sa.delete(event_aggregates))
    connection.execute(sa.delete(campaign_daily_stats))
    counted = labelled_assets("analytics")
    labelled = [asset.key for asset in counted]
    done = connection.execute(
        sa.select(finished_partitions.c.asset, finished_partitions.c.partition).where(
            finished_partitions.c.asset.in_(labelled)
        )
    ).all()
    for table in (finished_partitions, stale_partitions):
        connection.execute(sa.delete(table).where(table.c.asset.in_(labelled)))
    hours = connection.execute(sa.select(lake_hours.c.hour).where(lake_hours.c.rows > 0)).scalars()
    zone = settings.zone
    now = dt.datetime.now(dt.UTC)
    exported = [window_at("hour", hour, zone) for hour in hours]
    for asset in counted:
        over = windows_over(asset.grain, exported, zone)
        again = {window(asset.grain, row.partition, zone) for row in done if row.asset == asset.key}
        stale = sorted({w for w in over if asset.running or w.end <= now} | again)
        propagation.mark(connection, asset, stale, now=now, zone=zone)
