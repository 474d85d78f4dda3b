"""Waits for an event: which one counts, and when it is seen."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at
from marketing_pipelines_tests.waiting import until

ARRIVAL = at("03-02 10:00")
MICROSECOND = dt.timedelta(microseconds=1)
SIDES: list[tuple[str, str, dict[str, Any]]] = [
    ("no", "wait", {"for": "30d", "next": "end"}),
    ("yes", "wait", {"for": "30d"}),
]


def waiting(
    world: ProgramWorld, *, kind: str = "campaign", name: str = "welcome", **config: Any
) -> tuple[int, list[int]]:
    """A program whose two contacts came to their wait for a click at 10:00; it lasts an hour."""
    step = {"event": "clicked", "timeout": "1h", "yes": "yes", "no": "no", **config}
    program = world.program([("link", "wait_for", step), *SIDES], kind=kind, name=name)
    contacts = world.contacts(2)
    world.enrol(program, contacts, ARRIVAL, kind=kind)
    world.move(ARRIVAL, kind=kind)
    assert world.standing(program, kind=kind) == {"link": 2}
    return program, contacts


# The instant of the first contact's click, and the way that it led after the tick at 12:00.
INSTANTS = [
    ("before the arrival", ARRIVAL - MICROSECOND, {"no": 2}),
    ("at the arrival", ARRIVAL, {"yes": 1, "no": 1}),
    ("meanwhile", ARRIVAL + dt.timedelta(minutes=7), {"yes": 1, "no": 1}),
    ("just in time", ARRIVAL + dt.timedelta(hours=1) - MICROSECOND, {"yes": 1, "no": 1}),
    ("when time is out", ARRIVAL + dt.timedelta(hours=1), {"no": 2}),
    ("later", ARRIVAL + dt.timedelta(minutes=90), {"no": 2}),
]


@pytest.mark.parametrize("known", ["before the arrival", "at once", "at the end"])
def test_an_event_counts_from_the_arrival_until_time_is_out(
    world: ProgramWorld, known: str
) -> None:
    """Whenever it became known, be it before it happened or long after."""
    programs = {}
    for name, instant, _ in INSTANTS:
        step = {"event": "clicked", "timeout": "1h", "yes": "yes", "no": "no"}
        programs[name] = world.program([("link", "wait_for", step), *SIDES], name=name)
        contacts = world.contacts(2)
        if known == "before the arrival":
            world.event(contacts[:1], "clicked", instant)
        world.enrol(programs[name], contacts, ARRIVAL)
        world.move(ARRIVAL)
        if known == "at once":
            world.event(contacts[:1], "clicked", instant)
        elif known == "at the end":
            world.move(at("03-02 10:55"))
            world.event(contacts[:1], "clicked", instant)
    for tick in ("10:05", "10:10", "11:00", "12:00"):
        world.move(at(f"03-02 {tick}"))
    found = {name: world.standing(program) for name, program in programs.items()}
    assert found == {name: expected for name, _, expected in INSTANTS}


def test_an_event_is_seen_by_the_first_tick_after_it(world: ProgramWorld) -> None:
    program, contacts = waiting(world)
    world.event(contacts[:1], "clicked", at("03-02 10:05"))
    # At the tick itself is not before it.
    world.move(at("03-02 10:05"))
    assert world.standing(program) == {"link": 2}
    world.move(at("03-02 10:05") + MICROSECOND)
    assert world.standing(program) == {"link": 1, "yes": 1}


def test_only_the_awaited_type_of_the_contact_itself_counts(world: ProgramWorld) -> None:
    program, contacts = waiting(world)
    world.event(contacts, "click", at("03-02 10:01"))
    world.event(contacts, "clicked.twice", at("03-02 10:01"))
    world.event(world.contacts(1), "clicked", at("03-02 10:01"))
    assert world.move(at("03-02 10:05")).woken == 0
    assert world.standing(program) == {"link": 2}


def test_no_time_to_wait_is_no_wait(world: ProgramWorld) -> None:
    step = {"event": "clicked", "timeout": "0d", "yes": "yes", "no": "no"}
    program = world.program([("link", "wait_for", step), *SIDES])
    contacts = world.contacts(1)
    world.event(contacts, "clicked", ARRIVAL)
    world.enrol(program, contacts, ARRIVAL)
    world.move(ARRIVAL)
    assert world.standing(program) == {"no": 1}


# The step's condition, and the clicks that it takes: of the program, of another, of none.
SOURCES: list[tuple[Any, list[bool]]] = [
    (None, [True, True, True]),
    ("program", [True, False, False]),
    ("other", [False, True, False]),
    (["other", "program"], [True, True, False]),
    ("nowhere", [False, False, False]),
]


def test_the_source_decides_and_others_are_waited_out(world: ProgramWorld) -> None:
    other = world.program([], name="other", status="draft")
    found = []
    for place, (source, _) in enumerate(SOURCES):
        config = {} if source is None else {"source": source}
        came = []
        for campaign in ("own", other, None):
            program, contacts = waiting(world, name=f"{place} {campaign}", **config)
            world.event(
                contacts[:1],
                "clicked",
                at("03-02 10:01"),
                campaign=program if campaign == "own" else campaign,
            )
            world.move(at("03-02 10:05"))
            came.append("yes" in world.standing(program))
            if not came[-1]:
                # Woken for nothing, it waits until its own time is out, not longer.
                assert world.next_at(program) == ["03-02 11:00"] * 2
                world.move(at("03-02 11:00") - MICROSECOND)
                assert world.standing(program) == {"link": 2}
        found.append(came)
    assert found == [expected for _, expected in SOURCES]
    world.move(at("03-02 11:00"))
    assert world.scalar(
        "select count(*) from lifecycle.step_results join lifecycle.steps as step"
        " on step.id = step_id where organization_id = :organization and outcome = 'no'"
        " and reason = 'time is out'",
        organization=world.organization_id,
    ) == sum(2 - came for row in found for came in row)


@pytest.mark.parametrize("kind", ["sequence", "journey"])
def test_events_of_the_program_itself_are_a_campaigns_alone(world: ProgramWorld, kind: str) -> None:
    """Events come from campaigns: in another program the wait would never end with one."""
    step = {"event": "clicked", "timeout": "1h", "source": "program"}
    program = world.program([("link", "wait_for", step)], kind=kind)
    world.enrol(program, world.contacts(1), ARRIVAL, kind=kind)
    report = world.move(ARRIVAL, kind=kind)
    assert world.standing(program, kind=kind) == {"link": 1}
    assert (
        f"a {kind} has no events of its own." in report.blocked[f"{kind} welcome of {world.name}"]
    )


CLICK = sa.text(
    "insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,"
    " occurred_at, received_at) select organization_id, 'late ' || id, id, 'clicked', :at, :at"
    " from crm.contacts where id = any(:contacts)"
)


def test_an_event_committed_after_the_tick_that_it_belongs_to_is_seen(
    world: ProgramWorld,
) -> None:
    """Its transaction was open during the pass in which the contacts arrived, and the one after."""
    program = world.program(
        [
            ("link", "wait_for", {"event": "clicked", "timeout": "1h", "yes": "yes", "no": "no"}),
            *SIDES,
        ]
    )
    contacts = world.contacts(2)
    world.enrol(program, contacts, ARRIVAL)
    with world.engine.connect() as late:
        late.execute(CLICK, {"at": at("03-02 10:01"), "contacts": contacts})
        world.move(ARRIVAL)
        world.move(at("03-02 10:05"))
        assert world.standing(program) == {"link": 2}
        late.commit()
    world.move(at("03-02 10:10"))
    assert world.standing(program) == {"yes": 2}


def test_an_event_that_came_while_its_contact_was_on_its_way_is_seen(
    world: ProgramWorld,
) -> None:
    """The pass that brings the contact to its wait has not committed when another looks at it."""
    program = world.program(
        [
            ("link", "wait_for", {"event": "clicked", "timeout": "1h", "yes": "yes", "no": "no"}),
            *SIDES,
        ]
    )
    contacts = world.contacts(2)
    world.enrol(program, contacts, ARRIVAL)

    def meanwhile() -> None:
        world.event(contacts, "clicked", at("03-02 10:01"))
        world.move(at("03-02 10:05"))

    # After its last look at events, before it commits.
    with interrupted(world.engine, "-- Writes the places of the claimed contacts", meanwhile):
        world.move(ARRIVAL)
    assert world.standing(program) == {"link": 2}
    world.move(at("03-02 10:10"))
    assert world.standing(program) == {"yes": 2}
    until(lambda: world.move(at("03-02 10:15")) and arrivals(world) == 0)


def test_an_event_is_seen_by_a_pass_that_is_behind_others(world: ProgramWorld) -> None:
    """A pass takes contacts for an early tick when passes of later ticks have seen the event."""
    program = world.program(
        [
            ("link", "wait_for", {"event": "clicked", "timeout": "1h", "yes": "yes", "no": "no"}),
            *SIDES,
        ]
    )
    contacts = world.contacts(2)
    world.enrol(program, contacts, ARRIVAL)
    world.event(contacts, "clicked", at("03-02 10:01"))
    other = ProgramWorld(world.engine, name=f"other {world.name}")

    def before() -> None:
        other.move(at("03-02 10:05"), kind="journey")

    def meanwhile() -> None:
        other.move(at("03-02 10:10"), kind="journey")

    with (
        interrupted(world.engine, "-- Takes contacts that are due", before),
        interrupted(world.engine, "-- Writes the places of the claimed contacts", meanwhile),
    ):
        world.move(ARRIVAL)
    assert world.standing(program) == {"link": 2}
    world.move(at("03-02 10:15"))
    assert world.standing(program) == {"yes": 2}


def test_an_event_known_before_its_step_is_seen(world: ProgramWorld) -> None:
    """Nobody waited for its type when it was written."""
    contacts = world.contacts(2)
    world.event(contacts[:1], "confirmed", at("03-02 10:07"))
    step = {"event": "confirmed", "timeout": "1d", "yes": "yes", "no": "no"}
    program = world.program([("link", "wait_for", step), *SIDES])
    world.enrol(program, contacts, ARRIVAL)
    world.move(ARRIVAL)
    world.move(at("03-02 10:05"))
    assert world.standing(program) == {"link": 2}
    world.move(at("03-02 10:10"))
    assert world.standing(program) == {"link": 1, "yes": 1}


def test_who_came_to_a_broken_wait_is_woken_when_it_is_mended(world: ProgramWorld) -> None:
    step = {"event": "clicked", "timeout": "1 h"}
    program = world.program([("link", "wait_for", step), *SIDES])
    contacts = world.contacts(2)
    world.enrol(program, contacts, ARRIVAL)
    assert "timeout" in world.move(ARRIVAL).blocked[f"campaign welcome of {world.name}"]
    world.change_step(program, "link", config={"event": "clicked", "timeout": "1h", "yes": "yes"})
    world.move(at("03-02 10:05"))
    assert world.next_at(program) == ["03-02 11:00"] * 2
    world.event(contacts[:1], "clicked", at("03-02 10:06"))
    world.move(at("03-02 10:10"))
    assert world.standing(program) == {"link": 1, "yes": 1}


def test_a_paused_program_sees_on_resuming_what_happened_in_time(world: ProgramWorld) -> None:
    program, contacts = waiting(world)
    world.set_status(program, "paused")
    world.event(contacts[:1], "clicked", at("03-02 10:30"))
    world.event(contacts[1:], "clicked", at("03-02 11:30"))
    for tick in ("10:35", "11:00", "12:00"):
        world.move(at(f"03-02 {tick}"))
    assert world.standing(program) == {"link": 2}
    world.set_status(program, "active")
    world.move(at("03-02 13:00"))
    assert world.standing(program) == {"yes": 1, "no": 1}


def test_arrivals_are_forgotten_when_nobody_can_have_missed_them(world: ProgramWorld) -> None:
    _, contacts = waiting(world)
    world.event(contacts, "clicked", at("03-02 10:01"))
    world.event(contacts, "clicked", at("03-03 10:00"))
    with world.engine.connect() as open_for_long:
        open_for_long.exec_driver_sql("select pg_current_xact_id()")
        for minute in (5, 10, 15):
            world.move(at(f"03-02 10:{minute:02}"))
        assert arrivals(world) == 4
    # The events of tomorrow have not happened yet.
    until(lambda: world.move(at("03-02 10:20")) and arrivals(world) == 2)


def test_arrivals_are_taken_a_page_at_a_time(world: ProgramWorld) -> None:
    """Somebody loads the events of years: no transaction has more than a page in hand."""
    program, contacts = waiting(world)
    for _ in range(4):
        world.event(contacts, "clicked", at("03-01 10:01"))
    world.event(contacts, "clicked", at("03-02 10:01"))
    # Ten arrivals: each statement is one of three pages, in a transaction of its own.
    with interrupted(world.engine, "-- Makes contacts due whose awaited", bool, times=3):
        world.move(at("03-02 10:05"), arrivals=4)
    assert world.standing(program) == {"yes": 2}
    until(lambda: world.move(at("03-02 10:10"), arrivals=3) and arrivals(world) == 0)


def test_an_event_whose_contact_somebody_has_in_hand_is_seen_later(world: ProgramWorld) -> None:
    program, contacts = waiting(world)
    world.event(contacts[:1], "clicked", at("03-02 10:01"))
    hand = sa.text("select from lifecycle.enrolments where program_id = :program for update")
    for minute in (5, 10, 15):
        # Each time another transaction, so that no old one keeps the arrival.
        with world.engine.begin() as busy:
            busy.execute(hand, {"program": program})
            world.move(at(f"03-02 10:{minute:02}"))
        assert arrivals(world) == 1
    world.move(at("03-02 10:20"))
    assert world.standing(program) == {"link": 1, "yes": 1}
    until(lambda: world.move(at("03-02 10:25")) and arrivals(world) == 0)


def arrivals(world: ProgramWorld) -> int:
    return int(
        world.scalar(
            "select count(*) from lifecycle.event_arrivals where organization_id = :organization",
            organization=world.organization_id,
        )
    )


@contextlib.contextmanager
def interrupted(engine: sa.Engine, statement: str, work: Any, *, times: int = 1) -> Iterator[None]:
    """Does something, so many times at most and at least, before statements that begin so."""
    pending = [work] * times

    def before(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith(statement) and pending:
            pending.pop()()

    sa.event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", before)
    assert not pending


def test_whoever_waits_when_the_awaited_event_is_edited_is_looked_at_anew(
    world: ProgramWorld,
) -> None:
    waiting = {"event": "opened", "timeout": "30d"}
    program = world.program([("link", "wait_for", waiting)])
    contacts = world.contacts(2)
    world.enrol(program, contacts, at("03-02 10:00"))
    world.move(at("03-02 10:05"))
    world.event(contacts[:1], "clicked", at("03-02 10:06"))
    world.move(at("03-02 10:10"))
    world.change_step(program, "link", config={"event": "clicked", "timeout": "2d"})
    world.move(at("03-02 10:15"))
    assert world.standing(program) == {"link": 1, "completed": 1}
    world.event(contacts[1:], "clicked", at("03-02 10:16"))
    world.move(at("03-02 10:20"))
    assert world.standing(program) == {"completed": 2}
