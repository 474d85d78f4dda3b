"""Events let their contacts in: since the program was started, each once, none missed."""

import datetime as dt
import threading
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.completions import complete_all
from marketing_pipelines.domains.journeys import event_entries
from marketing_pipelines_tests.journeys.passes import failures, items
from marketing_pipelines_tests.lifecycle.test_wait_for import interrupted
from marketing_pipelines_tests.programs import STARTED, Programs

HOUR = dt.timedelta(hours=1)
BEFORE = STARTED - HOUR
AT = [STARTED + number * HOUR for number in range(24)]

_EVENT = sa.text("""
    insert into analytics.contact_activity
        (organization_id, event_id, contact_id, event_type, occurred_at, received_at)
    values (:organization, :event, :contact, :type, :at, :at)
""")


class Signups:
    """A journey that is entered by the event `signed_up`."""

    def __init__(self, programs: Programs, policy: str = "once", **journey: Any) -> None:
        self.programs = programs
        self.journey = programs.program("journey", "welcome", **journey)
        self.trigger = programs.trigger(
            "journey", self.journey, "event", event_type="signed_up", policy=policy
        )

    def start(self, at: dt.datetime) -> int:
        return start(self.programs, at)

    @property
    def entered(self) -> list[tuple[str, int, str | None]]:
        return self.programs.entered("journey", self.journey)


def start(programs: Programs, at: dt.datetime) -> int:
    begin = programs.installation.engine.begin
    return event_entries.start_by_events(begin, at, items(at).attempts)


def happen(
    programs: Programs,
    event: str,
    contact: str,
    at: dt.datetime,
    type_: str = "signed_up",
    connection: sa.Connection | None = None,
) -> None:
    """An event is stored; in a transaction that is open, if one is given."""
    values = {
        "organization": programs.organization,
        "event": event,
        "contact": programs.contact(contact),
        "type": type_,
        "at": at,
    }
    if connection is not None:
        connection.execute(_EVENT, values)
        return
    with programs.installation.engine.begin() as own:
        own.execute(_EVENT, values)


def arrivals(programs: Programs) -> list[str]:
    """The events that wait to be taken."""
    rows = programs.installation.rows("select event_id from lifecycle.event_arrivals order by id")
    return [row[0] for row in rows]


def test_an_event_starts_an_execution_that_is_due_at_once(programs: Programs) -> None:
    signups = Signups(programs)
    happen(programs, "e1", "ann", AT[1])
    happen(programs, "e2", "bob", AT[1], "opened")
    assert signups.start(AT[2]) == 1
    assert signups.entered == [("ann", 1, "e1")]
    assert programs.installation.rows(
        "select entered_at, next_step_at, status, trigger_id from lifecycle.enrolments"
    ) == [(AT[1], AT[2], "active", signups.trigger)]
    assert arrivals(programs) == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("once", [("ann", 1, "e1")]),
        ("backfill", [("ann", 1, "e1")]),
        ("each_entry", [("ann", 1, "e1"), ("ann", 2, "e2"), ("ann", 3, "e3")]),
    ],
)
def test_several_events_of_a_contact_start_it_by_the_policy_in_their_order(
    programs: Programs, policy: str, expected: list[Any]
) -> None:
    signups = Signups(programs, policy)
    signups.start(AT[0])
    happen(programs, "e2", "ann", AT[2])
    happen(programs, "e1", "ann", AT[1])
    signups.start(AT[3])
    happen(programs, "e3", "ann", AT[4])
    signups.start(AT[5])
    assert signups.entered == expected
    assert [signups.start(at) for at in (AT[5], AT[3], AT[6])] == [0, 0, 0]


@pytest.mark.parametrize(
    ("policy", "expected"), [("once", "bob"), ("each_entry", "bob"), ("backfill", "ann bob")]
)
def test_what_happened_before_the_activation_counts_by_backfill_only(
    programs: Programs, policy: str, expected: str
) -> None:
    happen(programs, "e1", "ann", BEFORE)
    happen(programs, "e2", "bob", STARTED)
    signups = Signups(programs, policy)
    signups.start(AT[1])
    assert [name for name, _, _ in signups.entered] == expected.split()


@pytest.mark.parametrize("policy", ["once", "each_entry", "backfill"])
def test_history_that_is_loaded_late_starts_nothing(programs: Programs, policy: str) -> None:
    signups = Signups(programs, policy)
    signups.start(AT[0])
    happen(programs, "e1", "ann", BEFORE)
    happen(programs, "e2", "bob", AT[0])
    assert signups.start(AT[5]) == 1
    assert signups.entered == [("bob", 1, "e2")]


@pytest.mark.parametrize("evaluated_before", [True, False])
def test_an_event_that_is_not_before_the_tick_waits_for_its_time(
    programs: Programs, evaluated_before: bool
) -> None:
    signups = Signups(programs)
    if evaluated_before:
        signups.start(AT[0])
    happen(programs, "e1", "ann", AT[3])
    assert [signups.start(at) for at in (AT[1], AT[2], AT[3])] == [0, 0, 0]
    assert arrivals(programs) == ["e1"]
    assert signups.start(AT[3] + dt.timedelta(microseconds=1)) == 1


def test_what_nobody_wants_is_dropped(programs: Programs) -> None:
    signups = Signups(programs)
    programs.installation.execute("update lifecycle.triggers set enabled = false")
    happen(programs, "e1", "ann", AT[1])
    assert arrivals(programs) == ["e1"]
    assert signups.start(AT[2]) == 0
    assert arrivals(programs) == []


@pytest.mark.parametrize("policy", ["once", "each_entry"])
def test_a_paused_program_takes_in_what_happened_meanwhile_once_it_is_resumed(
    programs: Programs, policy: str
) -> None:
    signups = Signups(programs, policy)
    happen(programs, "e1", "ann", AT[0])
    signups.start(AT[1])
    programs.set_status("journey", signups.journey, "paused")
    happen(programs, "e2", "bob", AT[2])
    assert signups.start(AT[3]) == 0
    assert arrivals(programs) == [], "nothing piles up while it is paused"
    programs.set_status("journey", signups.journey, "active")
    assert signups.start(AT[4]) == 1
    assert signups.entered == [("ann", 1, "e1"), ("bob", 1, "e2")]
    happen(programs, "e3", "bob", AT[5])
    assert signups.start(AT[6]) == (policy == "each_entry")


def test_a_paused_program_does_not_keep_another_from_its_events(programs: Programs) -> None:
    signups = Signups(programs)
    other = programs.program("campaign", "spring", status="paused")
    programs.trigger("campaign", other, "event", event_type="signed_up")
    happen(programs, "e1", "ann", AT[0])
    assert signups.start(AT[1]) == 1
    programs.set_status("campaign", other, "active")
    assert signups.start(AT[2]) == 1
    assert programs.entered("campaign", other) == [("ann", 1, "e1")]


def test_the_events_of_another_organization_start_nothing(programs: Programs) -> None:
    signups = Signups(programs)
    own = programs.organization
    programs.organization = programs.new_organization("globex")
    Signups(programs, status="paused")
    happen(programs, "e1", "ann", AT[1])
    programs.organization = own
    assert signups.start(AT[2]) == 0


def test_a_trigger_that_fails_sees_its_events_later_and_does_not_stop_the_others(
    programs: Programs,
) -> None:
    signups = Signups(programs)
    failing = programs.program("journey", "failing")
    programs.trigger("journey", failing, "event", event_type="signed_up")
    signups.start(AT[0])
    change = programs.installation.execute
    change(
        "alter table lifecycle.enrolments add constraint no_more"
        f" check (program_id <> {failing}) not valid"
    )
    try:
        happen(programs, "e1", "ann", AT[0])
        assert signups.start(AT[1]) == 1
        [(item, _, error)] = failures(programs)
        assert item == f"trigger event {failing} of journey failing of acme"
        assert "no_more" in error
    finally:
        change("alter table lifecycle.enrolments drop constraint no_more")
    assert signups.start(AT[2]) == 1
    assert programs.entered("journey", failing) == [("ann", 1, "e1")]
    assert failures(programs) == []


def test_an_event_that_is_committed_late_is_not_missed(programs: Programs) -> None:
    signups = Signups(programs)
    signups.start(AT[0])
    programs.contact("ann")
    with programs.installation.engine.begin() as loading:
        happen(programs, "e1", "ann", AT[1], connection=loading)
        happen(programs, "e2", "bob", AT[2])
        assert signups.start(AT[5]) == 1
    assert signups.start(AT[6]) == 1
    assert [name for name, _, _ in signups.entered] == ["ann", "bob"]


def test_an_event_that_was_written_before_the_trigger_and_committed_after_it_is_not_missed(
    programs: Programs,
) -> None:
    programs.contact("ann")
    with programs.installation.engine.begin() as loading:
        happen(programs, "e1", "ann", AT[1], connection=loading)
        signups = Signups(programs)
        assert signups.start(AT[2]) == 0
    assert signups.start(AT[3]) == 1
    assert programs.installation.rows("select evaluated_at from lifecycle.triggers") == [(AT[3],)]


def test_more_than_a_page_is_taken_in_one_pass(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_entries, "PAGE", 3)
    signups = Signups(programs, "each_entry")
    signups.start(AT[0])
    for number in range(10):
        happen(programs, f"e{number}", f"c{number % 4}", AT[1] + number * dt.timedelta(minutes=1))
    assert signups.start(AT[3]) == 10
    assert arrivals(programs) == []


def test_passes_at_once_pauses_and_late_loads_lose_nothing_and_repeat_nothing(
    programs: Programs,
) -> None:
    signups = Signups(programs, "each_entry")
    dice = Random(11)
    stop = threading.Event()
    errors: list[BaseException] = []

    def passing() -> None:
        try:
            while not stop.is_set():
                signups.start(AT[9])
        except BaseException as error:
            errors.append(error)

    passes = [threading.Thread(target=passing) for _ in range(3)]
    for thread in passes:
        thread.start()
    for number in range(60):
        happen(programs, f"e{number}", f"c{dice.randrange(4)}", dice.choice(AT[:9]))
        if number % 10 == 3:
            programs.set_status("journey", signups.journey, "paused")
        if number % 10 == 8:
            programs.set_status("journey", signups.journey, "active")
    stop.set()
    for thread in passes:
        thread.join()
    signups.start(AT[9])
    assert errors == []
    assert sorted(entry or "" for _, _, entry in signups.entered) == sorted(
        f"e{number}" for number in range(60)
    )
    for name in {name for name, _, _ in signups.entered}:
        rotations = [rotation for each, rotation, _ in signups.entered if each == name]
        assert rotations == list(range(1, len(rotations) + 1))


# Before the trigger knows that its campaign is active, and after.
@pytest.mark.parametrize(
    ("statement", "completed"), [("-- The status of a program", True), ("WITH seen", False)]
)
def test_a_campaign_is_completed_before_an_event_lets_in_or_after_but_not_between(
    programs: Programs, statement: str, completed: bool
) -> None:
    campaign = programs.program("campaign", "spring")
    programs.step("campaign", campaign, "hello", "exit")
    programs.finish(programs.enrol("campaign", campaign, "ann"), "completed", AT[0])
    programs.trigger("campaign", campaign, "event", event_type="signed_up")
    start(programs, AT[0])
    happen(programs, "e1", "bob", AT[1])
    completions: list[Any] = []

    def complete() -> None:
        with programs.installation.engine.begin() as connection:
            completions.extend(complete_all(connection, AT[1], items(AT[1]).attempts))

    with interrupted(programs.installation.engine, statement, complete):
        begun = start(programs, AT[2])
    assert (len(completions), begun) == ((1, 0) if completed else (0, 1))
    programs.set_status("campaign", campaign, "active")
    start(programs, AT[3])
    assert [name for name, _, _ in programs.entered("campaign", campaign)] == ["ann", "bob"]
