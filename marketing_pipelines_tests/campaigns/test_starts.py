"""Scheduled campaigns start at their time, once, and never hours too late."""

import datetime as dt
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from marketing_pipelines.domains.campaigns.starts import start_scheduled
from marketing_pipelines.domains.campaigns.tables import CAMPAIGN
from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

MAIL = ("hello", "send_email", {"subject": "Hello", "text": "Hello"})
TIME = at("03-02 09:00")


@pytest.fixture
def world(shared_installation: Installation) -> Iterator[ProgramWorld]:
    """A new organization; nothing of it is started after the test."""
    world = ProgramWorld(shared_installation.engine, name=uuid.uuid4().hex)
    yield world
    world.retire()
    world.execute("delete from ops.item_failures")


def start(world: ProgramWorld, tick: dt.datetime) -> tuple[int, ItemFailures]:
    failures = ItemFailures(CAMPAIGN.moved_by, tick)
    with world.engine.begin() as connection:
        return start_scheduled(connection, tick, failures), failures


def state(world: ProgramWorld, program: int) -> tuple[Any, ...]:
    [row] = world.rows(
        "select status, started_at from campaigns.campaigns where id = :id", id=program
    )
    return row


def events(world: ProgramWorld) -> list[tuple[Any, ...]]:
    return world.rows(
        "select payload ->> 'campaign', payload ->> 'started_at' from ops.bus_events"
        " where type = 'campaign.started' and organization_id = :organization",
        organization=world.organization_id,
    )


def test_a_campaign_starts_at_the_first_pass_at_or_after_its_time(world: ProgramWorld) -> None:
    program = world.program([MAIL], status="scheduled", started_at=TIME)
    world.program([MAIL], name="draft", status="draft", started_at=TIME)
    assert start(world, at("03-02 08:55"))[0] == 0
    assert state(world, program) == ("scheduled", TIME)
    assert start(world, TIME)[0] == 1
    assert state(world, program) == ("active", TIME)
    assert start(world, at("03-02 09:05"))[0] == 0
    assert events(world) == [("welcome", "2026-03-02T09:00:00Z")]


@pytest.mark.parametrize(
    ("settings", "hours"), [("{}", 6), ('{"campaigns": {"latest_start_hours": 48}}', 48)]
)
def test_a_campaign_that_is_too_late_stays_scheduled_and_is_a_failed_item(
    world: ProgramWorld, settings: str, hours: int
) -> None:
    world.execute(
        "update crm.organizations set settings = cast(:settings as jsonb) where id = :id",
        settings=settings,
        id=world.organization_id,
    )
    latest = TIME + dt.timedelta(hours=hours)
    program = world.program([MAIL], status="scheduled", started_at=TIME)
    in_time = world.program([MAIL], name="in-time", status="scheduled", started_at=TIME)
    world.execute(
        "update campaigns.campaigns set started_at = :at where id = :id",
        at=TIME + dt.timedelta(microseconds=1),
        id=in_time,
    )
    started, failures = start(world, latest + dt.timedelta(microseconds=1))
    assert (started, failures.ok, failures.failed) == (1, 1, 1)
    assert state(world, program) == ("scheduled", TIME)
    item = f"start of campaign welcome of {world.name}"
    assert world.rows("select item, error from ops.item_failures") == [
        (
            item,
            f"It was to start at 2026-03-02 09:00 UTC, more than {hours} hours ago"
            " (campaigns.latest_start_hours): start it with `marketing-pipelines program activate"
            f" campaign welcome --organization {world.name}`, or load another started_at.",
        )
    ]
    # At just the last hour it would have started.
    assert start(world, latest)[0] == 1
    assert world.rows("select item from ops.item_failures") == []


def test_the_failure_ends_when_the_campaign_is_no_longer_scheduled(world: ProgramWorld) -> None:
    program = world.program([MAIL], status="scheduled", started_at=TIME)
    assert start(world, at("03-03 09:00"))[1].failed == 1
    world.set_status(program, "cancelled")
    assert start(world, at("03-03 09:05"))[1].failed == 0
    assert world.rows("select item from ops.item_failures") == []


def test_two_passes_at_once_start_a_campaign_once(world: ProgramWorld) -> None:
    world.program([MAIL], status="scheduled", started_at=TIME)
    numbers: list[int] = []
    with world.engine.begin() as first:
        numbers.append(start_scheduled(first, TIME, ItemFailures("one", TIME)))
        other = threading.Thread(target=lambda: numbers.append(start(world, TIME)[0]))
        other.start()
        until(lambda: waits_for_a_lock(world.engine))
    other.join()
    assert sorted(numbers) == [0, 1]
    assert len(events(world)) == 1


def test_a_pass_starts_a_campaign_and_moves_its_contacts(installation: Installation) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program([MAIL], status="scheduled", started_at=TIME)
    world.enrol(program, world.contacts(3), at("03-01 10:00"))
    late = world.program([MAIL], name="late", status="scheduled", started_at=at("03-02 02:00"))
    (outcome,) = installation.run(
        "campaigns/step_progress", at=instant("2026-03-02T09:05:00+00:00"), only=True
    )
    assert (outcome.status, outcome.rows, outcome.items_failed) == ("COMPLETED", 3, 1)
    assert world.standing(program) == {"completed": 3}
    assert state(world, late)[0] == "scheduled"
