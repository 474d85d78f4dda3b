"""Steps that do something: messages, fields of contacts, tasks, and the way out."""

import datetime as dt
import json
from typing import Any

import pytest

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

TICK = at("03-02 10:05")
MAIL = ("mail", "send_email", {"subject": "Hello", "text": "Hello"})
SMS = ("sms", "send_sms", {"text": "Hello"})
PUSH = ("push", "send_push", {"title": "Hello", "text": "Hello"})
HOOK = ("hook", "webhook", {"url": "https://example.org/hook", "body": {"a": 1}})
PAUSE = ("pause", "wait", {"for": "1d"})


# The event of a contact, and why mail, SMS and push were skipped; None: they went.
REASONS: list[tuple[str, dict[str, Any], tuple[str | None, str | None, str | None]]] = [
    ("nothing", {}, (None, None, None)),
    ("unsubscribed", {}, ("unsubscribed", None, None)),
    ("unsubscribed", {"channel": "sms"}, (None, "unsubscribed", None)),
    ("unsubscribed", {"channel": "push"}, (None, None, "unsubscribed")),
    ("unsubscribed", {"channel": "all"}, ("unsubscribed",) * 3),
    ("bounced", {"bounce_type": "hard"}, ("hard_bounce", None, None)),
    ("bounced", {"bounce_type": "soft"}, (None, None, None)),
    ("complained", {}, ("complaint", None, None)),
]
# Columns without an address.
ADDRESSES: list[tuple[dict[str, Any], tuple[str | None, str | None, str | None]]] = [
    ({"email": None}, ("no_address", None, None)),
    ({"email": ""}, ("no_address", None, None)),
    ({"phone": None}, (None, "no_address", None)),
    ({"phone": ""}, (None, "no_address", None)),
    ({"attributes": "{}"}, (None, None, "no_address")),
    ({"attributes": '{"push_token": null}'}, (None, None, "no_address")),
    ({"attributes": '{"push_token": ""}'}, (None, None, "no_address")),
]


def outcomes(world: ProgramWorld, contact: int, program: int) -> list[tuple[str, str, str | None]]:
    """The results of the steps, in their order."""
    rows = world.rows(
        "select external_id, outcome, result.reason from lifecycle.step_results as result"
        " join lifecycle.enrolments as enrolment on enrolment.id = enrolment_id"
        " join lifecycle.steps as step on step.id = result.step_id"
        " where contact_id = :contact and enrolment.program_id = :program order by position",
        contact=contact,
        program=program,
    )
    return [(step, outcome, reason) for step, outcome, reason in rows]


def people(world: ProgramWorld) -> dict[int, tuple[str | None, str | None, str | None]]:
    """Contacts to each of whom something happened, with the reasons why they are skipped."""
    found = {}
    for event, properties, reasons in REASONS:
        [contact] = world.contacts(1)
        world.event([contact], event, at("03-02 09:00"), properties=properties)
        found[contact] = reasons
    for columns, reasons in ADDRESSES:
        [contact] = world.contacts(1)
        for column, value in columns.items():
            value_of = "cast(:value as jsonb)" if column == "attributes" else ":value"
            world.execute(
                f"update crm.contacts set {column} = {value_of} where id = :contact",
                value=value,
                contact=contact,
            )
        found[contact] = reasons
    return found


@pytest.mark.parametrize("kind", ["campaign", "journey"])
def test_who_cannot_be_written_to_passes_with_the_reason(world: ProgramWorld, kind: str) -> None:
    program = world.program([MAIL, SMS, PUSH, HOOK], kind=kind)
    contacts = people(world)
    world.enrol(program, list(contacts), at("03-02 10:00"), kind=kind)
    world.move(TICK, kind=kind)
    for contact, reasons in contacts.items():
        expected = [
            (step, "done" if reason is None else "skipped", reason)
            for step, reason in zip(("mail", "sms", "push"), reasons, strict=True)
        ]
        assert outcomes(world, contact, program) == [*expected, ("hook", "done", None)]
    assert world.standing(program, kind=kind) == {"completed": len(contacts)}
    sent = [reason is None for reasons in contacts.values() for reason in reasons]
    assert sum(world.messages().values()) == sum(sent)
    assert world.webhooks() == {"hook": len(contacts)}


def test_who_cannot_be_mailed_any_more_leaves_a_sequence_with_the_reason(
    world: ProgramWorld,
) -> None:
    """A fault of mail ends it at once, one of another channel at its first step."""
    program = world.program([MAIL, SMS, PUSH, HOOK], kind="sequence")
    contacts = people(world)
    world.enrol(program, list(contacts), at("03-02 10:00"), kind="sequence")
    world.move(TICK, kind="sequence")
    first = [next(filter(None, reasons), None) for reasons in contacts.values()]
    left = [reason for reason in first if reason is not None]
    assert world.left(program, kind="sequence") == [
        ("completed", None, len(contacts) - len(left)),
        *(("exited", reason, left.count(reason)) for reason in sorted(set(left))),
    ]
    assert world.webhooks()["hook"] == len(contacts) - len(left)
    mails = [mail for mail, _, _ in contacts.values()]
    assert world.messages()["mail"] == mails.count(None)
    for contact, (mail, sms, push) in contacts.items():
        at_step = [("sms", "exited", sms)] if sms else [("push", "exited", push)] if push else []
        if mail is None:
            assert outcomes(world, contact, program)[-1:] == (at_step or [("hook", "done", None)])
        else:
            # Nobody leaves at a step who never came there.
            gone = [("mail", "exited", mail)] if mail == "no_address" else []
            assert outcomes(world, contact, program) == gone


# The bounce of a mail of the second contact, its instant, and True if the contact leaves for it.
BOUNCES = [
    ({"bounce_type": "soft"}, "03-02 12:00", True),
    ({}, "03-02 10:00", True),
    ({"bounce_type": "soft", "channel": "email"}, "03-03 10:04", True),
    ({"bounce_type": "soft"}, "03-02 09:59", False),
    ({"bounce_type": "soft"}, "03-03 10:05", False),
    ({"bounce_type": "soft", "channel": "sms"}, "03-02 12:00", False),
]


@pytest.mark.parametrize(("properties", "when", "leaves"), BOUNCES)
def test_who_bounces_softly_leaves_the_sequences_that_it_was_in_by_then(
    world: ProgramWorld, properties: dict[str, Any], when: str, leaves: bool
) -> None:
    contacts = world.contacts(2)
    programs = {}
    for kind in ("sequence", "campaign"):
        programs[kind] = world.program([MAIL, PAUSE, SMS], kind=kind)
        world.enrol(programs[kind], contacts, at("03-02 10:00"), kind=kind)
        world.move(TICK, kind=kind)
    world.event(contacts[1:], "bounced", at(when), properties=properties)
    for kind in programs:
        world.move(at("03-03 10:05"), kind=kind)
    ends: list[tuple[Any, ...]] = [("completed", None, 1), ("exited", "bounced", 1)]
    stays = [("completed", None, 2)]
    assert world.left(programs["sequence"], kind="sequence") == (ends if leaves else stays)
    assert world.left(programs["campaign"]) == stays


@pytest.mark.parametrize("batch", [1, 20_000])
@pytest.mark.parametrize("kind", ["campaign", "sequence"])
def test_of_contacts_with_one_address_the_first_gets_the_message_and_the_others_pass(
    world: ProgramWorld, kind: str, batch: int
) -> None:
    program = world.program([MAIL, SMS], kind=kind)
    contacts = world.contacts(4)
    for contact, email in zip(contacts[1:], (" C@Example.org", "c@example.ORG ", "d"), strict=True):
        update = "update crm.contacts set email = :email where id = :id"
        world.execute(update, email=email, id=contact)
    world.enrol(program, contacts, at("03-02 10:00"), kind=kind)
    world.move(TICK, kind=kind, batch=batch)
    assert [outcomes(world, contact, program)[0] for contact in contacts] == [
        ("mail", "done", None),
        ("mail", "done", None),
        ("mail", "skipped", "same_address"),
        ("mail", "done", None),
    ]
    assert world.standing(program, kind=kind) == {"completed": 4}
    mails = "select contact_id, address from delivery.messages where channel = 'email' order by id"
    assert [row for row in world.rows(mails) if row[0] in contacts[1:]] == [
        (contacts[1], "c@example.org"),
        (contacts[3], "d"),
    ]


def test_a_number_that_is_not_valid_passes_the_step(world: ProgramWorld) -> None:
    program = world.program([SMS])
    contacts = world.contacts(2, phone="(0041) 79/123-45.67")
    world.execute("update crm.contacts set phone = '079 1' where id = :id", id=contacts[0])
    world.enrol(program, contacts, at("03-02 10:00"))
    world.move(TICK)
    assert outcomes(world, contacts[0], program) == [("sms", "skipped", "invalid_number")]
    assert outcomes(world, contacts[1], program) == [("sms", "done", None)]
    address = "select address from delivery.messages where contact_id = :id"
    assert world.rows(address, id=contacts[1]) == [("+41791234567",)]


def test_a_message_has_the_kind_priority_and_end_of_its_step(world: ProgramWorld) -> None:
    said: list[dict[str, Any]] = [
        {},
        {"kind": "transactional", "priority": 7, "valid_for": "2h"},
        {"valid_for": "0d"},
    ]
    steps = [(f"m{n}", "send_sms", {"text": "t", **options}) for n, options in enumerate(said)]
    program = world.program(steps)
    [contact] = world.contacts(1)
    world.enrol(program, [contact], at("03-02 10:00"))
    world.move(TICK)
    columns = "kind, priority, expires_at::text"
    messages = f"select {columns} from delivery.messages where contact_id = :id order by id"
    assert sorted(world.rows(messages, id=contact), key=str) == [
        ("marketing", 0, "9999-12-31 00:00:00+00"),
        ("marketing", 0, None),
        ("transactional", 7, "2026-03-02 12:05:00+00"),
    ]


def test_a_message_says_what_the_step_said_when_it_was_done(world: ProgramWorld) -> None:
    program = world.program([MAIL, PAUSE, SMS])
    contacts = world.contacts(2)
    world.enrol(program, contacts, at("03-02 10:00"))
    world.move(TICK)
    world.change_step(program, "mail", config={"subject": "Other", "text": "Other"})
    world.move(at("03-03 10:05"))
    rows = world.rows(
        "select channel, contact_id, program_kind, rotation, content, state, due_at, queued_at"
        " from delivery.messages join delivery.contents on contents.id = content_id"
        " where program_id = :program and program_kind = 'campaign' order by messages.id",
        program=program,
    )
    hello, text = {"subject": "Hello", "text": "Hello"}, SMS[2]
    later = at("03-03 10:05")
    assert sorted(rows, key=lambda row: (row[0], row[1])) == [
        *(("email", c, "campaign", 1, hello, "queued", TICK, TICK) for c in contacts),
        *(("sms", c, "campaign", 1, text, "queued", later, later) for c in contacts),
    ]


# A step's `set`, and what it makes of a contact: columns and attributes.
START: dict[str, Any] = {"attributes": {"a": 1, "b": {"x": 1}}, "first_name": "Ann"}
SET: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"first_name": "Bea"}, {"first_name": "Bea"}),
    ({"first_name": None}, {"first_name": None}),
    ({"first_name": ""}, {"first_name": ""}),
    ({"intent_score": 7}, {"intent_score": 7}),
    ({"intent_score": -7, "lead_grade": "A"}, {"intent_score": -7, "lead_grade": "A"}),
    ({"timezone": "Europe/Berlin"}, {"timezone": "Europe/Berlin"}),
    ({"c": "new"}, {"attributes": {"a": 1, "b": {"x": 1}, "c": "new"}}),
    ({"a": None}, {"attributes": {"b": {"x": 1}}}),
    ({"never": None}, {}),
    ({"b": {"y": None}}, {"attributes": {"a": 1, "b": {"y": None}}}),
    ({"a": [1, 2.5, True], "b": False}, {"attributes": {"a": [1, 2.5, True], "b": False}}),
    ({"company": "x"}, {"attributes": {"a": 1, "b": {"x": 1}, "company": "x"}}),
    (
        {"email": "x@example.org", "phone": None, "last_name": "Z", "lifecycle_stage": "mql"},
        {"email": "x@example.org", "phone": None, "last_name": "Z", "lifecycle_stage": "mql"},
    ),
]


def test_fields_are_set_and_null_clears_them(world: ProgramWorld) -> None:
    contacts = []
    for place, (values, _) in enumerate(SET):
        program = world.program([("set", "update_contact", {"set": values})], name=f"p{place}")
        [contact] = world.contacts(1, first_name="Ann", attributes=json.dumps(START["attributes"]))
        world.execute("update crm.contacts set email = 'a', phone = 'b' where id = :id", id=contact)
        world.enrol(program, [contact], at("03-02 10:00"))
        contacts.append(contact)
    report = world.move(TICK)
    assert report.ended == {"completed": len(SET)}
    for contact, (_, changed) in zip(contacts, SET, strict=True):
        expected = {"email": "a", "phone": "b", **START} | changed
        [row] = world.rows(
            "select email, phone, first_name, last_name, lifecycle_stage, lead_grade,"
            " intent_score, timezone, attributes from crm.contacts where id = :id",
            id=contact,
        )
        names = ("email", "phone", "first_name", "last_name", "lifecycle_stage", "lead_grade")
        names += ("intent_score", "timezone", "attributes")
        assert dict(zip(names, row, strict=True)) == dict.fromkeys(names) | expected


def test_fields_of_sales_are_set_as_their_columns_hold_them(world: ProgramWorld) -> None:
    values = {
        "lead_status": "lost",
        "manual_override": True,
        "next_follow_up_at": "2026-03-01T09:00:00+01:00",
        "follow_up_note": "Call",
        "tags": ["vip", "gold"],
    }
    shown = (
        "select lead_status, lead_status_at = :tick, manual_override, next_follow_up_at::text,"
        " follow_up_note, tags from crm.contacts where id = :id"
    )
    [contact] = world.contacts(1)
    for place, given in enumerate((values, dict.fromkeys(values))):
        program = world.program([("set", "update_contact", {"set": given})], name=f"s{place}")
        world.enrol(program, [contact], at("03-02 10:00"))
        world.move(TICK)
        expected = ("lost", True, True, "2026-03-01 08:00:00+00", "Call", ["vip", "gold"])
        assert world.rows(shown, id=contact, tick=TICK) == [
            expected if place == 0 else (None, True, None, None, None, [])
        ]


@pytest.mark.parametrize("batch", [1, 2, 20_000])
def test_programs_that_set_the_same_contact_do_so_one_after_the_other(
    world: ProgramWorld, batch: int
) -> None:
    contacts = world.contacts(3)
    for number in range(3):
        values = {"last": f"p{number}", f"own{number}": number}
        program = world.program([("set", "update_contact", {"set": values})], name=f"p{number}")
        world.enrol(program, contacts, at("03-02 10:00"))
    report = world.move(TICK, batch=batch)
    assert report.ended == {"completed": 9}
    expected = {"last": "p2", "own0": 0, "own1": 1, "own2": 2}
    attributes = "select attributes - 'push_token' from crm.contacts where id = any(:ids)"
    assert world.rows(attributes, ids=contacts) == [(expected,)] * 3


# Values that no step may set; 20 contacts must not be lost for them.
UNSETTABLE: list[dict[str, Any]] = [
    {"intent_score": 2**31},
    {"intent_score": -(2**31) - 1},
    {"intent_score": 1.5},
    {"intent_score": True},
    {"email": 5},
    {"owner_id": 1},
    {"lead_score": 5},
    {"lead_status": "Lost"},
    {"tags": "vip"},
    {"manual_override": "true"},
    {"next_follow_up_at": "2026-03-01"},
    {},
]


def test_what_cannot_be_set_is_held_with_its_reason(world: ProgramWorld) -> None:
    contacts = world.contacts(2)
    programs = []
    for place, values in enumerate(UNSETTABLE):
        step = ("set", "update_contact", {"set": values})
        programs.append(world.program([step], name=f"p{place}"))
        world.enrol(programs[-1], contacts, at("03-02 10:00"))
    report = world.move(TICK)
    assert set(report.blocked) == {
        f"campaign p{place} of {world.name}" for place in range(len(UNSETTABLE))
    }
    assert [world.standing(program) for program in programs] == [{"set": 2}] * len(UNSETTABLE)


def test_a_task_is_written_once_for_the_contacts_owner(world: ProgramWorld) -> None:
    owner = world.scalar(
        "insert into crm.users (organization_id, external_id) values (:organization, 'u')"
        " returning id",
        organization=world.organization_id,
    )
    steps = [
        ("call", "create_task", {"title": "Call", "due_in": "2d"}),
        ("note", "create_task", {"title": "Note"}),
    ]
    program = world.program(steps)
    owned, alone = world.contacts(2)
    world.execute("update crm.contacts set owner_id = :o where id = :c", o=owner, c=owned)
    world.enrol(program, [owned, alone], at("03-02 10:00"))
    world.move(TICK)
    world.move(TICK)
    world.enrol(program, [owned], at("03-02 10:06"), rotation=2)
    world.move(at("03-02 10:10"))
    due, later = TICK + dt.timedelta(days=2), at("03-02 10:10")
    assert world.rows(
        "select contact_id, owner_id, title, state, due_at, job, period, created_at"
        " from crm.tasks where organization_id = :organization"
        " order by period, title, contact_id",
        organization=world.organization_id,
    ) == [
        (owned, owner, "Call", "open", due, "campaigns/step_progress", "1", TICK),
        (alone, None, "Call", "open", due, "campaigns/step_progress", "1", TICK),
        (owned, owner, "Note", "open", None, "campaigns/step_progress", "1", TICK),
        (alone, None, "Note", "open", None, "campaigns/step_progress", "1", TICK),
        (
            *(owned, owner, "Call", "open", later + dt.timedelta(days=2)),
            *("campaigns/step_progress", "2", later),
        ),
        (owned, owner, "Note", "open", None, "campaigns/step_progress", "2", later),
    ]


def test_an_exit_leaves_with_its_reason_and_nothing_after_it_is_done(world: ProgramWorld) -> None:
    for name, config, reason in (
        ("said", {"reason": "converted"}, "converted"),
        ("unsaid", {}, "exit step"),
    ):
        program = world.program([("out", "exit", config), MAIL], name=name)
        world.enrol(program, world.contacts(2), at("03-02 10:00"))
        world.move(TICK)
        assert world.left(program) == [("exited", reason, 2)]
        assert world.rows(
            "select distinct exited_at, completed_at, next_step_at from lifecycle.enrolments"
            " where program_id = :program and program_kind = 'campaign'",
            program=program,
        ) == [(TICK, None, None)]
    assert world.messages() == {}


@pytest.mark.parametrize("kind", ["campaign", "sequence"])
def test_the_reason_is_the_one_that_came_first(world: ProgramWorld, kind: str) -> None:
    program = world.program([MAIL], kind=kind)
    contacts = world.contacts(1)
    world.event(contacts, "unsubscribed", at("03-02 09:00"))
    world.event(contacts, "complained", at("03-02 08:00"))
    world.enrol(program, contacts, at("03-02 10:00"), kind=kind)
    world.move(TICK, kind=kind)
    if kind == "sequence":
        assert world.left(program, kind=kind) == [("exited", "complaint", 1)]
    else:
        assert outcomes(world, contacts[0], program) == [("mail", "skipped", "complaint")]
