"""The event bus: domains publish events to each other, in the transaction that caused them.

An event is a row of `ops.bus_events`; a trigger on the table adds a task for each consumer that is
registered for its type. All are there when the transaction commits, or none is, and SQL publishes
by inserting rows. A consumer gets the events of one contact one after the other, in the order they
were published, also when one of them has to be tried again; a bulk consumer gets the events of one
statement together.

The database knows the consumers by the function `ops.bus_consumers`, which `make docs` writes.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypeVar

import pydantic
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.failures import BadInputError, PermanentError
from marketing_pipelines.queueing.queues import Queue
from marketing_pipelines.queueing.tables import bus_events
from marketing_pipelines.queueing.tasks import DEFAULT_TIMEOUT, Task, TaskContext, task

ABOUT_CONTACTS: Literal["*"] = "*"
EVERY_TYPE: Literal["every"] = "every"


class BusEvent(pydantic.BaseModel):
    """An event on the bus; a subclass per type, with the fields for its consumers.

    A field that is added with a default keeps the version. Any other change makes the next
    version, and `upgraded` then reads the payloads of the ones before, which are stored and may be
    replayed.

    Attributes:
        about_contacts: True if events of the type name a contact, or several in `contacts`.
        id: Number of the stored event; None: it is not published.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    type: ClassVar[str]
    version: ClassVar[int] = 1
    about_contacts: ClassVar[bool] = True

    id: int | None = None
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
        own = {"id": row.id, "organization_id": row.organization_id, "contact_id": row.contact_id}
        return cls(**own, **payload)

    @classmethod
    def payload_keys(cls) -> list[str]:
        """The keys of the payload, as they are stored."""
        return [
            field.alias or name
            for name, field in cls.model_fields.items()
            if name not in BusEvent.model_fields
        ]

    @property
    def payload(self) -> dict[str, Any]:
        """The fields as they are stored."""
        return self.model_dump(mode="json", by_alias=True, exclude=set(BusEvent.model_fields))


E = TypeVar("E", bound=BusEvent)


@dataclass(frozen=True)
class Consumer:
    """A function that is called for the events of some types.

    Attributes:
        types: Types of events; `ABOUT_CONTACTS`: every type of events about contacts;
            `EVERY_TYPE`: all.
        is_bulk: True if a call is for several events.
    """

    types: tuple[str, ...] | Literal["*", "every"]
    task: Task
    is_bulk: bool
    function: Callable[..., None]

    def takes(self, event: type[BusEvent]) -> bool:
        """Returns true if it consumes events of the type."""
        if self.types == EVERY_TYPE:
            return True
        return event.about_contacts if self.types == ABOUT_CONTACTS else event.type in self.types


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
        declared = task(queue=queue, timeout=timeout)(consume)
        return _register(Consumer((event.type,), declared, False, function))

    return register


def bulk_consumer(
    types: Iterable[type[BusEvent]] | Literal["*", "every"],
    *,
    queue: Queue,
    timeout: dt.timedelta = DEFAULT_TIMEOUT,
) -> Callable[[Callable[[TaskContext, list[int]], None]], Consumer]:
    """Registers a function `def log(context: TaskContext, event_ids: list[int]) -> None`.

    It gets the numbers of events that one statement published, at most 10,000, in no order that
    holds between two calls; a call may be repeated, and an event may be gone meanwhile.

    Args:
        types: `ABOUT_CONTACTS`: every type of events about contacts; `EVERY_TYPE`: all.
    """

    def register(function: Callable[[TaskContext, list[int]], None]) -> Consumer:
        declared = task(queue=queue, timeout=timeout)(function)
        names = types if isinstance(types, str) else tuple(one.type for one in types)
        return _register(Consumer(names, declared, True, function))

    return register


def _register(one: Consumer) -> Consumer:
    _consumers[one.task.name] = one
    return one


def publish(connection: sa.Connection, events: Sequence[BusEvent]) -> list[int]:
    """Stores events, which enqueues them for their consumers, in the caller's transaction.

    Returns:
        The events' numbers, in the order given.
    """
    rows = [
        {
            "type": event.type,
            "version": event.version,
            "organization_id": event.organization_id,
            "contact_id": event.contact_id,
            "payload": event.payload,
        }
        for event in events
    ]
    return sorted(connection.execute(_PUBLISH, {"events": rows}).scalars())


def publish_for_contacts(
    connection: sa.Connection, event: BusEvent, contacts: sa.Select[Any]
) -> int:
    """Publishes one event for each of very many contacts, as `publish` does.

    Args:
        event: The event of each contact; its own `contact_id` is unset.
        contacts: A query for their numbers, `contact_id`.

    Returns:
        Number of events.
    """
    told = contacts.subquery()
    rows = sa.select(
        sa.literal(event.organization_id, sa.BigInteger).label("organization_id"),
        told.c.contact_id,
        sa.literal(event.payload, pg.JSONB).label("payload"),
    )
    return publish_rows(connection, type(event), rows)


def publish_rows(connection: sa.Connection, event: type[BusEvent], rows: sa.Select[Any]) -> int:
    """Publishes an event for each row of a query, in the order of the contacts.

    Args:
        event: The type of the events.
        rows: Columns `organization_id`, `contact_id` and `payload`, an object with the keys of
            `event.payload_keys()`; `place` orders several events of a contact.

    Returns:
        Number of events.
    """
    told = rows.subquery()
    values = {
        "organization_id": told.c.organization_id,
        "contact_id": told.c.contact_id,
        "type": sa.literal(event.type),
        "version": sa.literal(event.version),
        "payload": told.c.payload,
    }
    place = [told.c.place] if "place" in told.c else []
    ordered = sa.select(*values.values()).order_by(told.c.contact_id, *place)
    insert = sa.insert(bus_events).from_select(list(values), ordered)
    counted = insert.execution_options(preserve_rowcount=True)
    return connection.execute(counted).rowcount


def replay(connection: sa.Connection, name: str, since: dt.datetime, until: dt.datetime) -> int:
    """Delivers the events published from `since` until before `until` to one consumer again.

    Events that still wait for it are not told twice.

    Args:
        name: The consumer's task, `domain/function`.

    Returns:
        Number of enqueued tasks.

    Raises:
        BadInputError: no consumer has this name.
    """
    if name not in _consumers:
        raise BadInputError(
            f"There is no consumer '{name}': name one of {', '.join(sorted(_consumers)) or 'none'}."
        )
    values = {"since": since, "until": until, "task": name}
    enqueued: int = connection.execute(_REPLAY, values).scalar_one()
    return enqueued


_PUBLISH = sa.text("""
    insert into ops.bus_events (organization_id, contact_id, type, version, payload)
    select (given ->> 'organization_id')::bigint, (given ->> 'contact_id')::bigint,
           given ->> 'type', (given ->> 'version')::integer, given -> 'payload'
    from jsonb_array_elements(:events) with ordinality as events (given, place)
    order by place
    returning id
""").bindparams(sa.bindparam("events", type_=pg.JSONB))
_REPLAY = sa.text("""
    select ops.enqueue_bus_events(
        array_agg(id order by id), array_agg(type order by id), array_agg(contact_id order by id),
        :task
    )
    from ops.bus_events
    where published_at >= :since and published_at < :until
        and type in (select event_type from ops.bus_consumers() where task = :task)
""")
