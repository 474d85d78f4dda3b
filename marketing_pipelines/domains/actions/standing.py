"""Actions as people see and change them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from marketing_pipelines.domains.actions.repetition import Due
from marketing_pipelines.domains.actions.statements import read_sql
from marketing_pipelines.domains.actions.tables import runs, scheduled_actions
from marketing_pipelines.failures import BadInputError

MAX_SHOWN = 20
Change = Literal["pause", "resume", "run", "cancel"]


class ActionStateError(BadInputError):
    """An action cannot be changed this way in its present state."""


@dataclass(frozen=True)
class RunOfAction:
    """A due time that a route took.

    Attributes:
        route: External id of the route.
        state: `starting`, `queued` (the task or run has its own state) or `failed`.
        run_id: Dagster run of a job; None: it is a task.
    """

    due_at: dt.datetime
    route: str
    target: str
    name: str
    state: str
    run_id: str | None
    error: str | None


@dataclass(frozen=True)
class Action:
    """An action.

    Attributes:
        organization: External id.
        run_at: When it is due; None: it comes again and again.
        next_at: When it is due next; None: never again.
        last_due_at: The due time that was last taken.
        state: `active`, `paused`, `finished`, `skipped` or `cancelled`.
        runs: The latest 20 due times that routes took, the latest first.
    """

    id: int
    organization: str
    type: str
    payload: dict[str, Any]
    every: str | None
    zone: str | None
    run_at: dt.datetime | None
    until: dt.datetime | None
    catch_up: str
    state: str
    next_at: dt.datetime | None
    last_due_at: dt.datetime | None
    created_at: dt.datetime
    ended_at: dt.datetime | None
    runs: list[RunOfAction]


def find(
    connection: sa.Connection, action_id: int, organization_id: int | None = None
) -> Action | None:
    """An action with its latest runs.

    Args:
        organization_id: The one organization whose actions count; None: any.

    Returns:
        The action; None: there is no such one.
    """
    values = {"action_id": action_id, "organization_id": organization_id}
    row = connection.execute(read_sql("action"), values).one_or_none()
    if row is None:
        return None
    taken = connection.execute(read_sql("runs_of_action"), values | {"most": MAX_SHOWN}).all()
    return Action(**row._mapping, runs=[RunOfAction(*one) for one in taken])


def listed(
    connection: sa.Connection,
    organization_id: int | None,
    *,
    state: str | None = None,
    type_: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> Sequence[Any]:
    """Actions, the newest first.

    Args:
        organization_id: Of this organization; None: of all.
        state: In this state; None: in any.
        type_: Of this type; None: of any.
        before: Only those with a smaller number.
    """
    values = {
        "organization_id": organization_id,
        "state": state,
        "type": type_,
        "before": before,
        "most": limit,
    }
    return connection.execute(read_sql("actions"), values).all()


def change(connection: sa.Connection, action_id: int, asked: Change, now: dt.datetime) -> None:
    """Makes the change that a user asks for.

    Raises:
        ActionStateError: the action is in a state without this change.
    """
    if asked == "cancel":
        cancel(connection, action_id, now)
    elif asked == "run":
        run_now(connection, action_id, now)
    elif asked == "pause":
        pause(connection, action_id)
    else:
        resume(connection, action_id)


def pause(connection: sa.Connection, action_id: int) -> None:
    """Pauses an active action; a paused one stays paused.

    Raises:
        ActionStateError: it has ended.
    """
    _change(connection, action_id, "paused", ("active", "paused"), state="paused")


def resume(connection: sa.Connection, action_id: int) -> None:
    """Makes a paused action active; due times in between are missed ones.

    Raises:
        ActionStateError: it has ended.
    """
    _change(connection, action_id, "resumed", ("active", "paused"), state="active")


def cancel(connection: sa.Connection, action_id: int, now: dt.datetime) -> None:
    """Cancels an action; a cancelled one stays cancelled.

    Raises:
        ActionStateError: it has ended otherwise.
    """
    action = scheduled_actions.c
    _change(
        connection,
        action_id,
        "cancelled",
        ("active", "paused", "cancelled"),
        state="cancelled",
        next_at=None,
        ended_at=sa.func.coalesce(action.ended_at, now),
    )


def run_now(connection: sa.Connection, action_id: int, now: dt.datetime) -> None:
    """Makes an active or skipped action due now; one that comes again and again goes on as before.

    Raises:
        ActionStateError: it is paused, or has ended otherwise.
    """
    _change(
        connection,
        action_id,
        "run",
        ("active", "skipped"),
        state="active",
        ended_at=None,
        # An earlier due time would count as missed.
        next_at=now,
    )


def skip_due(connection: sa.Connection, reason: str, now: dt.datetime) -> int:
    """Leaves out the due times that have come, and the jobs that wait to be started.

    Args:
        reason: The error of those jobs.

    Returns:
        Number of actions that are left out.
    """
    action = scheduled_actions.c
    rows = connection.execute(
        sa.select(action.id, action.cron, action.zone, action.next_at, action.until)
        .where(action.state == "active", action.next_at <= now)
        .order_by(action.id)
        .with_for_update(key_share=True)
    ).all()
    due = Due(now)
    following = [
        None if row.cron is None else due.of(row.cron, row.zone, row.next_at, row.until)[1]
        for row in rows
    ]
    connection.execute(
        read_sql("skip_actions"),
        {"ids": [row.id for row in rows], "next_at": following, "now": now},
    )
    starting = sa.update(runs).where(runs.c.state == "starting")
    connection.execute(starting.values(state="failed", error=reason))
    return len(rows)


def _change(
    connection: sa.Connection, action_id: int, done: str, states: tuple[str, ...], **values: Any
) -> None:
    action = scheduled_actions.c
    changed = connection.execute(
        sa.update(scheduled_actions)
        .where(action.id == action_id, action.state.in_(states))
        .values(**values)
    ).rowcount
    if not changed:
        state = connection.execute(
            sa.select(action.state).where(action.id == action_id)
        ).scalar_one()
        raise ActionStateError(f"Action {action_id} is {state} and cannot be {done}.")
