"""The work of the jobs of stages, recycling and follow-ups on one tick."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.leads.follow_ups import follow_up
from marketing_pipelines.domains.leads.recycling import recycle
from marketing_pipelines.domains.leads.stages.moving import StageReport, move_contacts
from marketing_pipelines.domains.leads.statements import all_organizations, name_of
from marketing_pipelines.jobs.metadata import table_of
from marketing_pipelines.runs.tick import Tick

MAX_SHOWN = 100


def move_stages(tick: Tick) -> None:
    """Moves the contacts of each organization to their next stages."""
    report = StageReport()

    def move_own(connection: sa.Connection, organization: Any) -> int:
        number = move_contacts(connection, organization, tick.instant, tick.zone, report)
        tick.failures.parts_failed(connection, name_of(organization), report.broken)
        return number

    _each(tick, move_own)
    tick.metadata["moves"] = table_of(("move", "contacts"), sorted(report.moved.items()))
    tick.metadata["left_alone"] = sum(contacts for _, _, contacts in report.unnamed)
    tick.metadata["stages_without_rule"] = table_of(
        ("organization", "stage", "contacts"), report.unnamed[:MAX_SHOWN]
    )


def recycle_leads(tick: Tick) -> None:
    """Recycles the lost leads of each organization."""
    without_sequence: list[str] = []

    def recycle_own(connection: sa.Connection, organization: Any) -> int:
        number, has_sequence = recycle(connection, organization, tick.instant)
        if number and not has_sequence:
            without_sequence.append(organization.external_id)
        return number

    _each(tick, recycle_own)
    if without_sequence:
        named = ", ".join(without_sequence[:MAX_SHOWN])
        tick.metadata["note"] = f"Without recycling.sequence, leads got a task only: {named}."


def write_follow_ups(tick: Tick) -> None:
    """Writes the due follow-ups of each organization."""
    _each(
        tick,
        lambda connection, organization: follow_up(connection, organization, tick.instant),
    )


def _each(tick: Tick, work: Callable[[sa.Connection, Any], int]) -> None:
    """Does the work of each organization in a transaction of its own, as an item."""
    with tick.begin() as connection:
        organizations = all_organizations(connection)
    for organization in organizations:
        with tick.begin(isolation="read committed") as connection:
            for item in tick.items(connection, [organization], name_of):
                with item:
                    tick.rows += work(connection, organization)
