"""The assets of this domain, each followed by its clock."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from marketing_pipelines.domains.analytics import sources, tables
from marketing_pipelines.domains.analytics import warehouse as warehouse_file
from marketing_pipelines.domains.analytics.contracts import Outcome
from marketing_pipelines.domains.analytics.partitions import (
    CAMPAIGN_DAILY_STATS,
    CONTACT_ACTIVITY,
    EVENT_AGGREGATES,
    HOURLY_EVENTS,
    MONTHLY_USAGE,
)
from marketing_pipelines.domains.analytics.presentation import (
    check_specs,
    fresh_within,
    presented,
)
from marketing_pipelines.domains.analytics.work import (
    do_campaign_days,
    do_days,
    do_export,
    do_hours,
    do_months,
)
from marketing_pipelines.jobs.metadata import column_descriptions
from marketing_pipelines.jobs.resources import EventLake, Postgres
from marketing_pipelines.jobs.scheduling import (
    SINGLE_RUN,
    daily,
    hourly,
    monthly,
    over,
    scheduled,
)

Results = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]
COMMON: dict[str, Any] = {
    "group_name": "analytics",
    "owners": ["team:analytics"],
}
# Not `eager()`: that waits until no partition of the sources is missing, and most never exist.
AFTER_ITS_SOURCES = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)
# Output is not required: a run that finds another at the work has made nothing.
PARTITIONED: dict[str, Any] = COMMON | {"backfill_policy": SINGLE_RUN, "output_required": False}


@dg.asset(
    key=["analytics", "contact_activity"],
    partitions_def=hourly(),
    deps=[sources.events],
    check_specs=check_specs(CONTACT_ACTIVITY),
    freshness_policy=fresh_within(CONTACT_ACTIVITY),
    metadata=column_descriptions(tables.contact_activity),
    kinds={"postgres", "parquet"},
    **PARTITIONED,
)
def contact_activity(
    context: dg.AssetExecutionContext, postgres: Postgres, lake: EventLake
) -> Results:
    """Each closed hour of events, whole, as one Parquet file in the lake."""
    outcomes: list[Outcome] = []
    with postgres.tick(context) as tick:
        outcomes = do_export(tick, lake.open())
    yield from presented(tick, CONTACT_ACTIVITY, outcomes)


@dg.asset(
    key=["analytics", "hourly_events"],
    partitions_def=hourly(),
    deps=[contact_activity],
    check_specs=check_specs(HOURLY_EVENTS),
    freshness_policy=fresh_within(HOURLY_EVENTS),
    metadata=column_descriptions(tables.hourly_events),
    kinds={"duckdb", "postgres"},
    **PARTITIONED,
)
def hourly_events(
    context: dg.AssetExecutionContext, postgres: Postgres, lake: EventLake
) -> Results:
    """Events and distinct contacts per organization, type and UTC hour."""
    outcomes: list[Outcome] = []
    with postgres.tick(context) as tick, lake.engine() as engine:
        outcomes = do_hours(tick, lake.open(), engine)
    yield from presented(tick, HOURLY_EVENTS, outcomes)


contact_activity_schedule = scheduled(
    contact_activity,
    cron=CONTACT_ACTIVITY.cron,
    catch_up="all",
    partitions=CONTACT_ACTIVITY,
    together_with=[hourly_events],
)


@dg.asset(
    key=["analytics", "event_aggregates"],
    partitions_def=daily(),
    deps=[over(contact_activity), over(hourly_events)],
    check_specs=check_specs(EVENT_AGGREGATES),
    freshness_policy=fresh_within(EVENT_AGGREGATES),
    metadata=column_descriptions(tables.event_aggregates),
    kinds={"duckdb", "postgres"},
    **PARTITIONED,
)
def event_aggregates(
    context: dg.AssetExecutionContext, postgres: Postgres, lake: EventLake
) -> Results:
    """Events and distinct contacts per organization, type and day; the running day up to its last
    closed hour."""
    outcomes: list[Outcome] = []
    with postgres.tick(context) as tick, lake.engine() as engine:
        outcomes = do_days(tick, lake.open(), engine)
    yield from presented(tick, EVENT_AGGREGATES, outcomes)


event_aggregates_schedule = scheduled(
    event_aggregates, cron=EVENT_AGGREGATES.cron, catch_up="all", partitions=EVENT_AGGREGATES
)


@dg.asset(
    key=["analytics", "campaign_daily_stats"],
    partitions_def=daily(),
    deps=[over(contact_activity), sources.campaigns, sources.campaign_contacts],
    check_specs=check_specs(CAMPAIGN_DAILY_STATS),
    freshness_policy=fresh_within(CAMPAIGN_DAILY_STATS),
    metadata=column_descriptions(tables.campaign_daily_stats),
    kinds={"duckdb", "postgres"},
    **PARTITIONED,
)
def campaign_daily_stats(
    context: dg.AssetExecutionContext, postgres: Postgres, lake: EventLake
) -> Results:
    """What happened in each campaign on each day, zeros included."""
    outcomes: list[Outcome] = []
    with postgres.tick(context) as tick, lake.engine() as engine:
        outcomes = do_campaign_days(tick, lake.open(), engine)
    yield from presented(tick, CAMPAIGN_DAILY_STATS, outcomes)


campaign_daily_stats_schedule = scheduled(
    campaign_daily_stats,
    cron=CAMPAIGN_DAILY_STATS.cron,
    catch_up="all",
    partitions=CAMPAIGN_DAILY_STATS,
)


@dg.asset(
    key=["analytics", "monthly_usage"],
    partitions_def=monthly(),
    deps=[over(contact_activity), over(event_aggregates)],
    check_specs=check_specs(MONTHLY_USAGE),
    freshness_policy=fresh_within(MONTHLY_USAGE),
    metadata=column_descriptions(tables.event_aggregates),
    kinds={"duckdb", "postgres"},
    **PARTITIONED,
)
def monthly_usage(
    context: dg.AssetExecutionContext, postgres: Postgres, lake: EventLake
) -> Results:
    """Events and distinct contacts per organization, type and month, for billing."""
    outcomes: list[Outcome] = []
    with postgres.tick(context) as tick, lake.engine() as engine:
        outcomes = do_months(tick, lake.open(), engine)
    yield from presented(tick, MONTHLY_USAGE, outcomes)


monthly_usage_schedule = scheduled(
    monthly_usage, cron=MONTHLY_USAGE.cron, catch_up="all", partitions=MONTHLY_USAGE
)


@dg.asset(
    key=["analytics", "warehouse"],
    deps=[hourly_events, event_aggregates, campaign_daily_stats, monthly_usage],
    automation_condition=AFTER_ITS_SOURCES,
    kinds={"duckdb"},
    **COMMON,
)
def warehouse(
    context: dg.AssetExecutionContext, postgres: Postgres, lake: EventLake
) -> dg.MaterializeResult[Any]:
    """All aggregates, and the lake beside them, in one DuckDB file to open anywhere."""
    tables_written: dict[str, int] = {}
    with postgres.tick(context) as tick, tick.begin() as connection:
        tables_written = warehouse_file.publish(
            connection, postgres.settings.warehouse_path, lake.open()
        )
        tick.rows = sum(tables_written.values())
    return tick.result(tables=tables_written)
