"""Events let their contacts into programs.

Awaited events are noted in their own transaction, so that none is missed however late it commits; a
pass takes what was noted. A trigger that did not see an event, because its program is paused or
because it failed, loses its `evaluated_at`: as soon as it can it reads all its events anew, each of
which starts something once. Both ways ask the same of an event (`lifecycle.event_triggers`).
"""

import contextlib
import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.journeys.enrolling import (
    enrol,
    evaluate_each,
    live,
    locks_program,
    name_of,
    note_evaluated,
    read_sql,
    refuse_unused,
)
from marketing_pipelines.domains.lifecycle import event_triggers
from marketing_pipelines.domains.lifecycle.tables import event_arrivals
from marketing_pipelines.domains.segments.preview import rule_timeout, statement_timeout
from marketing_pipelines.freshness.writer_barrier import CLOCK_DIFFERENCE, OPEN_WRITERS
from marketing_pipelines.runs.items import Items
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.postgres import Begin
from marketing_pipelines.stores.temporary import create_temporary

PAGE = 10_000
_LOCK = "lifecycle/event_arrivals"
_arrived = sa.table(
    "arrived", *(sa.column(column.name, column.type) for column in contact_activity.columns)
)


@dataclass
class EventEntries:
    """The outcome of event triggers in one pass.

    Attributes:
        begun: Enrolments.
        left_out: Events excluded because of their age or because they happened before the trigger
            was created, by trigger.
    """

    begun: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def start_by_events(
    begin: Begin, tick: dt.datetime, reporting_zone: ZoneInfo, items: Items
) -> EventEntries:
    """Enrols the contacts of events before the tick. Events that happened while a program was
    paused count as soon as it goes on.

    Args:
        begin: A transaction of read committed.
        reporting_zone: The zone of organizations that have none.
        items: As `Tick.items`.
    """
    entries = _Entries(tick, reporting_zone)
    with begin() as connection:
        anew = [trigger for trigger in live(connection, "event") if trigger.evaluated_at is None]
    names = {trigger.id: name_of(trigger) for trigger in anew}
    evaluate_each(
        begin,
        items,
        anew,
        lambda connection, locked: entries.read_anew(connection, locked, names[locked.id]),
    )
    taken = PAGE
    while taken == PAGE:
        with begin() as connection:
            # Two at once would give a contact the same rotation twice.
            if not locks.try_lock_in_transaction(connection, _LOCK):
                break
            taken = _take(connection, tick)
            if taken:
                entries.start(connection, items)
    return entries.found


@dataclass
class _Entries:
    tick: dt.datetime
    reporting_zone: ZoneInfo
    found: EventEntries = field(default_factory=EventEntries)
    read: set[int] = field(default_factory=set)

    def read_anew(self, connection: sa.Connection, trigger: Any, name: str) -> int:
        """Enrols the contacts of all events of a trigger's type."""
        if trigger.evaluated_at is not None or not locks.try_lock_in_transaction(connection, _LOCK):
            return 0
        unaware = _is_written_unaware(connection, trigger)
        # Until no such writer is left, each pass reads the same events.
        begun = self._let_in(connection, trigger, name, contact_activity, is_counted=not unaware)
        self.read.add(trigger.id)
        if not unaware:
            note_evaluated(connection, trigger, self.tick)
        return begun

    def start(self, connection: sa.Connection, items: Items) -> None:
        """Enrols the contacts of the events that arrived."""
        arrived = sa.select(_arrived.c.organization_id, _arrived.c.event_type).distinct()
        types = {(row.organization_id, row.event_type) for row in connection.execute(arrived)}
        wanting = [
            trigger
            for trigger in live(connection, "event")
            if (trigger.organization_id, trigger.event_type) in types
        ]
        seen: list[int] = []
        for item in items(connection, wanting, name_of):
            with item as trigger:
                if locks_program(connection, trigger):
                    refuse_unused(trigger)
                    # Events that a trigger has just read anew arrive once more; one that has yet to
                    # read them anew counts them then.
                    is_counted = trigger.evaluated_at is not None and trigger.id not in self.read
                    self._let_in(
                        connection, trigger, name_of(trigger), _arrived, is_counted=is_counted
                    )
                    seen.append(trigger.id)
        connection.execute(read_sql("note_events_seen"), {"ids": seen, "at": self.tick})
        connection.execute(read_sql("note_events_missed"), {"seen": seen})

    def _let_in(
        self,
        connection: sa.Connection,
        trigger: Any,
        name: str,
        events: Any,
        *,
        is_counted: bool,
    ) -> int:
        """Enrols the contacts of the events that satisfy a trigger.

        Args:
            is_counted: True if excluded events are counted.
        """
        with _patience(connection, trigger):
            asked = event_triggers.matches(
                connection, trigger, events, now=self.tick, reporting_zone=self.reporting_zone
            )
            is_in_time = event_triggers.is_in_time(connection, trigger, events)
            found = sa.select(
                events.c.contact_id,
                events.c.occurred_at.label("at"),
                events.c.event_id.label("entry"),
            ).where(asked, is_in_time)
            begun = enrol(connection, trigger, self.tick, found, begins_at_entry=True)
            left_out = 0
            if is_counted and trigger.policy != "backfill":
                late = sa.select(sa.func.count()).where(asked, sa.not_(is_in_time))
                if events is contact_activity:
                    # Of the history, only events that are young enough.
                    late = late.where(events.c.occurred_at >= event_triggers.since(trigger))
                left_out = connection.execute(late).scalar_one()
        self.found.begun += begun
        if left_out:
            self.found.left_out[name] += left_out
        return begun


def _patience(connection: sa.Connection, trigger: Any) -> contextlib.AbstractContextManager[None]:
    """Stops a `where` that takes too long; other triggers may read as many events as there are."""
    if not trigger.config:
        return contextlib.nullcontext()
    return statement_timeout(connection, rule_timeout(connection, trigger.organization_id))


def _is_written_unaware(connection: sa.Connection, trigger: Any) -> bool:
    """Returns true if a transaction older than the trigger still writes events."""
    asked = {
        "tables": [contact_activity.fullname],
        "end": trigger.created_at + CLOCK_DIFFERENCE,
    }
    return connection.execute(OPEN_WRITERS, asked).first() is not None


def _take(connection: sa.Connection, tick: dt.datetime) -> int:
    """Moves the events of the oldest arrivals to the temporary table `arrived`.

    Returns:
        Number of arrivals taken; the row of one whose event was corrected since is empty.
    """
    arrivals = (
        sa.select(event_arrivals)
        .where(event_arrivals.c.purpose == "trigger", event_arrivals.c.occurred_at < tick)
        .order_by(event_arrivals.c.id)
        .limit(PAGE)
        .subquery("arrivals")
    )
    same = ("organization_id", "contact_id", "event_type", "event_id", "occurred_at")
    # Each by index: `limit` keeps the planner from reading all events.
    event = (
        sa.select(contact_activity)
        .where(*(contact_activity.c[name] == arrivals.c[name] for name in same))
        .limit(1)
        .lateral("event")
    )
    query = sa.select(arrivals.c.id.label("arrival_id"), event).select_from(
        arrivals.outerjoin(event, sa.true())
    )
    taken = create_temporary(connection, "arrived", query)
    if taken:
        connection.execute(read_sql("forget_arrived"))
    return taken
