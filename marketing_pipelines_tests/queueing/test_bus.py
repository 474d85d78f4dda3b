"""The event bus: told in the transaction, to every consumer, in order, and again when asked."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError, PermanentError
from marketing_pipelines.queueing import bus, event_catalog
from marketing_pipelines_tests.queueing.installed import drain, scalar, workers
from marketing_pipelines_tests.waiting import until

ALWAYS = (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
TOLD = "select string_agg(task_name || ' ' || (args ->> 'event_id'), ', ' order by id)"


class Moved(bus.BusEvent):
    """Version 2 of an event whose first version had one text for street and town."""

    type: ClassVar[str] = "test.moved"
    version: ClassVar[int] = 2
    street: str
    town: str

    @classmethod
    def upgraded(cls, payload: Mapping[str, Any], version: int) -> Mapping[str, Any]:
        if version == 1:
            street, town = payload["address"].split(", ")
            return {"street": street, "town": town}
        return super().upgraded(payload, version)


@pytest.fixture
def bus_of(queue: sa.Engine) -> Any:
    """A database with an organization; the event type and the consumers of the domain for tests."""
    from marketing_pipelines.domains.recording.tasks import Counted  # type: ignore[import-not-found]

    with queue.begin() as connection:
        connection.exec_driver_sql(event_catalog.consumers_sql())
        connection.exec_driver_sql("insert into crm.organizations (external_id) values ('acme')")
    organization = scalar(queue, "select id from crm.organizations")

    def counted(*numbers: int, contacts: int = 1) -> list[Any]:
        return [
            Counted(organization_id=organization, contact_id=number % contacts, number=number)
            for number in numbers
        ]

    return counted


def published(engine: sa.Engine, events: list[Any]) -> list[int]:
    with engine.begin() as connection:
        return bus.publish(connection, events)


def replayed(engine: sa.Engine, name: str, since: dt.datetime, until: dt.datetime) -> int:
    with engine.begin() as connection:
        return bus.replay(connection, name, since, until)


def test_every_consumer_has_a_task_for_every_event(queue: sa.Engine, bus_of: Any) -> None:
    statements: list[str] = []
    sa.event.listen(queue, "before_cursor_execute", lambda *call: statements.append(call[2]))
    first, second = published(queue, bus_of(1, 2))
    assert len(statements) == 1
    assert first < second
    names = ("recording/count", "recording/count_unsteadily")
    expected = ", ".join(f"{name} {number}" for number in (first, second) for name in names)
    assert scalar(queue, f"{TOLD} from procrastinate_jobs") == expected


def test_a_rolled_back_transaction_has_told_nobody(queue: sa.Engine, bus_of: Any) -> None:
    with queue.connect() as connection:
        assert len(bus.publish(connection, bus_of(1, 2, 3))) == 3
        connection.rollback()
    for table in ("ops.bus_events", "procrastinate_jobs"):
        assert scalar(queue, f"select count(*) from {table}") == 0


def test_a_contact_s_events_come_in_order_though_one_has_to_be_tried_again(
    queue: sa.Engine, bus_of: Any
) -> None:
    published(queue, bus_of(*range(30), contacts=3))
    # The first of each contact fails once: the later ones wait for it.
    with workers(2, "--queue", "unsteady", "--concurrency", "6"):
        until(lambda: scalar(queue, "select count(*) from ops.recorded") == 33, what="all of them")
    with queue.connect() as connection:
        for contact in range(3):
            numbers = connection.execute(
                sa.text("select number from ops.recorded where number % 3 = :c order by id"),
                {"c": contact},
            ).scalars()
            assert list(numbers) == [contact, *range(contact, 30, 3)]


def test_a_range_is_told_again_to_one_consumer_and_what_waits_is_not_told_twice(
    queue: sa.Engine, bus_of: Any
) -> None:
    published(queue, bus_of(*range(4)))
    assert replayed(queue, "recording/count", *ALWAYS) == 0
    drain("--queue", "default")
    assert replayed(queue, "recording/count", *ALWAYS) == 4
    assert replayed(queue, "recording/count", *ALWAYS) == 0
    drain("--queue", "default")
    assert scalar(queue, "select count(*) from ops.recorded") == 8
    at = scalar(queue, "select min(published_at) from ops.bus_events")
    moment = dt.timedelta(microseconds=1)
    assert replayed(queue, "recording/count", at - moment, at) == 0
    assert replayed(queue, "recording/count", at, at + moment) == 4


def test_a_consumer_that_nobody_registered_is_refused(queue: sa.Engine) -> None:
    with pytest.raises(BadInputError, match="There is no consumer 'crm/nothing'"):
        replayed(queue, "crm/nothing", *ALWAYS)


def test_an_event_of_an_earlier_version_is_read_as_this_one() -> None:
    stored = {"id": 3, "organization_id": 1, "contact_id": 2, "version": 1, "type": "test.moved"}
    moved = Moved.read(_Row(stored | {"payload": {"address": "Main Street 1, Springfield"}}))
    assert (moved.street, moved.town, moved.contact_id) == ("Main Street 1", "Springfield", 2)
    newer = _Row(stored | {"version": 3, "payload": {}})
    with pytest.raises(PermanentError, match="does not read version 3"):
        Moved.read(newer)


class _Row:
    """A row's fields as attributes."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.__dict__.update(fields)
