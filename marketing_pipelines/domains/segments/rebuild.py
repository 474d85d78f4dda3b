"""Recounts segments after a change of the reporting zone. Every day is counted anew, and so are
rules of organizations that have no zone of their own."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.segments.tables import (
    daily_overlaps,
    daily_sizes,
    touched_contacts,
)
from marketing_pipelines.freshness import propagation
from marketing_pipelines.freshness.partitions import labelled_assets, window
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.tables import finished_partitions, stale_partitions


def count_anew(connection: sa.Connection, settings: Settings) -> None:
    """Removes and marks the counts of the old zone; makes segments evaluate all contacts."""
    without_zone = sa.select(organizations.c.id).where(organizations.c.timezone.is_(None))
    connection.execute(sa.insert(touched_contacts).from_select(["organization_id"], without_zone))
    for table in (daily_sizes, daily_overlaps):
        connection.execute(sa.delete(table))
    [sizes] = labelled_assets("segments")
    of_sizes = finished_partitions.c.asset == sizes.key
    done = connection.execute(
        sa.delete(finished_partitions).where(of_sizes).returning(finished_partitions.c.partition)
    ).scalars()
    days = sorted(window("day", key, settings.zone) for key in done)
    connection.execute(sa.delete(stale_partitions).where(stale_partitions.c.asset == sizes.key))
    now = dt.datetime.now(dt.UTC)
    propagation.mark(connection, sizes, days, now=now, zone=settings.zone)
