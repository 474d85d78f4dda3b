"""Contacts that leave before the last step: of sequences, and of programs that are cancelled."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.lifecycle.world import TABLES, ProgramWorld, at

ENTRY, ARRIVAL, NEXT = at("03-02 10:00"), at("03-02 10:05"), at("03-02 10:10")
MAIL = ("mail", "send_email", {"subject": "Hello", "text": "Hello"})
SMS = ("sms", "send_sms", {"text": "Hello"})
WAITS = [
    ("wait", {"for": "9d"}),
    ("wait", {"until": "09:00"}),
    ("wait_for", {"event": "clicked", "timeout": "9d"}),
]


def waiting(
    world: ProgramWorld,
    *,
    kind: str = "sequence",
    wait: tuple[str, dict[str, Any]] = WAITS[0],
    name: str = "welcome",
) -> tuple[int, list[int]]:
    """A program whose two contacts came to a wait at 10:05."""
    program = world.program([MAIL, ("pause", *wait), SMS], kind=kind, name=name)
    contacts = world.contacts(2)
    world.enrol(program, contacts, ENTRY, kind=kind)
    world.move(ARRIVAL, kind=kind)
    assert world.standing(program, kind=kind) == {"pause": 2}
    return program, contacts


def suppress(world: ProgramWorld, contact: int, channel: str) -> None:
    """As a file of suppressions does."""
    world.execute(
        "insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)"
        " values (:organization, :contact, :channel, 'do_not_contact', now())",
        organization=world.organization_id,
        contact=contact,
        channel=channel,
    )


# The event of the first contact while it waits, and its reason to leave; None: it stays.
HAPPENS: list[tuple[str, dict[str, Any], str | None]] = [
    ("unsubscribed", {}, "unsubscribed"),
    ("unsubscribed", {"channel": "all"}, "unsubscribed"),
    ("unsubscribed", {"channel": "sms"}, None),
    ("complained", {}, "complaint"),
    ("bounced", {"bounce_type": "hard"}, "hard_bounce"),
    ("bounced", {"bounce_type": "soft"}, "bounced"),
    ("bounced", {"bounce_type": "soft", "channel": "sms"}, None),
    ("opened", {}, None),
]


@pytest.mark.parametrize("wait", WAITS)
def test_a_contact_leaves_a_sequence_within_one_pass_also_while_it_waits(
    world: ProgramWorld, wait: tuple[str, dict[str, Any]]
) -> None:
    for place, (event, properties, reason) in enumerate(HAPPENS):
        program, contacts = waiting(world, wait=wait, name=f"p{place}")
        due = world.next_at(program, kind="sequence")
        world.event(contacts[:1], event, at("03-02 10:06"), properties=properties)
        report = world.move(NEXT, kind="sequence")
        left = [] if reason is None else [("exited", reason, 1)]
        assert (event, world.left(program, kind="sequence")) == (event, left)
        assert report.ended == ({"exited": 1} if reason else {})
        # Nobody is moved on before its time.
        assert world.next_at(program, kind="sequence") == [None if reason else due[0], due[1]]
        if reason:
            assert world.rows(
                "select step.external_id, result.outcome, result.reason, at = :tick,"
                " exited_at = :tick from lifecycle.step_results as result"
                " join lifecycle.enrolments on enrolments.id = enrolment_id"
                " join lifecycle.steps as step on step.id = result.step_id"
                " where step.program_id = :program and step.program_kind = 'sequence'"
                " and result.outcome = 'exited'",
                program=program,
                tick=NEXT,
            ) == [("pause", "exited", reason, True, True)]


@pytest.mark.parametrize("kind", ["campaign", "journey"])
def test_a_contact_of_another_program_waits_on(world: ProgramWorld, kind: str) -> None:
    program, contacts = waiting(world, kind=kind)
    world.event(contacts, "unsubscribed", at("03-02 10:06"))
    world.move(NEXT, kind=kind)
    world.move(NEXT, kind="sequence")
    assert world.standing(program, kind=kind) == {"pause": 2}


@pytest.mark.parametrize(("channel", "leaves"), [("email", True), ("all", True), ("sms", False)])
def test_a_suppression_from_a_file_ends_a_sequence_within_one_pass(
    world: ProgramWorld, channel: str, leaves: bool
) -> None:
    program, contacts = waiting(world)
    suppress(world, contacts[0], channel)
    world.move(NEXT, kind="sequence")
    left = [("exited", "do_not_contact", 1)] if leaves else []
    assert world.left(program, kind="sequence") == left


def test_a_suppression_that_was_lifted_before_the_pass_ends_nothing(world: ProgramWorld) -> None:
    program, contacts = waiting(world)
    suppress(world, contacts[0], "email")
    world.execute("delete from delivery.suppressions where contact_id = :id", id=contacts[0])
    world.move(NEXT, kind="sequence")
    assert world.next_at(program, kind="sequence") == ["03-11 10:05"] * 2


def test_a_bounce_after_the_tick_is_for_a_later_pass(world: ProgramWorld) -> None:
    program, contacts = waiting(world)
    world.event(contacts[:1], "bounced", NEXT)
    world.move(NEXT, kind="sequence")
    assert world.standing(program, kind="sequence") == {"pause": 2}
    world.move(at("03-02 10:15"), kind="sequence")
    assert world.left(program, kind="sequence") == [("exited", "bounced", 1)]


@pytest.mark.parametrize("others", [(-9,), (99,), (-9, 99), (-9, -8, 99)])
def test_a_contact_leaves_whichever_other_bounces_the_same_statement_brings(
    world: ProgramWorld, others: tuple[int, ...]
) -> None:
    program, contacts = waiting(world)
    world.execute(
        "insert into analytics.contact_activity (organization_id, event_id, contact_id,"
        " event_type, occurred_at, received_at) select :organization, 'b' || at, :contact,"
        " 'bounced', at, at from unnest(cast(:instants as timestamptz[])) as at",
        organization=world.organization_id,
        contact=contacts[0],
        instants=[ENTRY + minutes * dt.timedelta(minutes=1) for minutes in (6, *others)],
    )
    # A pass of before looks at what was over then.
    world.move(ARRIVAL, kind="sequence")
    assert world.standing(program, kind="sequence") == {"pause": 2}
    world.move(NEXT, kind="sequence")
    assert world.left(program, kind="sequence") == [("exited", "bounced", 1)]


def test_a_paused_sequence_keeps_its_contacts_until_it_goes_on(world: ProgramWorld) -> None:
    program, contacts = waiting(world)
    world.set_status(program, "paused", kind="sequence")
    world.event(contacts[:1], "unsubscribed", at("03-02 10:06"))
    world.move(NEXT, kind="sequence")
    assert world.standing(program, kind="sequence") == {"pause": 2}
    world.set_status(program, "active", kind="sequence")
    world.move(at("03-02 10:15"), kind="sequence")
    assert world.left(program, kind="sequence") == [("exited", "unsubscribed", 1)]


def test_a_contact_leaves_all_its_sequences_and_no_other_contact_does(world: ProgramWorld) -> None:
    programs = [world.program([MAIL, ("pause", *WAITS[0])], kind="sequence", name=n) for n in "ab"]
    contacts = world.contacts(3)
    for program in programs:
        world.enrol(program, contacts, ENTRY, kind="sequence")
    world.move(ARRIVAL, kind="sequence")
    world.event(contacts[1:2], "unsubscribed", at("03-02 10:06"))
    world.event(contacts[1:2], "bounced", at("03-02 10:06"))
    world.move(NEXT, kind="sequence")
    for program in programs:
        assert world.standing(program, kind="sequence") == {"pause": 2, "exited": 1}


def test_a_contact_that_somebody_has_in_hand_leaves_with_the_next_pass(world: ProgramWorld) -> None:
    program, contacts = waiting(world)
    world.event(contacts[:1], "unsubscribed", at("03-02 10:06"))
    hand = sa.text("select from lifecycle.enrolments where program_id = :program for update")
    with world.engine.begin() as busy:
        busy.execute(hand, {"program": program})
        world.move(NEXT, kind="sequence")
    assert world.standing(program, kind="sequence") == {"pause": 2}
    world.move(at("03-02 10:15"), kind="sequence")
    assert world.left(program, kind="sequence") == [("exited", "unsubscribed", 1)]


def test_a_contact_that_is_yet_to_enter_leaves_when_it_enters(world: ProgramWorld) -> None:
    program = world.program([MAIL], kind="sequence")
    contacts = world.contacts(1)
    world.enrol(program, contacts, at("03-03 10:00"), kind="sequence")
    world.event(contacts, "unsubscribed", at("03-02 10:06"))
    world.move(NEXT, kind="sequence")
    assert world.left(program, kind="sequence") == []
    world.move(at("03-03 10:00"), kind="sequence")
    assert world.left(program, kind="sequence") == [("exited", "unsubscribed", 1)]


@pytest.mark.parametrize(
    ("columns", "step", "messages"),
    [({"email": None}, "mail", {}), ({"phone": ""}, "sms", {"mail": 1})],
)
def test_a_contact_without_an_address_leaves_a_sequence_where_it_sends(
    world: ProgramWorld, columns: dict[str, Any], step: str, messages: dict[str, int]
) -> None:
    program = world.program([MAIL, SMS], kind="sequence")
    [contact] = world.contacts(1, phone=columns.get("phone", "1"))
    if "email" in columns:
        world.execute("update crm.contacts set email = null where id = :id", id=contact)
    world.enrol(program, [contact], ENTRY, kind="sequence")
    world.move(ARRIVAL, kind="sequence")
    assert world.left(program, kind="sequence") == [("exited", "no_address", 1)]
    assert world.results(program, kind="sequence")[step, "exited"] == 1
    assert world.messages() == messages


@pytest.mark.parametrize("kind", ["campaign", "sequence", "journey"])
def test_a_cancelled_program_ends_what_is_under_way_as_of_its_cancellation(
    world: ProgramWorld, kind: str
) -> None:
    program, _ = waiting(world, kind=kind)
    late = world.contacts(1)
    world.enrol(program, late, at("03-02 10:07"), kind=kind)
    cancelled_at = at("03-02 10:08")
    world.execute(
        f"update {'journey.journeys' if kind == 'journey' else f'campaigns.{kind}s'}"
        " set status = 'cancelled', cancelled_at = :at where id = :program",
        at=cancelled_at,
        program=program,
    )
    report = world.move(NEXT, kind=kind)
    assert (report.taken, report.ended, report.moved_on) == (0, {"exited": 3}, 3)
    assert world.left(program, kind=kind) == [("exited", "cancelled", 3)]
    assert world.rows(
        "select distinct exited_at, next_step_at, awaits from lifecycle.enrolments"
        " where program_kind = :kind and program_id = :program",
        kind=kind,
        program=program,
    ) == [(cancelled_at, None, None)]
    assert world.results(program, kind=kind) == {("mail", "done"): 2, ("pause", "exited"): 2}
    assert world.rows(
        "select entered, active, completed, exited, failed from lifecycle.program_counts"
        " where program_kind = :kind and program_id = :program",
        kind=kind,
        program=program,
    ) == [(3, 0, 0, 3, 0)]
    # Again, and activated again: those that left have left.
    world.move(NEXT, kind=kind)
    world.set_status(program, "active", kind=kind)
    world.move(at("03-20 10:00"), kind=kind)
    assert world.left(program, kind=kind) == [("exited", "cancelled", 3)]
    assert world.messages() == {"mail": 2}


def test_a_contact_is_not_gone_before_it_came(world: ProgramWorld) -> None:
    """The file of a cancellation may come late."""
    program, _ = waiting(world, kind="campaign")
    world.execute(
        "update campaigns.campaigns set status = 'cancelled', cancelled_at = :at where id = :id",
        at=at("03-01 00:00"),
        id=program,
    )
    world.move(NEXT)
    assert world.rows(
        "select distinct exited_at from lifecycle.enrolments"
        " where program_kind = 'campaign' and program_id = :program",
        program=program,
    ) == [(ARRIVAL,)]


def test_the_day_on_which_a_campaign_was_cancelled_is_counted_again(world: ProgramWorld) -> None:
    program, _ = waiting(world, kind="campaign")
    world.execute("delete from analytics.stale_partitions")
    world.execute(
        "update campaigns.campaigns set status = 'cancelled', cancelled_at = :at where id = :id",
        at=at("03-05 12:00"),
        id=program,
    )
    world.execute("delete from analytics.stale_partitions")
    world.move(at("03-06 10:00"))
    assert world.rows(
        "select partition from analytics.stale_partitions"
        " where asset = 'analytics/campaign_daily_stats'"
    ) == [("2026-03-05",)]


def test_a_contact_that_enters_a_cancelled_program_is_out_with_the_next_pass(
    world: ProgramWorld,
) -> None:
    program = world.program([MAIL], status="cancelled")
    world.enrol(program, world.contacts(1), ENTRY)
    world.move(ARRIVAL)
    assert world.left(program) == [("exited", "cancelled", 1)]
    assert world.messages() == {}


def test_no_kind_ends_the_programs_of_another(world: ProgramWorld) -> None:
    programs = {kind: waiting(world, kind=kind, name=kind)[0] for kind in TABLES}
    for kind, program in programs.items():
        world.set_status(program, "cancelled", kind=kind)
    world.move(NEXT, kind="journey")
    for kind, program in programs.items():
        expected = {"exited": 2} if kind == "journey" else {"pause": 2}
        assert world.standing(program, kind=kind) == expected
