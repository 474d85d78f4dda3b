"""The assets of this domain, each followed by its clock."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from marketing_pipelines.domains.analytics import sources as events
from marketing_pipelines.domains.campaigns import completions as completing
from marketing_pipelines.domains.campaigns import sources
from marketing_pipelines.domains.campaigns.tables import campaigns
from marketing_pipelines.domains.campaigns.work import do_reports
from marketing_pipelines.domains.lifecycle import sources as lifecycle
from marketing_pipelines.domains.lifecycle.work import do_progress
from marketing_pipelines.domains.segments.jobs import memberships
from marketing_pipelines.jobs.metadata import (
    column_descriptions,
    every_item_done,
    result_with_item_check,
    table_of,
)
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import scheduled

COMMON: dict[str, Any] = {"group_name": "campaigns", "owners": ["team:lifecycle"]}


@dg.asset(
    key=["campaigns", "step_progress"],
    deps=[*lifecycle.MOVING, memberships, events.campaigns],
    check_specs=[every_item_done("campaigns/step_progress")],
    kinds={"postgres"},
    **COMMON,
)
def step_progress(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """Contacts of active campaigns who are due, moved on: mails, waits, branches."""
    with postgres.tick(context) as tick:
        do_progress(tick, "campaign", connections=postgres.settings.step_connections)
    yield result_with_item_check(tick)


step_progress_schedule = scheduled(step_progress, cron="*/5 * * * *", catch_up="once")


@dg.asset(
    key=["campaigns", "sequence_progress"],
    deps=[*lifecycle.MOVING, memberships, sources.sequences],
    check_specs=[every_item_done("campaigns/sequence_progress")],
    kinds={"postgres"},
    **COMMON,
)
def sequence_progress(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """Moves due contacts of active sequences on; unsubscribed contacts leave."""
    with postgres.tick(context) as tick:
        do_progress(
            tick, "sequence", connections=postgres.settings.step_connections, suppressed_exit=True
        )
    yield result_with_item_check(tick)


sequence_progress_schedule = scheduled(sequence_progress, cron="*/5 * * * *", catch_up="once")


@dg.asset(
    key=["campaigns", "completions"],
    deps=[events.campaigns, events.campaign_contacts],
    check_specs=[every_item_done(completing.JOB)],
    metadata=column_descriptions(campaigns),
    kinds={"postgres"},
    **COMMON,
)
def completions(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """Campaigns that are over become completed, as of their last contact's finish."""
    with postgres.tick(context) as tick:
        done: list[completing.Completion] = []
        with tick.begin(isolation="read committed") as connection:
            done = completing.complete_all(connection, tick.instant, tick.items)
        tick.rows = len(done)
        tick.metadata["completed"] = table_of(
            ("campaign", "name", "completed at"),
            [(one.campaign, one.name, f"{one.completed_at:%Y-%m-%d %H:%M} UTC") for one in done],
        )
    yield result_with_item_check(tick)


completions_schedule = scheduled(completions, cron="0 * * * *", catch_up="once")


@dg.asset(
    key=["campaigns", "reports"],
    deps=[
        events.campaigns,
        lifecycle.steps,
        step_progress,
        dg.AssetKey(["analytics", "campaign_daily_stats"]),
    ],
    check_specs=[every_item_done("campaigns/reports")],
    kinds={"postgres", "html"},
    **COMMON,
)
def reports(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """One HTML report for each campaign: who came how far, why others did not, day by day."""
    with postgres.tick(context) as tick:
        do_reports(tick, postgres.settings.reports_folder / "campaigns")
    yield result_with_item_check(tick)


reports_schedule = scheduled(reports, cron="30 2 * * *", catch_up="once")
