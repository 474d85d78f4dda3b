"""The event bus: domains tell each other what happened, in the transaction in which it did.

An event is a row, and a task for each consumer that is registered for its type: all are there when
the transaction commits, or none is. A consumer gets the events of one contact one after the other,
in the order they were published, also when one of them has to be tried again.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import pydantic
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.failures import BadInputError, PermanentError
from marketing_pipelines.queueing.queues import Queue
from marketing_pipelines.queueing.tables import bus_events
from marketing_pipelines.queueing.tasks import DEFAULT_TIMEOUT, Task, TaskContext, all_loaded, task
from marketing_pipelines.stores.temporary import create_temporary


class BusEvent(pydantic.BaseModel):
    """An event on the bus; a subclass per type, with the fields for its consumers.

    A field that is added with a default keeps the version. Any other change makes the next
    version, and `upgraded` then reads the payloads of the ones before, which are stored and may be
    replayed.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    type: ClassVar[str]
    version: ClassVar[int] = 1

    organization_id: int
    contact_id: int | None = None

    @classmethod
    def upgraded(cls, payload: Mapping[str, Any], version: int) -> Mapping[str, Any]:
        """A payload of an earlier version as this one has it.

        Raises:
            PermanentError: this release does not read that version.
        """
        raise PermanentError(
            f"{cls.type} is version {cls.version} in this release, which does not read version "
            f"{version}: run the release that published it."
        )

    @classmethod
    def read(cls, row: Any) -> Self:
        """A stored event."""
        payload = row.payload
        if row.version != cls.version:
            payload = cls.upgraded(payload, row.version)
        return cls(organization_id=row.organization_id, contact_id=row.contact_id, **payload)


E = TypeVar("E", bound=BusEvent)


@dataclass(frozen=True)
class Consumer:
    """A function that is called for every event of one type."""

    event: type[BusEvent]
    task: Task


_consumers: dict[str, Consumer] = {}


def consumers() -> Mapping[str, Consumer]:
    """The registered consumers by their task's name; complete once every `tasks.py` is loaded."""
    return _consumers


def consumer(
    event: type[E], *, queue: Queue, timeout: dt.timedelta = DEFAULT_TIMEOUT
) -> Callable[[Callable[[TaskContext, E], None]], Consumer]:
    """Registers a function `def score(context: TaskContext, event: ContactCreated) -> None`.

    As a task it may be called again for an event whose worker was killed.
    """

    def register(function: Callable[[TaskContext, E], None]) -> Consumer:
        def consume(context: TaskContext, event_id: int) -> None:
            with context.begin() as connection:
                row = connection.execute(
                    sa.select(bus_events).where(bus_events.c.id == event_id)
                ).one_or_none()
            if row is None:
                raise PermanentError(f"Event {event_id} is no longer kept.")
            function(context, event.read(row))

        consume.__module__, consume.__name__ = function.__module__, function.__name__
        registered = Consumer(event, task(queue=queue, timeout=timeout)(consume))
        _consumers[registered.task.name] = registered
        return registered

    return register


def publish(connection: sa.Connection, events: Sequence[BusEvent]) -> list[int]:
    """Stores events and enqueues them for their consumers, in the caller's transaction.

    Returns:
        The events' numbers, in the order given.

    Raises:
        RuntimeError: this process has not loaded the consumers, so it cannot tell them.
    """
    if not all_loaded.is_set():
        raise RuntimeError("Call domains.load_tasks() in a process that publishes events.")
    rows = [
        {
            "type": event.type,
            "version": event.version,
            "organization_id": event.organization_id,
            "contact_id": event.contact_id,
            "payload": event.model_dump(mode="json", exclude={"organization_id", "contact_id"}),
        }
        for event in events
    ]
    values = {"events": rows, **_told(list(_consumers.values()))}
    return sorted(connection.execute(_PUBLISH, values).scalars())


def publish_for_contacts(
    connection: sa.Connection, event: BusEvent, contacts: sa.Select[Any]
) -> None:
    """Publishes one event for each of very many contacts, as `publish` does.

    Args:
        event: The event of each contact; its own `contact_id` is unset.
        contacts: A query for their numbers, `contact_id`.

    Raises:
        RuntimeError: this process has not loaded the consumers, so it cannot tell them.
    """
    if not all_loaded.is_set():
        raise RuntimeError("Call domains.load_tasks() in a process that publishes events.")
    create_temporary(connection, "told_contacts", contacts)
    values = {
        "type": event.type,
        "version": event.version,
        "organization_id": event.organization_id,
        "payload": event.model_dump(mode="json", exclude={"organization_id", "contact_id"}),
        **_told(list(_consumers.values())),
    }
    connection.execute(_PUBLISH_FOR_CONTACTS, values)


def replay(connection: sa.Connection, name: str, since: dt.datetime, until: dt.datetime) -> int:
    """Tells one consumer again what was published from `since` until before `until`.

    Events that still wait for it are not told twice.

    Args:
        name: The consumer's task, `domain/function`.

    Returns:
        Number of enqueued events.

    Raises:
        BadInputError: no consumer has this name.
    """
    if name not in _consumers:
        raise BadInputError(
            f"There is no consumer '{name}': name one of {', '.join(sorted(_consumers)) or 'none'}."
        )
    values = {"since": since, "until": until, **_told([_consumers[name]])}
    return len(connection.execute(_REPLAY, values).all())


def _told(chosen: Sequence[Consumer]) -> dict[str, list[str]]:
    return {
        "types": [one.event.type for one in chosen],
        "queues": [one.task.queue.name for one in chosen],
        "tasks": [one.task.name for one in chosen],
    }


_ENQUEUE = """
    insert into procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
    select consumer.queue, consumer.task, consumer.task || '/contact/' || event.contact_id,
           consumer.task || '/event/' || event.id, jsonb_build_object('event_id', event.id)
    from event
    join unnest(cast(:types as text[]), cast(:queues as text[]), cast(:tasks as text[]))
        as consumer (type, queue, task) on consumer.type = event.type
    order by event.id, consumer.task
    on conflict (queueing_lock) where status = 'todo' do nothing
    returning id
"""
_PUBLISH = sa.text(f"""
    with event as (
        insert into ops.bus_events (organization_id, contact_id, type, version, payload)
        select (given ->> 'organization_id')::bigint, (given ->> 'contact_id')::bigint,
               given ->> 'type', (given ->> 'version')::integer, given -> 'payload'
        from jsonb_array_elements(:events) with ordinality as events (given, place)
        order by place
        returning id, type, contact_id
    ),
    queued as ({_ENQUEUE})
    select id from event
""").bindparams(sa.bindparam("events", type_=pg.JSONB))
_PUBLISH_FOR_CONTACTS = sa.text(f"""
    with event as (
        insert into ops.bus_events (organization_id, contact_id, type, version, payload)
        select :organization_id, contact_id, :type, :version, :payload
        from told_contacts
        order by contact_id
        returning id, type, contact_id
    )
    {_ENQUEUE}
""").bindparams(sa.bindparam("payload", type_=pg.JSONB))
_REPLAY = sa.text(f"""
    with event as (
        select id, type, contact_id from ops.bus_events
        where type = any(cast(:types as text[]))
            and published_at >= :since and published_at < :until
    )
    {_ENQUEUE}
""")
