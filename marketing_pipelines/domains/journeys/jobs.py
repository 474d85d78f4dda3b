"""The assets of this domain, each followed by its clock."""

import functools
from collections.abc import Iterator
from typing import Any

import dagster as dg

from marketing_pipelines.domains.journeys import entries, sources, stale
from marketing_pipelines.domains.journeys import segment_entries as by_segments
from marketing_pipelines.domains.lifecycle import sources as lifecycle
from marketing_pipelines.domains.lifecycle.tables import enrolments
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
from marketing_pipelines.runs.sessions import last_tick_done

COMMON: dict[str, Any] = {
    "group_name": "journeys",
    "owners": ["team:lifecycle"],
    "metadata": column_descriptions(enrolments),
    "kinds": {"postgres"},
}


@dg.asset(
    key=["journeys", "segment_entries"],
    deps=[memberships, sources.journeys],
    check_specs=[every_item_done(by_segments.JOB)],
    **COMMON,
)
def segment_entries(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """Contacts that entered a segment enter the programs that it feeds."""
    with postgres.tick(context) as tick:
        begin = functools.partial(tick.begin, isolation="read committed")
        tick.rows = by_segments.start_by_segments(begin, tick.instant, tick.items)
    yield result_with_item_check(tick)


segment_entries_schedule = scheduled(segment_entries, cron="5 * * * *", catch_up="once")


@dg.asset(
    key=["journeys", "step_progress"],
    deps=[*lifecycle.MOVING, memberships, sources.journeys],
    check_specs=[every_item_done("journeys/step_progress")],
    **COMMON,
)
def step_progress(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """Executions of active journeys that are due, moved on; events and dates begin others."""
    with postgres.tick(context) as tick:
        begun = entries.start_due(tick.sharing, tick.instant, tick.zone, tick.items)
        do_progress(tick, "journey", connections=postgres.settings.step_connections)
        tick.metadata |= {"begun_by_events": begun.by_events, "begun_by_dates": begun.by_dates}
        for name, counted in (
            ("events_left_out", begun.events_left_out),
            ("not_dates", begun.not_dates),
        ):
            tick.metadata[name] = sum(counted.values())
            if counted:
                tick.metadata[f"{name}_by_trigger"] = table_of(("trigger", name), counted.items())
    yield result_with_item_check(tick)


step_progress_schedule = scheduled(step_progress, cron="*/5 * * * *", catch_up="once")


@dg.asset(
    key=["journeys", "stale_executions"],
    deps=[sources.journeys],
    check_specs=[every_item_done(stale.JOB)],
    **COMMON,
)
def stale_executions(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """Executions that nothing moved for more than a week are canceled."""
    with postgres.tick(context) as tick:
        with tick.begin() as connection:
            passed = last_tick_done(connection, stale.MOVER)
            organizations = stale.organizations(connection)
        for organization in organizations:
            with tick.begin(isolation="read committed") as connection:
                for item in tick.items(connection, [organization], stale.name_of):
                    with item:
                        tick.rows += stale.cancel_stale(
                            connection, organization.id, tick.instant, passed
                        )
        tick.metadata["moved_until"] = f"{passed:%Y-%m-%d %H:%M} UTC" if passed else "never"
    yield result_with_item_check(tick)


stale_executions_schedule = scheduled(stale_executions, cron="0 3 * * *", catch_up="once")
