"""Contacts that entered a segment enter the programs that it feeds.

The members of a segment are published in one transaction with the instant of their evaluation,
and neither goes back. So a trigger stores that instant as its progress. Contacts that entered at
exactly that instant are read again, since a segment may be evaluated twice for one instant.
"""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.journeys.enrolling import (
    enrol,
    evaluate_each,
    live,
    note_evaluated,
    read_sql,
)
from marketing_pipelines.domains.segments.tables import memberships
from marketing_pipelines.failures import BadInputError, RetryableError
from marketing_pipelines.runs.items import Items
from marketing_pipelines.stores.postgres import Begin

JOB = "journeys/segment_entries"


class NotEvaluatedError(RetryableError):
    """The segment of a trigger was never evaluated."""


def are_due(connection: sa.Connection) -> bool:
    """Returns true if a segment was evaluated since a trigger last looked at it."""
    return bool(connection.execute(read_sql("segment_entries_are_due")).scalar_one())


def start_by_segments(begin: Begin, tick: dt.datetime, items: Items) -> int:
    """Enrols the contacts that entered a segment since each trigger was last evaluated.

    Args:
        begin: A transaction of read committed.
        items: As `Tick.items`.

    Returns:
        Number of new enrolments.
    """
    with begin() as connection:
        triggers = live(connection, "segment")
    return evaluate_each(
        begin, items, triggers, lambda connection, trigger: evaluate(connection, trigger, tick)
    )


def evaluate(connection: sa.Connection, trigger: Any, tick: dt.datetime) -> int:
    """Enrols the contacts that one trigger, which the transaction holds, has not yet seen.

    Raises:
        BadInputError: its segment is no longer there.
        NotEvaluatedError: its segment was never evaluated.
    """
    segment = connection.execute(
        read_sql("segment_state"), {"id": trigger.segment_id}
    ).one_or_none()
    if segment is None:
        raise BadInputError("Its segment was deleted: load the trigger with another one.")
    if segment.first_evaluated_at is None:
        raise NotEvaluatedError(
            f"Segment '{segment.external_id}' was never evaluated: look at its rule, or wait for "
            "segments/memberships."
        )
    # A segment that fails keeps its members and alerts its owner; until then no contact enters.
    if segment.evaluated_at is None:
        return 0
    begun = enrol(connection, trigger, tick, _entered(trigger, segment))
    note_evaluated(connection, trigger, segment.evaluated_at)
    return begun


def _entered(trigger: Any, segment: Any) -> sa.Select[Any]:
    """Returns the members to enrol, as far as the segment is evaluated. For the policy
    `each_entry`, members that have left again are among them."""
    entered_at = memberships.c.entered_at
    tests = [
        memberships.c.segment_id == trigger.segment_id,
        entered_at <= segment.evaluated_at,
    ]
    if trigger.policy in ("once", "backfill"):
        tests.append(memberships.c.left_at.is_(None))
    if trigger.evaluated_at is not None:
        tests.append(entered_at >= trigger.evaluated_at)
    if trigger.policy != "backfill":
        tests.append(entered_at > segment.first_evaluated_at)
        tests.append(entered_at >= trigger.started_at)
    entry = sa.func.to_char(entered_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"', type_=sa.Text)
    return sa.select(memberships.c.contact_id, entered_at.label("at"), entry.label("entry")).where(
        *tests
    )
