"""Taking due actions: each due time goes to each of its routes once.

A batch is one transaction: the rows of `actions.runs`, the next due times and the queued tasks are
there together or not at all. A job is started afterwards, under the lock of its row and with a run
number that was chosen with the row, so a run that is killed in between starts it no second time.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.actions.repetition import LATE, Due
from marketing_pipelines.domains.actions.statements import read_sql
from marketing_pipelines.domains.actions.tables import runs, scheduled_actions
from marketing_pipelines.domains.webhooks.addressed import AddressedEvent, publish_addressed
from marketing_pipelines.domains.webhooks.tasks import ring
from marketing_pipelines.failures import PermanentError
from marketing_pipelines.queueing import tasks
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.tasks import GIVEN, Task
from marketing_pipelines.stores.postgres import Begin

BATCH = 500
MOST = 10_000
StartJob = Callable[[str, str], None]


class NoRouteError(PermanentError):
    """No route takes an action."""


def is_due(connection: sa.Connection, now: dt.datetime) -> bool:
    """Returns true if an action is due, or a job waits to be started."""
    action = scheduled_actions.c
    due = sa.exists().where(action.state == "active", action.next_at <= now)
    starting = sa.exists().where(runs.c.state == "starting")
    return bool(connection.execute(sa.select(sa.or_(due, starting))).scalar_one())


def take_due(begin: Begin, tick: dt.datetime, without_route: Task) -> int:
    """Takes at most 10,000 due actions, in batches; returns their number.

    Args:
        begin: A transaction of read committed; several runs may work at once.
        without_route: The task that gets actions which no route takes.
    """
    taken = 0
    due = Due(tick)
    while taken < MOST:
        with begin() as connection:
            rows = connection.execute(read_sql("due_actions"), {"tick": tick, "size": BATCH}).all()
            if rows:
                _take(connection, rows, due, tick, without_route)
        taken += len(rows)
        if len(rows) < BATCH:
            break
    return taken


def _take(
    connection: sa.Connection,
    rows: Sequence[Any],
    due: Due,
    tick: dt.datetime,
    without_route: Task,
) -> None:
    times = [
        (row.next_at, None)
        if row.cron is None
        else due.of(row.cron, row.zone, row.next_at, row.until)
        for row in rows
    ]
    is_missed = [
        row.catch_up == "skip" and tick - due_at > LATE
        for row, (due_at, _) in zip(rows, times, strict=True)
    ]
    found = connection.execute(
        read_sql("take_actions"),
        {
            "ids": [row.id for row in rows],
            "due_at": [due_at for due_at, _ in times],
            "next_at": [next_at for _, next_at in times],
            "is_missed": is_missed,
            "tick": tick,
        },
    ).all()
    routed = [row for row in found if row.target is not None]
    hand_over(connection, routed, tick, without_route)
    unrouted = [
        {"action_id": row.action_id, "due_at": row.due_at.astimezone(dt.UTC).isoformat()}
        for row in found
        if row.target is None
    ]
    if unrouted:
        enqueue(connection, without_route, unrouted)


def route_again(
    connection: sa.Connection,
    action_id: int,
    due_at: str,
    tick: dt.datetime,
    without_route: Task,
) -> None:
    """Leads a due time that no route took to the routes that there are now.

    Raises:
        NoRouteError: there is none still.
    """
    values = {"action_id": action_id, "due_at": dt.datetime.fromisoformat(due_at), "tick": tick}
    found = connection.execute(read_sql("route_action"), values).all()
    was_routed = sa.exists().where(runs.c.action_id == action_id, runs.c.due_at == values["due_at"])
    if not found and not connection.execute(sa.select(was_routed)).scalar_one():
        named = connection.execute(
            sa.select(scheduled_actions.c.type).where(scheduled_actions.c.id == action_id)
        ).scalar()
        if named is None:
            return
        raise NoRouteError(
            f"No route takes actions of the type {named} (action {action_id}): load one with "
            "`load action_routes`, then redrive this dead letter."
        )
    hand_over(connection, found, tick, without_route)


def hand_over(
    connection: sa.Connection, rows: Sequence[Any], tick: dt.datetime, without_route: Task
) -> None:
    """Queues the tasks and writes the deliveries of rows of `take_actions`, in their transaction.

    Jobs are started later.

    A task that this release does not declare is queued with those that have no route, and becomes a
    dead letter that names it.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.target == "task":
            by_name.setdefault(row.name, []).append(_payload(row))
    for name, payloads in by_name.items():
        known = tasks.declared().get(name)
        enqueue(connection, known or replace(without_route, name=name), payloads)
    _publish(connection, [row for row in rows if row.target == "endpoint"], tick)


def _publish(connection: sa.Connection, rows: Sequence[Any], tick: dt.datetime) -> None:
    """Writes a delivery for each row; the key of its event is that of the row."""
    if not rows:
        return
    events = [
        AddressedEvent(
            organization_id=row.organization_id,
            endpoint_id=int(row.name),
            event_id=f"action:{row.id}",
            type=row.type,
            data={"action": row.action_id, "due_at": _text(row.due_at), "payload": row.payload},
        )
        for row in rows
    ]
    without = publish_addressed(connection, events, tick)
    ring(connection, {event.endpoint_id for event in events})
    refused = [int(event.event_id.removeprefix("action:")) for event in without]
    if refused:
        error = sa.func.concat(
            "The organization has no enabled webhook endpoint ",
            runs.c.name,
            ": look at `webhook list`, then ask for the action again.",
        )
        changed = sa.update(runs).where(runs.c.id.in_(refused))
        connection.execute(changed.values(state="failed", error=error))


def _payload(row: Any) -> Mapping[str, Any]:
    given = {
        "organization_id": row.organization_id,
        "action_key": f"action {row.action_id} at {_text(row.due_at)}",
    }
    known = tasks.declared().get(row.name)
    wanted = GIVEN if known is None else known.parameters
    return {**row.payload, **{name: given[name] for name in GIVEN if name in wanted}}


def _text(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat()


def start_jobs(begin: Begin, start: StartJob, attempt: Callable[[sa.Connection, Any], Any]) -> None:
    """Starts the jobs of taken actions, each under the lock of its row.

    Args:
        start: Puts a run of a job, with a given number, into Dagster's queue.
        attempt: Makes an item of a row; a failure that may pass leaves it for the next run.
    """
    after = 0
    while True:
        with begin() as connection:
            row = connection.execute(read_sql("starting_jobs"), {"after": after}).first()
            if row is None:
                return
            after = row.id
            outcome: dict[str, str | None] = {}
            for item in attempt(connection, row):
                with item:
                    try:
                        start(row.name, row.run_id)
                    except PermanentError as refused:
                        outcome = {"state": "failed", "error": str(refused)}
                        raise
                    outcome = {"state": "done"}
            if outcome:
                connection.execute(sa.update(runs).where(runs.c.id == row.id).values(**outcome))
