"""The jobs of this domain: the lake, the aggregates, the warehouse."""

import dagster as dg

from marketing_pipelines.domains.analytics import contracts, publishing, sources, tables
from marketing_pipelines.domains.analytics import warehouse as warehouse_file
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.jobs.metadata import path_of
from marketing_pipelines.jobs.partitions import latest_of
from marketing_pipelines.jobs.resources import EventLake
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.files import FileStore

ANALYTICS = Domain("analytics", owner=Team.ANALYTICS)
_SOURCES_CHANGED = dg.AutomationCondition.any_deps_updated()
# Not `eager()`: that waits until no partition of the sources is missing, and most never exist. Not
# `since_last_handled()`: a run that ends counts there as one that read what changed while it ran.
# A change holds until a run is requested after it.
AFTER_ITS_SOURCES = (
    _SOURCES_CHANGED.since(
        (dg.AutomationCondition.newly_requested() | dg.AutomationCondition.initial_evaluation())
        & ~_SOURCES_CHANGED
    )
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)


@ANALYTICS.job(
    cron="0 * * * *",
    partitions="hour",
    deps=[sources.events],
    checks=[contracts.ROWS_MATCH_SOURCE, contracts.RECEIVED_AFTER_OCCURRED],
    table=tables.contact_activity,
    kinds={"postgres", "parquet"},
)
def contact_activity(tick: Tick, lake: EventLake) -> None:
    """Exports each closed hour of events, whole, as one Parquet file in the lake."""
    publishing.export_hours(tick, lake.open())


@ANALYTICS.job(
    partitions="hour",
    runs_with=contact_activity,
    deps=[contact_activity],
    checks=[contracts.UNIQUES_WITHIN_EVENTS],
    table=tables.hourly_events,
    kinds={"duckdb", "postgres"},
)
def hourly_events(tick: Tick, lake: EventLake) -> None:
    """Counts events and distinct contacts per organization, type and UTC hour."""
    with lake.engine() as engine:
        publishing.publish_hours(tick, lake.open(), engine)


@ANALYTICS.job(
    cron="0 * * * *",
    partitions="day",
    running=True,
    deps=[contact_activity, hourly_events],
    checks=[contracts.UNIQUES_WITHIN_EVENTS, contracts.HOURS_ADD_UP],
    table=tables.event_aggregates,
    kinds={"duckdb", "postgres"},
)
def event_aggregates(tick: Tick, lake: EventLake) -> None:
    """Counts events and distinct contacts per organization, type and day. The running day counts up
    to its last closed hour."""
    with lake.engine() as engine:
        publishing.publish_days(tick, lake.open(), engine)


@ANALYTICS.job(
    cron="0 2 * * *",
    partitions="day",
    deps=[contact_activity, sources.campaigns, sources.campaign_contacts],
    checks=[contracts.UNIQUES_WITHIN_EVENTS, contracts.FUNNEL_IS_PLAUSIBLE],
    table=tables.campaign_daily_stats,
    kinds={"duckdb", "postgres"},
)
def campaign_daily_stats(tick: Tick, lake: EventLake) -> None:
    """Counts the events and contacts of each campaign and day, zeros included."""
    with lake.engine() as engine:
        publishing.publish_campaign_days(tick, lake.open(), engine)


@ANALYTICS.job(
    cron="0 3 1 * *",
    partitions="month",
    deps=[contact_activity, event_aggregates],
    checks=[contracts.UNIQUES_WITHIN_EVENTS, contracts.DAYS_ADD_UP],
    table=tables.event_aggregates,
    kinds={"duckdb", "postgres"},
)
def monthly_usage(tick: Tick, lake: EventLake) -> None:
    """Counts events and distinct contacts per organization, type and month, for billing."""
    with lake.engine() as engine:
        publishing.publish_months(tick, lake.open(), engine)


@ANALYTICS.job(
    deps=[latest_of(hourly_events), event_aggregates, campaign_daily_stats, monthly_usage],
    automation=AFTER_ITS_SOURCES,
    kinds={"duckdb"},
)
def warehouse(tick: Tick, lake: EventLake) -> None:
    """Publishes all aggregates, with views of the lake, in one DuckDB file to open anywhere."""
    files = FileStore.of_warehouse(tick.settings)
    with tick.begin() as connection:
        written = warehouse_file.publish(connection, files, lake.open())
    tick.rows = sum(written.values())
    tick.metadata |= {"tables": written, "file": path_of(files.place(warehouse_file.PATH))}
