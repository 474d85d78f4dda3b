"""The assets of this domain, each followed by its clock."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from marketing_pipelines.domains.analytics import sources as events
from marketing_pipelines.domains.crm import sources as crm
from marketing_pipelines.domains.lifecycle import sources as lifecycle
from marketing_pipelines.domains.lifecycle.work import do_progress
from marketing_pipelines.presentation import every_item_done, with_items_checked
from marketing_pipelines.resources import Postgres
from marketing_pipelines.scheduling import scheduled

COMMON: dict[str, Any] = {"group_name": "campaigns", "owners": ["team:lifecycle"]}
# What decides where contacts go: steps, their fields, events, and the segments that rules name.
MOVING: list[Any] = [
    lifecycle.steps,
    lifecycle.enrolments,
    crm.contacts,
    events.events,
    dg.AssetKey(["segments", "memberships"]),
]


@dg.asset(
    key=["campaigns", "step_progress"],
    deps=[*MOVING, events.campaigns],
    check_specs=[every_item_done("campaigns/step_progress")],
    kinds={"postgres"},
    **COMMON,
)
def step_progress(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """Contacts of active campaigns who are due, moved on: mails, waits, branches. [000]"""
    with postgres.tick(context) as tick:
        do_progress(tick, "campaign")
    yield with_items_checked(tick)


step_progress_schedule = scheduled(step_progress, cron="*/5 * * * *", catch_up="once")


@dg.asset(
    key=["campaigns", "sequence_progress"],
    deps=MOVING,
    check_specs=[every_item_done("campaigns/sequence_progress")],
    kinds={"postgres"},
    **COMMON,
)
def sequence_progress(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """Contacts of active sequences who are due, moved on; who unsubscribes leaves. [004]"""
    with postgres.tick(context) as tick:
        do_progress(tick, "sequence", suppressed_exit=True)
    yield with_items_checked(tick)


sequence_progress_schedule = scheduled(sequence_progress, cron="*/5 * * * *", catch_up="once")
