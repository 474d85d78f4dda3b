"""Events let their contacts into programs.

Awaited events are noted in their own transaction, so that none is missed however late it commits; a
pass takes what was noted. A trigger that did not see an event, because its program is paused or
because it failed, loses its `evaluated_at`: as soon as it can it reads all its events anew, each of
which starts something once.
"""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.journeys.enrolling import (
    Begin,
    Items,
    enrol,
    evaluate_each,
    holds_program,
    live,
    name_of,
    note_evaluated,
    read_sql,
)
from marketing_pipelines.domains.lifecycle.tables import event_arrivals
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.open_writers import CLOCK_DIFFERENCE, OPEN_WRITERS
from marketing_pipelines.stores.temporary import create_temporary

PAGE = 10_000
_LOCK = "lifecycle/event_arrivals"
_arrived = sa.table(
    "arrived",
    sa.column("organization_id", sa.BigInteger),
    sa.column("contact_id", sa.BigInteger),
    sa.column("event_type", sa.Text),
    sa.column("event_id", sa.Text),
    sa.column("occurred_at", sa.DateTime(timezone=True)),
)


def start_by_events(begin: Begin, tick: dt.datetime, items: Items) -> int:
    """Lets in the contacts of events before the tick that happened since a program was started;
    those that happened while it was paused, as soon as it goes on.

    Args:
        begin: A transaction of read committed.
        items: As `Tick.items`.

    Returns:
        How many enrolments were begun.
    """
    with begin() as connection:
        anew = [trigger for trigger in live(connection, "event") if trigger.evaluated_at is None]
    begun = evaluate_each(
        begin, items, anew, lambda connection, trigger: _read_anew(connection, trigger, tick)
    )
    taken = PAGE
    while taken == PAGE:
        with begin() as connection:
            # Two at once would give a contact the same rotation twice.
            if not locks.try_lock_in_transaction(connection, _LOCK):
                break
            taken = _take(connection, tick)
            if taken:
                begun += _start(connection, tick, items)
    return begun


def _read_anew(connection: sa.Connection, trigger: Any, tick: dt.datetime) -> int:
    """Lets in whom the events of its type let in; with backfill also those of before."""
    if trigger.evaluated_at is not None or not locks.try_lock_in_transaction(connection, _LOCK):
        return 0
    occurred_at = contact_activity.c.occurred_at
    unaware = _is_written_unaware(connection, trigger)
    events = _seen(contact_activity, trigger).where(occurred_at < tick)
    if trigger.policy != "backfill":
        events = events.where(occurred_at >= _since(trigger))
    begun = enrol(connection, trigger, tick, events, begins_at_entry=True)
    if not unaware:
        note_evaluated(connection, trigger, tick)
    return begun


def _is_written_unaware(connection: sa.Connection, trigger: Any) -> bool:
    """Whether events are being written by somebody who could not know that they are awaited."""
    asked = {
        "tables": [contact_activity.fullname],
        "end": trigger.created_at + CLOCK_DIFFERENCE,
    }
    return connection.execute(OPEN_WRITERS, asked).first() is not None


def _take(connection: sa.Connection, tick: dt.datetime) -> int:
    """Moves the oldest arrivals to the temporary table `arrived`; returns how many."""
    query = (
        sa.select(event_arrivals)
        .where(event_arrivals.c.purpose == "trigger", event_arrivals.c.occurred_at < tick)
        .order_by(event_arrivals.c.id)
        .limit(PAGE)
    )
    taken = create_temporary(connection, "arrived", query)
    if taken:
        connection.execute(read_sql("forget_arrived"))
    return taken


def _start(connection: sa.Connection, tick: dt.datetime, items: Items) -> int:
    arrived = sa.select(_arrived.c.organization_id, _arrived.c.event_type).distinct()
    types = {(row.organization_id, row.event_type) for row in connection.execute(arrived)}
    wanting = [
        trigger
        for trigger in live(connection, "event")
        if (trigger.organization_id, trigger.event_type) in types
    ]
    begun = 0
    seen: list[int] = []
    for item in items(connection, wanting, name_of):
        with item as trigger:
            if not holds_program(connection, trigger):
                continue
            since = _arrived.c.occurred_at >= _since(trigger)
            found = _seen(_arrived, trigger).where(since)
            begun += enrol(connection, trigger, tick, found, begins_at_entry=True)
            seen.append(trigger.id)
    connection.execute(read_sql("note_events_seen"), {"ids": seen, "at": tick})
    connection.execute(read_sql("note_events_missed"), {"seen": seen})
    return begun


def _since(trigger: Any) -> Any:
    """Since when events let contacts in; what happened before is history, however late it comes."""
    return trigger.started_at or trigger.created_at


def _seen(events: Any, trigger: Any) -> sa.Select[Any]:
    return sa.select(
        events.c.contact_id, events.c.occurred_at.label("at"), events.c.event_id.label("entry")
    ).where(
        events.c.organization_id == trigger.organization_id,
        events.c.event_type == trigger.event_type,
    )
