"""Exit and goal: contacts leave before the last step, also during a wait, and goals are noted."""

import csv
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.delivery.rendering import Rendered
from marketing_pipelines.domains.delivery.sending import SendingReport, send_batch
from marketing_pipelines.domains.lifecycle import endings
from marketing_pipelines.domains.lifecycle.checking import problems
from marketing_pipelines.stores.postgres import committing_each
from marketing_pipelines_tests.delivery.world import Recorder
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at
from marketing_pipelines_tests.waiting import until

MAIL = ("hello", "send_email", {"subject": "Hello", "text": "Hello"})
MONTH = ("month", "wait", {"for": "30d"})
AGAIN = ("again", "send_email", {"subject": "Again", "text": "Hello"})
ENTERED, TICK = at("03-02 10:00"), at("03-02 10:05")
INSTANT = dt.timedelta(microseconds=1)
PURCHASE = {"event": "purchase"}
VIP = {"rule": {"attribute": "vip", "op": "=", "value": True}}


def states(world: ProgramWorld) -> list[tuple[Any, ...]]:
    """State and reason of every message, and how many."""
    return world.rows(
        "select state, reason, count(*) from delivery.messages"
        " where organization_id = :organization group by 1, 2 order by 1, 2",
        organization=world.organization_id,
    )


def goals(world: ProgramWorld) -> list[tuple[Any, ...]]:
    """The instants and events of goals."""
    return world.rows(
        "select at, goals.event_id from lifecycle.goals join lifecycle.enrolments on id ="
        " enrolment_id where organization_id = :organization order by enrolment_id",
        organization=world.organization_id,
    )


def set_fields(world: ProgramWorld, contact: int, **fields: Any) -> None:
    world.execute(
        "update crm.contacts set attributes = cast(:fields as jsonb) where id = :id",
        fields=json.dumps(fields),
        id=contact,
    )


@pytest.mark.parametrize("kind", ["campaign", "sequence", "journey"])
def test_a_purchase_during_a_month_of_waiting_ends_it_within_one_pass(
    world: ProgramWorld, kind: str
) -> None:
    program = world.program([MAIL, MONTH, AGAIN], kind=kind)
    world.set_endings(program, kind=kind, goal=PURCHASE)
    buyer, other = world.contacts(2)
    world.enrol(program, [buyer, other], ENTERED, kind=kind)
    world.move(TICK, kind=kind)
    bought_at = at("03-09 12:00")
    [event] = world.event([buyer], "purchase", bought_at)
    world.event([other], "opened", bought_at)
    report = world.move(at("03-09 12:05"), kind=kind)
    assert report.ended == {"exited": 1}
    assert world.left(program, kind=kind) == [("exited", "goal", 1)]
    assert world.standing(program, kind=kind) == {"exited": 1, "month": 1}
    assert world.results(program, kind=kind)[("month", "exited")] == 1
    assert states(world) == [("queued", None, 1), ("suppressed", "goal", 1)]
    assert goals(world) == [(bought_at, event)]
    # The next pass finds nothing to do, and in time the arrival is forgotten.
    world.move(at("03-09 12:10"), kind=kind)
    arrivals = "select event_id from lifecycle.event_arrivals where organization_id = :organization"

    def forgotten() -> bool:
        world.move(at("03-09 12:15"), kind=kind)
        return world.rows(arrivals, organization=world.organization_id) == []

    # Arrivals are kept while older transactions of the server run.
    until(forgotten, what="the arrival to be forgotten")


def test_a_sent_message_stays_as_it_is(world: ProgramWorld) -> None:
    program = world.program([MAIL, MONTH])
    world.set_endings(program, exit=[PURCHASE])
    contacts = world.contacts(1)
    world.enrol(program, contacts, ENTERED)
    world.move(TICK)
    world.execute("update delivery.messages set state = 'sent', sent_at = :at", at=TICK)
    world.event(contacts, "purchase", at("03-02 11:00"))
    world.move(at("03-02 11:05"))
    assert world.left(program) == [("exited", "exit", 1)]
    assert states(world)[-1] == ("sent", None, 1)
    assert goals(world) == []


@dataclass
class Interrupted(Recorder):
    """A transport during whose first message something happens."""

    happens: Callable[[], None] = lambda: None

    def send(self, message: Rendered) -> None:
        super().send(message)
        if len(self.taken) == 1:
            self.happens()


def send(world: ProgramWorld, transport: Recorder) -> SendingReport:
    return send_batch(
        world.engine.begin,
        "email",
        transport,
        open_marking=lambda: committing_each(world.engine),
        clock=lambda: TICK,
    )


@pytest.mark.parametrize("column", ["exit", "goal"])
def test_a_claimed_message_is_judged_again_when_it_is_sent(
    world: ProgramWorld, column: str
) -> None:
    program = world.program([MAIL, MONTH])
    world.set_endings(program, **{column: PURCHASE})
    first, buyer, third = world.contacts(3)
    world.enrol(program, [first, buyer, third], ENTERED)
    world.move(TICK)

    def buy() -> None:
        world.event([buyer], "purchase", at("03-02 10:06"))
        world.move(at("03-02 10:10"))

    assert send(world, Interrupted(happens=buy)) == SendingReport(claimed=3, sent=2, suppressed=1)
    assert world.left(program) == [("exited", column, 1)]
    assert states(world) == [("sent", None, 2), ("suppressed", column, 1)]


def test_an_exit_step_of_that_reason_stops_no_message(world: ProgramWorld) -> None:
    program = world.program([MAIL, ("out", "exit", {"reason": "goal"})])
    world.enrol(program, world.contacts(1), ENTERED)
    world.move(TICK)
    assert world.left(program) == [("exited", "goal", 1)]
    assert send(world, Recorder()).sent == 1


def test_events_count_from_the_entry_until_before_the_tick(world: ProgramWorld) -> None:
    program = world.program([MONTH])
    world.set_endings(program, goal=PURCHASE)
    before, at_entry, at_tick = world.contacts(3)
    world.enrol(program, [before, at_entry, at_tick], ENTERED)
    world.event([before], "purchase", ENTERED - INSTANT)
    world.event([at_entry], "purchase", ENTERED)
    world.event([at_tick], "purchase", TICK)
    world.move(TICK)
    assert world.standing(program) == {"month": 2, "exited": 1}
    world.move(TICK + INSTANT)
    assert world.standing(program) == {"month": 1, "exited": 2}


def test_the_event_that_enrolled_a_contact_is_no_goal(world: ProgramWorld) -> None:
    program = world.program([MONTH], kind="journey", started_at=at("03-01 00:00"))
    world.set_endings(program, kind="journey", goal=PURCHASE)
    world.trigger(program, "purchase", created_at=at("03-01 00:00"))
    contacts = world.contacts(1)
    world.event(contacts, "purchase", ENTERED)
    world.start(TICK)
    world.move(TICK, kind="journey")
    world.move(at("03-02 10:10"), kind="journey")
    assert world.standing(program, kind="journey") == {"month": 1}
    world.event(contacts, "purchase", at("03-02 10:11"))
    world.move(at("03-02 10:15"), kind="journey")
    assert world.standing(program, kind="journey") == {"exited": 1}


def test_a_rule_is_judged_before_each_step_and_not_during_a_wait(world: ProgramWorld) -> None:
    day = ("day", "wait", {"for": "1d"})
    program = world.program([MAIL, day, AGAIN])
    world.set_endings(program, exit=VIP)
    contacts = world.contacts(2)
    set_fields(world, contacts[0], vip=True)
    set_fields(world, contacts[1])
    world.enrol(program, contacts, ENTERED)
    world.move(TICK)
    assert world.standing(program) == {"exited": 1, "day": 1}
    set_fields(world, contacts[1], vip=True)
    world.move(at("03-02 12:00"))
    assert world.standing(program) == {"exited": 1, "day": 1}
    world.move(at("03-03 10:05"))
    assert world.left(program) == [("exited", "exit", 2)]
    assert world.messages() == {"hello": 1}


def test_a_step_of_the_same_pass_makes_the_rule_true(world: ProgramWorld) -> None:
    promote = ("promote", "update_contact", {"set": {"vip": True}})
    program = world.program([promote, MAIL])
    world.set_endings(program, goal=VIP)
    contacts = world.contacts(1)
    set_fields(world, contacts[0], vip=False)
    world.enrol(program, contacts, ENTERED)
    world.move(TICK)
    assert world.left(program) == [("exited", "goal", 1)]
    assert world.messages() == {}
    assert goals(world) == [(TICK, None)]


def test_of_an_exit_and_a_goal_at_once_the_goal_counts(world: ProgramWorld) -> None:
    program = world.program([MONTH])
    world.set_endings(program, exit=[VIP, PURCHASE], goal={"event": "signed"})
    waiting, due = world.contacts(2)
    world.enrol(program, [waiting], ENTERED)
    world.move(TICK)
    world.enrol(program, [due], TICK)
    world.event([waiting, due], "purchase", at("03-02 10:06"))
    world.event([waiting, due], "signed", at("03-02 10:07"))
    world.move(at("03-02 10:10"))
    assert world.left(program) == [("exited", "goal", 2)]


def test_contacts_that_left_the_segment_of_their_trigger_leave(world: ProgramWorld) -> None:
    program = world.program([("day", "wait", {"for": "1d"}), MAIL], kind="journey")
    world.set_endings(program, kind="journey", exit={"left_segment": True})
    stays, leaves, by_hand = world.contacts(3)
    segment = world.scalar(
        "insert into segments.segments (organization_id, external_id, rule)"
        " values (:organization, 'engaged', cast(:rule as jsonb)) returning id",
        rule='{"all": []}',
        organization=world.organization_id,
    )
    trigger = world.scalar(
        "insert into lifecycle.triggers (organization_id, program_kind, program_id, external_id,"
        " type, segment_id) values (:organization, 'journey', :program, 'engaged', 'segment',"
        " :segment) returning id",
        organization=world.organization_id,
        program=program,
        segment=segment,
    )
    world.execute(
        "insert into segments.memberships (segment_id, contact_id, entered_at, left_at)"
        " select :segment, contact, :at,"
        " case when contact = :leaves then cast(:at as timestamptz) + interval '1 hour' end"
        " from unnest(cast(:contacts as bigint[])) as contact",
        segment=segment,
        at=ENTERED,
        contacts=[stays, leaves],
        leaves=leaves,
    )
    world.enrol(program, [stays, leaves, by_hand], ENTERED, kind="journey")
    world.execute(
        "update lifecycle.enrolments set trigger_id = :trigger, entry = contact_id::text"
        " where contact_id = any(cast(:contacts as bigint[]))",
        trigger=trigger,
        contacts=[stays, leaves],
    )
    world.move(TICK, kind="journey")
    assert world.left(program, kind="journey") == [("exited", "exit", 1)]
    assert [
        row[0]
        for row in world.rows(
            "select contact_id from lifecycle.enrolments where program_id = :program"
            " and program_kind = 'journey' and status = 'active' order by 1",
            program=program,
        )
    ] == [stays, by_hand]


def test_a_completed_contact_reaches_the_goal_up_to_seven_days_after_its_last_message(
    world: ProgramWorld,
) -> None:
    program = world.program([MAIL])
    world.set_endings(program, goal=PURCHASE)
    in_time, too_late, early = world.contacts(3)
    world.enrol(program, [in_time, too_late, early], ENTERED)
    world.move(TICK)
    assert world.standing(program) == {"completed": 3}
    week = TICK + dt.timedelta(days=7)
    [event] = world.event([in_time], "purchase", week - INSTANT)
    world.event([too_late], "purchase", week)
    world.event([early], "purchase", ENTERED - INSTANT)
    world.move(at("03-10 10:05"))
    assert goals(world) == [(week - INSTANT, event)]
    assert world.standing(program) == {"completed": 3}
    world.event([in_time], "purchase", at("03-03 12:00"))
    world.move(at("03-10 10:10"))
    assert len(goals(world)) == 1


def test_a_purchase_while_the_program_is_paused_ends_it_afterwards(world: ProgramWorld) -> None:
    program = world.program([MONTH])
    world.set_endings(program, goal=PURCHASE)
    contacts = world.contacts(1)
    world.enrol(program, contacts, ENTERED)
    world.move(TICK)
    world.set_status(program, "paused")
    world.event(contacts, "purchase", at("03-03 12:00"))
    for tick in ("03-03 12:05", "03-03 12:10", "03-03 12:15"):
        world.move(at(tick))
    assert world.standing(program) == {"month": 1}
    world.set_status(program, "active")
    world.move(at("03-03 12:20"))
    assert world.left(program) == [("exited", "goal", 1)]


def test_a_rule_that_cannot_be_evaluated_holds_contacts_and_is_named(world: ProgramWorld) -> None:
    program = world.program([MAIL])
    world.set_endings(program, exit={"rule": {"attribute": "misspelt", "op": "exists"}})
    world.enrol(program, world.contacts(1), ENTERED)
    report = world.move(TICK)
    reason = "attribute: no contact has or has had 'misspelt'."
    assert report.blocked == {f"campaign welcome of {world.name}": f"step entrance: exit: {reason}"}
    assert world.standing(program) == {"entrance": 1}
    with world.engine.connect() as connection:
        told = [line for line in problems(connection) if world.name in line]
    assert told == [f"campaign welcome of {world.name}, exit.{reason}"]


def test_left_segment_needs_a_trigger_of_a_segment(world: ProgramWorld) -> None:
    program = world.program([MAIL])
    world.set_endings(program, goal=[{"left_segment": True}])
    with world.engine.connect() as connection:
        told = [line for line in problems(connection) if world.name in line]
    assert told == [
        f"campaign welcome of {world.name}, goal: left_segment: the program has no trigger of type"
        " segment."
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (PURCHASE, None),
        ([VIP, PURCHASE, {"left_segment": True}], None),
        ([], "has no conditions: leave it empty"),
        ({}, "takes an object with just one of the keys rule, event, left_segment"),
        ("purchase", "takes an object with just one of the keys rule, event, left_segment"),
        ([PURCHASE, 1], "[1]: takes an object with just one of the keys rule, event,"),
        ([PURCHASE | VIP], "[0]: takes an object with just one of the keys"),
        ({"event": ""}, "event: takes a type of event"),
        ({"event": "purchase*"}, "event: names one event type exactly: prefixes are for rules"),
        ({"left_segment": False}, "left_segment: takes true"),
        ([{"rule": {"all": [{"event": "x", "times": -1}]}}], "[0].rule.all[0].times: "),
    ],
)
def test_what_a_condition_may_be(value: Any, problem: str | None) -> None:
    found = endings.problem_of(json.dumps(value))
    assert found == problem or (problem is not None and str(found).startswith(problem))


def test_a_file_sets_clears_and_refuses_endings(world: ProgramWorld, tmp_path: Path) -> None:
    file = tmp_path / "campaigns.jsonl"
    base = {"organization_id": world.name}
    rows = [
        {**base, "external_id": "a", "exit": [VIP, PURCHASE], "goal": PURCHASE, "goal_days": 30},
        {**base, "external_id": "b", "goal": {"event": "x*"}},
        {**base, "external_id": "c", "goal_days": 0},
        {**base, "external_id": "d", "goal": "More sales"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = world.load("campaigns", file)
    assert result.rejected == 3
    assert result.rejects is not None
    with result.rejects.open(encoding="utf-8") as refused:
        found = [(row["line"], row["column"], row["reason"]) for row in csv.DictReader(refused)]
    assert found == [
        ("2", "goal", "event: names one event type exactly: prefixes are for rules"),
        ("3", "goal_days", "is more than 3650 days, or not positive"),
        (
            "4",
            "goal",
            '\'More sales\' is text, and goal holds a condition such as {"event": "purchase"}:'
            " to keep the texts as an attribute, rename the column, e.g. to goal_text",
        ),
    ]
    stored = "select exit, goal, goal_days from campaigns.campaigns where external_id = 'a'"
    assert world.rows(stored) == [([VIP, PURCHASE], PURCHASE, 30)]
    again = tmp_path / "campaigns.csv"
    again.write_text(
        "organization_id,external_id,exit,goal,goal_days\n"
        f'{world.name},a,,"[{{""event"": ""signed""}}]",\n'
    )
    world.load("campaigns", again)
    assert world.rows(stored) == [(None, [{"event": "signed"}], 7)]
