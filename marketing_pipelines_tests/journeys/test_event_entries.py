"""Events let their contacts in: since the program was started, each once, none missed."""

import datetime as dt
import json
import threading
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

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
    insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,
        occurred_at, received_at, inserted_at, properties)
    values (:organization, :event, :contact, :type, :at, :received_at, :inserted_at,
        cast(:properties as jsonb))
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

    def left_out(self, at: dt.datetime) -> int:
        """The number of events that a pass leaves out."""
        left_out = entries(self.programs, at).left_out
        assert set(left_out) <= {f"trigger event {self.journey} of journey welcome of acme"}
        return left_out.total()

    @property
    def entered(self) -> list[tuple[str, int, str | None]]:
        return self.programs.entered("journey", self.journey)


def entries(programs: Programs, at: dt.datetime) -> event_entries.EventEntries:
    begin = programs.installation.engine.begin
    return event_entries.start_by_events(begin, at, ZoneInfo("UTC"), items(at).attempts)


def start(programs: Programs, at: dt.datetime) -> int:
    return entries(programs, at).begun


def happen(
    programs: Programs,
    event: str,
    contact: str,
    at: dt.datetime,
    type_: str = "signed_up",
    connection: sa.Connection | None = None,
    *,
    age: dt.timedelta | None = dt.timedelta(),
    **properties: Any,
) -> None:
    """An event is stored; in a transaction that is open, if one is given.

    Args:
        age: How old it is when it arrives; None: nobody knows. A file says that it was received at
            once.
    """
    values = {
        "organization": programs.organization,
        "event": event,
        "contact": programs.contact(contact),
        "type": type_,
        "at": at,
        "received_at": at,
        "inserted_at": None if age is None else at + age,
        "properties": json.dumps(properties),
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
        ("unless_active", [("ann", 1, "e1")]),
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
    ("policy", "expected"),
    [("once", "bob"), ("each_entry", "bob"), ("unless_active", "bob"), ("backfill", "ann bob")],
)
def test_what_happened_before_the_activation_counts_by_backfill_only(
    programs: Programs, policy: str, expected: str
) -> None:
    happen(programs, "e1", "ann", BEFORE)
    happen(programs, "e2", "bob", STARTED)
    signups = Signups(programs, policy)
    signups.start(AT[1])
    assert [name for name, _, _ in signups.entered] == expected.split()


# A trigger that has seen its first pass takes events as they arrive; another reads them all.
@pytest.mark.parametrize("evaluated_before", [True, False])
@pytest.mark.parametrize(
    ("policy", "expected"),
    [("once", "bob"), ("each_entry", "bob"), ("unless_active", "bob"), ("backfill", "ann bob")],
)
def test_history_counts_by_backfill_whenever_it_is_loaded(
    programs: Programs, policy: str, expected: str, evaluated_before: bool
) -> None:
    signups = Signups(programs, policy)
    if evaluated_before:
        signups.start(AT[0])
    happen(programs, "e1", "ann", BEFORE)
    happen(programs, "e2", "bob", AT[0])
    signups.start(AT[5])
    assert [name for name, _, _ in signups.entered] == expected.split()


@pytest.mark.parametrize(
    ("started", "created", "expected"),
    [(0, 0, "bob cid"), (0, 2, "cid"), (2, 0, "cid")],
)
def test_events_count_since_the_trigger_was_created_and_its_program_started(
    programs: Programs, started: int, created: int, expected: str
) -> None:
    journey = programs.program("journey", "welcome", started_at=AT[started])
    programs.trigger("journey", journey, "event", event_type="signed_up", created_at=AT[created])
    for name, at in {"ann": BEFORE, "bob": AT[1], "cid": AT[2]}.items():
        happen(programs, name, name, at)
    start(programs, AT[5])
    assert [name for name, _, _ in programs.entered("journey", journey)] == expected.split()


SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize("evaluated_before", [True, False])
@pytest.mark.parametrize(
    ("hours", "age", "is_in"),
    [
        (None, 72 * HOUR, True),
        (None, 72 * HOUR + SECOND, False),
        (1, HOUR, True),
        (1, HOUR + SECOND, False),
        (0, 10_000 * HOUR, True),
    ],
)
def test_an_event_that_is_too_old_when_it_arrives_is_left_out_and_counted(
    programs: Programs, hours: int | None, age: dt.timedelta, is_in: bool, evaluated_before: bool
) -> None:
    if hours is not None:
        settings = json.dumps({"triggers": {"latest_event_hours": hours}})
        programs.organization = programs.new_organization("other", settings=settings)
        signups = Signups(programs)
    else:
        signups = Signups(programs)
    if evaluated_before:
        signups.start(AT[0])
    happen(programs, "e1", "ann", AT[1], age=age)
    found = entries(programs, AT[5])
    assert (found.begun, found.left_out.total()) == ((1, 0) if is_in else (0, 1))
    again = entries(programs, AT[6])
    assert (again.begun, again.left_out.total()) == (0, 0)


def test_an_event_stored_before_its_arrival_was_kept_counts_as_before(programs: Programs) -> None:
    signups = Signups(programs)
    happen(programs, "e1", "ann", AT[1], age=None)
    assert signups.start(AT[5]) == 1


def test_the_database_says_when_an_event_arrived_not_its_file(programs: Programs) -> None:
    programs.installation.execute(
        "insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,"
        " occurred_at, received_at) values (:organization, 'e1', :contact, 'opened', :at, :at)",
        organization=programs.organization,
        contact=programs.contact("ann"),
        at=AT[1],
    )
    [(difference,)] = programs.installation.rows(
        "select now() - inserted_at from analytics.contact_activity"
    )
    assert dt.timedelta() <= difference < HOUR


def test_events_that_arrive_from_before_the_trigger_are_counted_as_left_out(
    programs: Programs,
) -> None:
    signups = Signups(programs)
    signups.start(AT[0])
    for number in range(3):
        happen(programs, f"e{number}", "ann", BEFORE)
    assert signups.left_out(AT[1]) == 3


def test_where_decides_which_events_let_in(programs: Programs) -> None:
    signups = Signups(programs)
    where = [{"property": "plan", "op": "=", "value": "pro"}]
    for name, config in {"all": {}, "pro": {"where": where}}.items():
        programs.trigger(
            "journey",
            programs.program("journey", name),
            "event",
            event_type="signed_up",
            config=config,
        )
    happen(programs, "e1", "ann", AT[1], plan="pro")
    happen(programs, "e2", "bob", AT[1], plan="free")
    signups.start(AT[2])
    happen(programs, "e3", "cid", AT[3], plan="pro")
    happen(programs, "e4", "dan", AT[3])
    signups.start(AT[4])
    rows = programs.installation.rows(
        "select journey.external_id, string_agg(contact.external_id, ' ' order by contact.id)"
        " from journey.journey_executions as execution"
        " join journey.journeys as journey on journey.id = journey_id"
        " join crm.contacts as contact on contact.id = contact_id"
        " where journey.external_id <> 'welcome' group by 1 order by 1"
    )
    assert rows == [("all", "ann bob cid dan"), ("pro", "ann cid")]


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"config": {"source": "k"}}, "source: is an unknown key: use where."),
    (
        {"config": {"where": [{"property": "plan", "op": "like", "value": 1}]}},
        "where[0].value: like takes a text.",
    ),
    (
        {"config": {"where": [{"property": "plan", "op": "matches", "value": "("}]}},
        "where[0].value: is no regular expression (parentheses () not balanced).",
    ),
    (
        {"config": {"where": [{"property": "misspelt", "op": "!=", "value": "x"}]}},
        "where[0].property: no event of type 'signed_up' has or has had 'misspelt'.",
    ),
    ({"segment_id": 0}, "segment: is not used by a trigger of type event: leave it empty."),
]


@pytest.mark.parametrize(("columns", "sentence"), UNUSABLE)
@pytest.mark.parametrize("evaluated_before", [True, False])
def test_a_trigger_with_what_it_cannot_use_says_so_and_lets_in_when_it_is_mended(
    programs: Programs, columns: dict[str, Any], sentence: str, evaluated_before: bool
) -> None:
    journey = programs.program("journey", "welcome")
    if "segment_id" in columns:
        columns = {"segment_id": programs.segment("bernese")}
    trigger = programs.trigger("journey", journey, "event", event_type="signed_up", **columns)
    if evaluated_before:
        programs.installation.execute("update lifecycle.triggers set evaluated_at = :at", at=AT[0])
    happen(programs, "e1", "ann", AT[1])
    start(programs, AT[2])
    [(_, _, error)] = failures(programs)
    assert error == sentence
    programs.installation.execute(
        "update lifecycle.triggers set config = '{}', segment_id = null where id = :id", id=trigger
    )
    assert start(programs, AT[3]) == 1


# The end of the first execution, the next sign-up of its contact, and the contacts in it then.
@pytest.mark.parametrize("together", [True, False], ids=["in one pass", "one after the other"])
@pytest.mark.parametrize(
    ("ends", "again", "expected"),
    [(None, 3, 1), (4, 3, 1), (4, 4, 2), (4, 5, 2)],
    ids=["under way", "before it ended", "as it ended", "after it ended"],
)
def test_unless_active_begins_no_second_execution_while_one_is_under_way(
    programs: Programs, ends: int | None, again: int, expected: int, together: bool
) -> None:
    signups = Signups(programs, "unless_active")
    happen(programs, "e1", "ann", AT[1])
    if together:
        happen(programs, "e2", "ann", AT[1])
    signups.start(AT[2])
    assert signups.entered == [("ann", 1, "e1")]
    if ends is not None:
        programs.installation.execute(
            "update lifecycle.enrolments set status = 'completed', completed_at = :at", at=AT[ends]
        )
    happen(programs, "e3", "ann", AT[again])
    signups.start(AT[6])
    assert len(signups.entered) == expected
    # Read anew, the answer is the same.
    programs.installation.execute("update lifecycle.triggers set evaluated_at = null")
    assert signups.start(AT[7]) == 0


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
    journey = programs.program("journey", "welcome")
    # The server's clock decides which writer began before the trigger came to be.
    [(now,)] = programs.installation.rows("select now()")
    with programs.installation.engine.begin() as loading:
        happen(programs, "e1", "ann", now + HOUR, connection=loading)
        programs.trigger("journey", journey, "event", event_type="signed_up", created_at=now)
        assert start(programs, now + 2 * HOUR) == 0
    assert start(programs, now + 3 * HOUR) == 1
    assert programs.installation.rows("select evaluated_at from lifecycle.triggers") == [
        (now + 3 * HOUR,)
    ]


def test_an_event_is_counted_as_left_out_once_however_often_its_trigger_reads_it_anew(
    programs: Programs,
) -> None:
    programs.contact("ann")
    # The server's clock decides which writer began before the trigger came to be.
    [(now,)] = programs.installation.rows("select now()")
    signups = Signups(programs)
    programs.installation.execute("update lifecycle.triggers set created_at = :at", at=now)
    happen(programs, "e1", "ann", now + SECOND, age=73 * HOUR)
    with programs.installation.engine.begin() as loading:
        happen(programs, "e2", "ann", now + SECOND, connection=loading, age=73 * HOUR)
        assert [signups.left_out(now + number * HOUR) for number in (1, 2, 3)] == [0, 0, 0]
    assert [signups.left_out(now + number * HOUR) for number in (4, 5)] == [2, 0]


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
