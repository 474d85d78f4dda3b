"""Columns that are renewed when the row that they come from is corrected."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.lifecycle.world import TABLES, ProgramWorld, at

BERLIN, NEW_YORK, KATHMANDU = "Europe/Berlin", "America/New_York", "Asia/Kathmandu"
MAIL = ("mail", "send_email", {"subject": "Hello", "text": "Hello"})
NINE = ("nine", "wait", {"until": "09:00"})
ENTRY, NEXT = at("03-02 10:00"), at("03-02 10:05")


def correct(world: ProgramWorld, folder: Path, entered_at: dt.datetime) -> int:
    """Loads the enrolment of the only contact again; returns how many rows changed."""
    [(contact,)] = world.rows(
        "select external_id from crm.contacts where organization_id = :organization",
        organization=world.organization_id,
    )
    path = folder / "campaign_contacts.csv"
    path.write_text(
        "organization_id,campaign_id,contact_id,entered_at\n"
        f"{world.name},welcome,{contact},{entered_at.isoformat()}\n"
    )
    changed = world.load("campaign_contacts", path).changed
    return int(changed)


@pytest.mark.parametrize(
    ("corrected", "due"), [("03-01 08:00", True), ("03-02 10:05", True), ("04-01 00:00", False)]
)
def test_a_corrected_entry_changes_when_the_contact_is_due(
    world: ProgramWorld, tmp_path: Path, corrected: str, due: bool
) -> None:
    program = world.program([MAIL])
    world.enrol(program, world.contacts(1), at("03-02 10:10"))
    assert correct(world, tmp_path, at(corrected)) == 1
    assert world.next_at(program) == [corrected]
    world.move(NEXT)
    assert world.messages() == ({"mail": 1} if due else {})
    world.move(at("04-01 00:00"))
    assert world.messages() == {"mail": 1}


def test_a_corrected_entry_of_a_contact_that_is_under_way_changes_nothing(
    world: ProgramWorld, tmp_path: Path
) -> None:
    program = world.program([MAIL, NINE])
    world.enrol(program, world.contacts(1), ENTRY)
    world.move(NEXT)
    assert correct(world, tmp_path, at("04-01 00:00")) == 0
    assert world.next_at(program) == ["03-03 09:00"]


def test_sql_that_says_when_the_contact_is_due_has_its_way(world: ProgramWorld) -> None:
    program = world.program([MAIL])
    world.enrol(program, world.contacts(1), ENTRY)
    world.execute(
        "update lifecycle.enrolments set entered_at = :entry, next_step_at = :next"
        " where program_kind = 'campaign' and program_id = :program",
        entry=at("03-04 00:00"),
        next=at("03-05 00:00"),
        program=program,
    )
    assert world.next_at(program) == ["03-05 00:00"]


# The zone that a contact turns out to have, and when the wait that began at 10:05 UTC ends.
ZONES = [
    (BERLIN, "03-03 08:00"),
    (NEW_YORK, "03-02 14:00"),
    (KATHMANDU, "03-03 03:15"),
    (None, "03-03 09:00"),
]


@pytest.mark.parametrize("kind", list(TABLES))
def test_a_corrected_zone_changes_when_a_wait_for_a_local_time_ends(
    world: ProgramWorld, kind: str
) -> None:
    program = world.program([NINE, MAIL], kind=kind)
    [contact] = world.contacts(1, timezone="UTC")
    world.enrol(program, [contact], ENTRY, kind=kind)
    world.move(NEXT, kind=kind)
    for minute, (zone, until) in enumerate(ZONES, start=10):
        set_zone(world, "contacts", contact, zone)
        tick = at(f"03-02 10:{minute}")
        for other in TABLES:
            world.move(tick, kind=other)
        assert (zone, world.next_at(program, kind=kind)) == (zone, [until])


def set_zone(world: ProgramWorld, table: str, number: int, zone: str | None) -> None:
    world.execute(f"update crm.{table} set timezone = :zone where id = :id", zone=zone, id=number)


def test_a_corrected_zone_of_the_organization_counts_for_contacts_without_one(
    world: ProgramWorld,
) -> None:
    program = world.program([NINE, MAIL])
    for zone in (None, BERLIN):
        world.enrol(program, world.contacts(1, timezone=zone), ENTRY)
    world.move(NEXT)
    assert world.next_at(program) == ["03-03 09:00", "03-03 08:00"]
    set_zone(world, "organizations", world.organization_id, NEW_YORK)
    world.move(at("03-02 10:10"))
    assert world.next_at(program) == ["03-02 14:00", "03-03 08:00"]


def test_a_wait_whose_end_turns_out_to_be_over_ends_with_the_pass(world: ProgramWorld) -> None:
    program = world.program([NINE, MAIL])
    [contact] = world.contacts(1, timezone=BERLIN)
    world.enrol(program, [contact], ENTRY)
    world.move(NEXT)
    set_zone(world, "contacts", contact, NEW_YORK)
    world.move(at("03-02 15:00"))
    assert world.messages() == {"mail": 1}


# Steps at which contacts stand who are no concern of a zone.
ELSEWHERE: list[tuple[str, dict[str, Any], bool]] = [
    ("wait", {"for": "9d"}, True),
    ("wait_for", {"event": "clicked", "timeout": "9d"}, True),
    ("wait", {"until": "09:00"}, False),
]


@pytest.mark.parametrize(("step_type", "config", "enabled"), ELSEWHERE)
def test_a_corrected_zone_leaves_other_waits_alone(
    world: ProgramWorld, step_type: str, config: dict[str, Any], enabled: bool
) -> None:
    program = world.program([("step", step_type, config)])
    contacts = world.contacts(2, timezone=BERLIN)
    world.enrol(program, contacts, ENTRY)
    world.move(NEXT)
    world.change_step(program, "step", enabled=enabled)
    before = world.next_at(program)
    set_zone(world, "contacts", contacts[0], NEW_YORK)
    world.move(at("03-02 10:10"))
    assert world.next_at(program) == before


LOCAL = ("morning", "wait", {"weekday": "monday"})


@pytest.mark.parametrize("table", ["contacts", "organizations"])
def test_a_corrected_zone_is_noted_for_kinds_that_wait_for_local_times_alone(
    world: ProgramWorld, table: str
) -> None:
    contacts = world.contacts(3, timezone="UTC")
    world.program([("pause", "wait", {"for": "9d"}), MAIL], kind="campaign")
    world.program([NINE], kind="journey")
    world.program([LOCAL, NINE], kind="sequence")
    chosen = contacts[:2] if table == "contacts" else [world.organization_id]
    for zone in (BERLIN, BERLIN, "UTC"):
        world.execute(
            f"update crm.{table} set timezone = :zone where id = any(:ids)", zone=zone, ids=chosen
        )
    noted = chosen if table == "contacts" else [None]
    assert world.rows(
        "select program_kind, contact_id, count(*) from lifecycle.contact_changes"
        " where organization_id = :organization group by 1, 2 order by 1, 2",
        organization=world.organization_id,
    ) == [(kind, number, 2) for kind in ("journey", "sequence") for number in noted]


def test_a_corrected_zone_waits_for_who_has_the_contact_in_hand(world: ProgramWorld) -> None:
    program = world.program([NINE])
    [contact] = world.contacts(1, timezone=BERLIN)
    world.enrol(program, [contact], ENTRY)
    world.move(NEXT)
    set_zone(world, "contacts", contact, NEW_YORK)
    hand = sa.text("select from lifecycle.enrolments where program_id = :program for update")
    with world.engine.begin() as busy:
        busy.execute(hand, {"program": program})
        world.move(at("03-02 10:10"))
    assert world.next_at(program) == ["03-03 08:00"]
    world.move(at("03-02 10:15"))
    assert world.next_at(program) == ["03-02 14:00"]


def test_open_tasks_go_to_the_next_owner_of_the_contact(world: ProgramWorld) -> None:
    program = world.program([("call", "create_task", {"title": "Call"})])
    contacts = world.contacts(4)
    world.enrol(program, contacts, ENTRY)
    old, new = (
        world.scalar(
            "insert into crm.users (organization_id, external_id) values (:organization, :name)"
            " returning id",
            organization=world.organization_id,
            name=name,
        )
        for name in ("old", "new")
    )
    own = "update crm.contacts set owner_id = :owner where id = any(:contacts)"
    world.execute(own, owner=old, contacts=contacts[1:])
    world.move(NEXT)
    # One is done, and one was given to somebody by hand.
    world.execute("update crm.tasks set state = 'done' where contact_id = :id", id=contacts[2])
    world.execute("update crm.tasks set owner_id = null where contact_id = :id", id=contacts[3])
    world.execute(own, owner=new, contacts=contacts)
    assert world.rows(
        "select contact_id, owner_id from crm.tasks where organization_id = :organization"
        " order by 1",
        organization=world.organization_id,
    ) == [(contacts[0], new), (contacts[1], new), (contacts[2], old), (contacts[3], None)]


def test_a_corrected_address_counts_for_steps_and_messages_to_come(world: ProgramWorld) -> None:
    program = world.program([("pause", "wait", {"for": "1h"}), MAIL])
    [contact] = world.contacts(1)
    world.execute("update crm.contacts set email = null where id = :id", id=contact)
    world.enrol(program, [contact], ENTRY)
    world.move(NEXT)
    world.execute("update crm.contacts set email = 'a@example.org' where id = :id", id=contact)
    world.move(at("03-02 11:05"))
    assert world.messages() == {"mail": 1}
