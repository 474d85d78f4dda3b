"""The jobs of this domain."""

from marketing_pipelines.domains.analytics import sources as analytics
from marketing_pipelines.domains.crm import sources as crm
from marketing_pipelines.domains.segments import publishing_passes, sources, tables
from marketing_pipelines.jobs.domain import Domain, partitions_of
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

SEGMENTS = Domain("segments", owner=Team.LIFECYCLE)


@SEGMENTS.job(
    cron="0 * * * *",
    deps=[sources.rules, crm.contacts, analytics.events],
    table=tables.memberships,
    items=True,
)
def memberships(tick: Tick) -> None:
    """Evaluates the rules of segments and publishes their members at once."""
    publishing_passes.evaluate_all(tick, sizes=partitions_of(daily_sizes))


@SEGMENTS.job(cron="30 0 * * *", partitions="day", deps=[memberships], table=tables.daily_sizes)
def daily_sizes(tick: Tick) -> None:
    """Counts each segment's members at the day's end, entries, exits, and overlaps."""
    publishing_passes.count_days(tick)
