"""The place of a contact in a program is explained in words, for each way of standing there."""

import datetime as dt
import json
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.domains.lifecycle.explaining import (
    Enrolment,
    Happened,
    ProgramExplanation,
    explain,
)
from marketing_pipelines.domains.lifecycle.program_kinds import declared
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.lifecycle.test_campaign_by_hand import STEPS
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

MAIL = ("hello", "send_email", {"subject": "Hello", "text": "Hello"})
PAUSE = ("pause", "wait", {"for": "1d"})
TEXT = ("text", "send_sms", {"text": "Hello"})


@pytest.fixture
def world(emptied: Installation) -> ProgramWorld:
    return ProgramWorld(emptied.engine)


def explained(
    world: ProgramWorld, contact: int, now: dt.datetime, name: str = "welcome", **options: Any
) -> ProgramExplanation:
    kind = options.get("kind", "campaign")
    with world.engine.connect() as connection:
        return explain(
            connection,
            world.organization_id,
            contact,
            declared()[kind],
            name,
            now=now,
            reporting_zone=ZoneInfo("UTC"),
        )


def only_enrolment(
    world: ProgramWorld, contact: int, now: dt.datetime, **options: Any
) -> Enrolment:
    [enrolment] = explained(world, contact, now, **options).enrolments
    return enrolment


def enrolled(world: ProgramWorld, steps: Any, kind: str = "campaign", **columns: Any) -> int:
    """One contact that entered on Monday at 10:00."""
    program = world.program(steps, kind=kind)
    [contact] = world.contacts(1, **columns)
    world.enrol(program, [contact], at("03-02 10:00"), kind=kind)
    return contact


def test_a_whole_way_with_its_reasons_and_messages(world: ProgramWorld) -> None:
    contact = enrolled(world, STEPS)
    world.move(at("03-02 10:05"))
    world.event([contact], "opened", at("03-02 12:00"))
    world.move(at("03-03 10:05"))
    world.event([contact], "clicked", at("03-03 10:07"))
    world.execute(
        "update delivery.messages set state = 'sent', sent_at = :at", at=at("03-02 10:06")
    )
    world.move(at("03-03 10:10"))
    assert explained(world, contact, at("03-04 00:00")) == ProgramExplanation(
        program="campaign welcome",
        status="active",
        earlier=0,
        entry_rules=[],
        enrolments=[
            Enrolment(
                rotation=1,
                entered_at=at("03-02 10:00"),
                trigger=None,
                status="exited",
                ended_at=at("03-03 10:10"),
                reason="converted",
                step="step stop (exit)",
                since=at("03-03 10:10"),
                following=[],
                happened=[
                    Happened(
                        at("03-02 10:05"),
                        "hello (send_email)",
                        "done",
                        "message 1 was sent at 2026-03-02T10:06:00Z",
                    ),
                    Happened(at("03-03 10:05"), "pause (wait)", "done", ""),
                    Happened(at("03-03 10:05"), "opened (branch)", "yes", ""),
                    Happened(at("03-03 10:10"), "link (wait_for)", "yes", "event e3"),
                    Happened(
                        at("03-03 10:10"),
                        "app (send_push)",
                        "done",
                        "message 2 is queued, to be sent from 2026-03-03T10:10:00Z on",
                    ),
                    Happened(at("03-03 10:10"), "stage (update_contact)", "done", ""),
                    Happened(at("03-03 10:10"), "stop (exit)", "exited", "converted"),
                ],
            )
        ],
    )


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("queued", None, "is queued, to be sent from 2026-03-02T10:05:00Z on"),
        ("queued", "busy.", "is queued, to be sent from 2026-03-02T10:05:00Z on: busy"),
        ("claimed", None, "is being sent"),
        ("sent", None, "was sent at 2026-03-02T10:06:00Z"),
        ("delivered", None, "was sent at 2026-03-02T10:06:00Z and delivered"),
        ("bounced", "no such user", "was sent at 2026-03-02T10:06:00Z and bounced: no such user"),
        ("suppressed", "complaint", "was not sent: the contact complained"),
        ("failed", "refused", "could not be sent: refused"),
        ("unknown", None, "may have been sent or not"),
    ],
)
def test_what_became_of_a_message(
    world: ProgramWorld, state: str, reason: str | None, said: str
) -> None:
    contact = enrolled(world, [MAIL])
    world.move(at("03-02 10:05"))
    world.execute(
        "update delivery.messages set state = :state, reason = :reason, sent_at = :at",
        state=state,
        reason=reason,
        at=at("03-02 10:06"),
    )
    [one] = only_enrolment(world, contact, at("03-02 11:00")).happened
    assert one.because == f"message 1 {said}"


def test_who_waits_is_told_until_when_and_where_to(world: ProgramWorld) -> None:
    contact = enrolled(world, [MAIL, PAUSE, TEXT])
    world.move(at("03-02 10:05"))
    enrolment = only_enrolment(world, contact, at("03-02 11:00"))
    assert (enrolment.status, enrolment.step, enrolment.since) == (
        "active",
        "step pause (wait)",
        at("03-02 10:05"),
    )
    assert enrolment.following == [
        "It waits until 2026-03-03T10:05:00Z; then it goes on to step text (send_sms)."
    ]
    assert only_enrolment(world, contact, at("03-03 10:05")).following == [
        "It is due since 2026-03-03T10:05:00Z: at the next pass it goes on to step text (send_sms)."
    ]


def test_who_has_just_entered_is_due_at_the_entrance(world: ProgramWorld) -> None:
    enrolment = only_enrolment(world, enrolled(world, [MAIL]), at("03-02 10:01"))
    assert (enrolment.step, enrolment.happened) == ("the entrance", [])
    assert enrolment.following == [
        "It is due since 2026-03-02T10:00:00Z: at the next pass it goes on to step hello "
        "(send_email)."
    ]


def test_who_waits_for_an_event_is_told_both_ways_and_that_it_came(world: ProgramWorld) -> None:
    config = {"event": "opened", "timeout": "2d", "source": "program", "yes": "end", "no": "text"}
    contact = enrolled(world, [MAIL, ("link", "wait_for", config), TEXT])
    world.move(at("03-02 10:05"))
    assert only_enrolment(world, contact, at("03-02 11:00")).following == [
        "It waits for an event 'opened' of this campaign until 2026-03-04T10:05:00Z; `yes`, it "
        "comes: it has completed the campaign; `no`, it does not: it goes on to step text "
        "(send_sms)."
    ]
    world.event([contact], "opened", at("03-02 12:00"))
    assert "until" in only_enrolment(world, contact, at("03-02 12:01")).following[0]
    campaign = world.scalar("select id from campaigns.campaigns")
    world.event([contact], "opened", at("03-02 12:02"), campaign=campaign)
    assert only_enrolment(world, contact, at("03-02 12:03")).following == [
        "It waits for an event 'opened' of this campaign, which has come, e3 at "
        "2026-03-02T12:02:00Z: at the next pass it has completed the campaign."
    ]
    assert only_enrolment(world, contact, at("03-04 10:05")).following == [
        "It is due since 2026-03-04T10:05:00Z: at the next pass its event is looked for; `yes`: it "
        "has completed the campaign; `no`: it goes on to step text (send_sms)."
    ]


@pytest.mark.parametrize("status", ["paused", "draft"])
def test_nothing_moves_while_the_program_is_not_active(world: ProgramWorld, status: str) -> None:
    contact = enrolled(world, [MAIL, PAUSE])
    world.move(at("03-02 10:05"))
    world.execute("update campaigns.campaigns set status = :status", status=status)
    nothing = f"The campaign is {status}: nothing moves until it is active."
    assert only_enrolment(world, contact, at("03-02 11:00")).following == [
        nothing,
        "It waits until 2026-03-03T10:05:00Z; then it has completed the campaign.",
    ]
    assert only_enrolment(world, contact, at("03-04 00:00")).following == [
        nothing,
        "It is due since 2026-03-03T10:05:00Z: when it is active it has completed the campaign.",
    ]


def test_what_is_under_way_in_a_cancelled_program_leaves_at_the_next_pass(
    world: ProgramWorld,
) -> None:
    contact = enrolled(world, [MAIL, PAUSE])
    world.move(at("03-02 10:05"))
    world.set_status(1, "cancelled")
    assert only_enrolment(world, contact, at("03-02 10:06")).following == [
        "The campaign is cancelled: it leaves at the next pass."
    ]
    world.move(at("03-02 10:10"))
    enrolment = only_enrolment(world, contact, at("03-02 10:11"))
    assert (enrolment.status, enrolment.reason) == ("exited", "the program was cancelled")


def test_a_contact_without_an_address_leaves_a_sequence_where_it_sends(
    world: ProgramWorld,
) -> None:
    contact = enrolled(world, [MAIL, PAUSE, TEXT], kind="sequence", phone=None)
    world.move(at("03-02 10:05"), kind="sequence")
    assert only_enrolment(world, contact, at("03-02 10:06"), kind="sequence").following == [
        "It waits until 2026-03-03T10:05:00Z; then it goes on to step text (send_sms).",
        "It leaves where it comes to text: it has no address for that.",
    ]


def test_a_program_without_steps_says_so(world: ProgramWorld) -> None:
    contact = enrolled(world, [])
    assert only_enrolment(world, contact, at("03-02 11:00")).following == [
        "The campaign has no steps: nothing moves until it has one."
    ]


def test_steps_that_are_switched_off_let_contacts_pass(world: ProgramWorld) -> None:
    contact = enrolled(world, [MAIL])
    world.execute("update lifecycle.steps set enabled = false")
    assert only_enrolment(world, contact, at("03-02 10:01")).following == [
        "It is due since 2026-03-02T10:00:00Z: at the next pass it goes on to step hello "
        "(switched off)."
    ]
    world.move(at("03-02 10:05"))
    assert only_enrolment(world, contact, at("03-02 10:06")).status == "completed"


def test_who_stands_at_a_step_that_cannot_be_read_is_held(world: ProgramWorld) -> None:
    contact = enrolled(world, [("hello", "send_email", {"subject": "Hello"})])
    world.move(at("03-02 10:05"))
    assert only_enrolment(world, contact, at("03-02 10:06")).following == [
        "It is held at step hello (send_email): The step has no 'text' and no 'template'."
    ]


def test_who_stands_at_a_rule_that_cannot_be_asked_is_held(world: ProgramWorld) -> None:
    rule = {"attribute": "misspelt", "op": "exists"}
    contact = enrolled(world, [("fork", "branch", {"rule": rule}), MAIL])
    world.move(at("03-02 10:05"))
    assert only_enrolment(world, contact, at("03-02 10:06")).following == [
        "It is held at step fork (branch): attribute: no contact has or has had 'misspelt'. The "
        "pass of 2026-03-02T10:05:00Z said so; the next one tries again."
    ]


def test_what_a_wait_leads_to_when_it_was_broken_meanwhile(world: ProgramWorld) -> None:
    contact = enrolled(world, [PAUSE, MAIL])
    world.move(at("03-02 10:05"))
    world.execute("""update lifecycle.steps set config = '{"for": "x"}' where type = 'wait'""")
    [sentence] = only_enrolment(world, contact, at("03-02 10:06")).following
    assert sentence.startswith(
        "It waits until 2026-03-03T10:05:00Z; then it is held until its step is corrected: for: 'x'"
    )


def test_who_unsubscribed_passes_steps_that_send(world: ProgramWorld) -> None:
    second = ("again", "send_email", {"subject": "Hello", "text": "Hello"})
    contact = enrolled(world, [MAIL, PAUSE, TEXT, second], phone=None)
    world.event([contact], "unsubscribed", at("03-01 09:00"))
    world.move(at("03-02 10:05"))
    enrolment = only_enrolment(world, contact, at("03-02 11:00"))
    assert enrolment.happened == [
        Happened(at("03-02 10:05"), "hello (send_email)", "skipped", "the contact unsubscribed")
    ]
    assert enrolment.following == [
        "It waits until 2026-03-03T10:05:00Z; then it goes on to step text (send_sms).",
        "Of the steps ahead, again will be skipped: the contact unsubscribed at "
        "2026-03-01T09:00:00Z.",
        "Of the steps ahead, text will be skipped: it has no address for that.",
    ]


@pytest.mark.parametrize(
    ("event", "why"),
    [("unsubscribed", "the contact unsubscribed"), ("bounced", "a mail to the contact bounced")],
)
def test_who_unsubscribed_or_bounced_leaves_a_sequence(
    world: ProgramWorld, event: str, why: str
) -> None:
    contact = enrolled(world, [MAIL, PAUSE, TEXT], kind="sequence")
    world.move(at("03-02 10:05"), kind="sequence")
    world.event([contact], event, at("03-02 11:00"))
    assert only_enrolment(world, contact, at("03-02 12:00"), kind="sequence").following == [
        f"It leaves at the next pass: {why} at 2026-03-02T11:00:00Z."
    ]
    world.move(at("03-02 12:05"), kind="sequence")
    enrolment = only_enrolment(world, contact, at("03-02 12:10"), kind="sequence")
    assert (enrolment.status, enrolment.reason, enrolment.following) == (
        "exited",
        why,
        [],
    )


def test_each_time_in_the_program_is_told_the_latest_ten_at_most(world: ProgramWorld) -> None:
    program = world.program([MAIL])
    [contact] = world.contacts(1)
    for rotation in range(1, 13):
        world.enrol(program, [contact], at("03-02 10:00"), rotation=rotation)
    world.move(at("03-02 10:05"))
    found = explained(world, contact, at("03-02 11:00"))
    assert found.earlier == 2
    assert [enrolment.rotation for enrolment in found.enrolments] == list(range(3, 13))
    assert [len(enrolment.happened) for enrolment in found.enrolments] == [1] * 10
    assert {enrolment.happened[0].because.split(" is ")[0] for enrolment in found.enrolments} <= {
        f"message {number}" for number in range(1, 13)
    }


def test_what_could_let_in_who_never_was(world: ProgramWorld) -> None:
    journey = world.program([MAIL], kind="journey")
    [member, other] = world.contacts(2)
    assert explained(world, other, at("03-02 10:00"), kind="journey").entry_rules == [
        "No trigger enrols contacts in the journey: load one, or enrol the contact."
    ]
    segment = world.scalar(
        "insert into segments.segments (organization_id, external_id, rule, version)"
        """ values (:organization, 'vip', '{"all": []}', 1) returning id""",
        organization=world.organization_id,
    )
    world.execute(
        "insert into segments.memberships (segment_id, contact_id, entered_at)"
        " values (:segment, :contact, :at)",
        segment=segment,
        contact=member,
        at=at("03-01 00:00"),
    )
    for name, columns, values in (
        (
            "birthday",
            "type, config, policy",
            """'date', '{"attribute": "born", "days_before": 3, "yearly": true, "at": "09:00"}',"""
            " 'each_entry'",
        ),
        ("bought", "type, event_type, policy", "'event', 'purchase', 'each_entry'"),
        ("new-vip", "type, segment_id", f"'segment', {segment}"),
        ("old", "type, enabled", "'event', false"),
    ):
        world.execute(
            "insert into lifecycle.triggers (organization_id, program_kind, program_id,"
            f" external_id, {columns}) values (:organization, 'journey', :journey, :name,"
            f" {values})",
            organization=world.organization_id,
            journey=journey,
            name=name,
        )
    birthday = (
        "Trigger birthday enrols contacts 3 days before the date in 'born' of every year at 09:00,"
        " each time."
    )
    no_date = "The contact has no 'born'."
    bought = "Trigger bought enrols the contact of each event 'purchase', each time."
    vip = "Trigger new-vip enrols contacts that enter segment vip, once ever; the contact is"
    old = "Trigger old is switched off."
    found = explained(world, other, at("03-02 10:00"), kind="journey")
    assert found.enrolments == []
    assert found.entry_rules == [birthday, no_date, bought, f"{vip} no member.", old]
    world.execute("update journey.journeys set status = 'paused'")
    assert explained(world, member, at("03-02 10:00"), kind="journey").entry_rules == [
        "The journey is paused: its triggers enrol no contacts until it is active.",
        birthday,
        no_date,
        bought,
        f"{vip} a member since 2026-03-01T00:00:00Z.",
        old,
    ]


def test_an_event_that_was_left_out_and_a_value_that_is_no_date_are_named(
    world: ProgramWorld,
) -> None:
    journey = world.program([MAIL], kind="journey", started_at=at("03-01 00:00"))
    where = [{"property": "plan", "op": "=", "value": "pro"}]
    world.trigger(journey, "signed_up", policy="unless_active", where=where)
    world.execute(
        "insert into lifecycle.triggers (organization_id, program_kind, program_id, external_id,"
        " type, config) values (:organization, 'journey', :journey, 'a date', 'date',"
        """ '{"attribute": "due"}')""",
        organization=world.organization_id,
        journey=journey,
    )
    [early, late, other, none] = world.contacts(4, attributes=json.dumps({"due": "5.3.2026"}))
    pro, hour = {"plan": "pro"}, dt.timedelta(hours=1)
    world.event([early], "signed_up", at("02-28 23:00"), properties=pro)
    world.event([late], "signed_up", at("03-02 10:00"), properties=pro, age=73 * hour)
    world.event([other], "signed_up", at("03-02 10:00"), age=73 * hour)
    date = [
        "Trigger a date enrols contacts on the date in 'due', once ever.",
        """The contact's 'due' is "5.3.2026", which is no date.""",
    ]
    trigger = (
        "Trigger signed_up enrols the contact of each event 'signed_up' where"
        ' [{"op": "=", "value": "pro", "property": "plan"}], each time but while it is in it.'
    )
    found = {
        contact: [
            re.sub(r"Event e[0-9]+ ", "Event e ", sentence)
            for sentence in explained(world, contact, at("03-09 10:00"), kind="journey").entry_rules
        ]
        for contact in (early, late, other, none)
    }
    assert found == {
        early: [
            *date,
            trigger,
            "Event e of 2026-02-28T23:00:00Z enrolled no contact: the trigger counts events since"
            " 2026-03-01T00:00:00Z.",
        ],
        late: [
            *date,
            trigger,
            "Event e of 2026-03-02T10:00:00Z enrolled no contact: it arrived at"
            " 2026-03-05T11:00:00Z, more than 72 hours after it happened"
            " (triggers.latest_event_hours).",
        ],
        other: [*date, trigger],
        none: [*date, trigger],
    }


def test_a_program_is_found_by_its_name_before_its_number(world: ProgramWorld) -> None:
    first = world.program([MAIL], name="welcome")
    world.program([MAIL], name=str(first))
    [contact] = world.contacts(1)
    now = at("03-02 10:00")
    assert explained(world, contact, now, str(first)).program == f"campaign {first}"
    assert explained(world, contact, now, str(first + 1)).program == f"campaign {first}"
    with pytest.raises(BadInputError) as refused:
        explained(world, contact, now, "nothing")
    assert str(refused.value) == (
        "There is no campaign 'nothing': give its external id or its number."
    )
