"""Waits: how long, and until which instant."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

MAIL = ("mail", "send_email", {"subject": "Hello", "text": "Hello"})
RESOLUTION = dt.timedelta(microseconds=1)
BERLIN, NEW_YORK, KATHMANDU = "Europe/Berlin", "America/New_York", "Asia/Kathmandu"

# The wait, its zone, the tick of arrival, and the end of the wait, all in UTC.
UNTIL: list[tuple[dict[str, Any], str, str, str]] = [
    ({"for": "90min"}, "UTC", "03-02 10:05", "03-02 11:35"),
    ({"for": "1d"}, BERLIN, "03-28 10:00", "03-29 10:00"),
    ({"until": "09:00"}, "UTC", "03-02 08:55", "03-02 09:00"),
    ({"until": "09:00"}, "UTC", "03-02 09:05", "03-03 09:00"),
    ({"until": "09:00"}, BERLIN, "03-02 07:55", "03-02 08:00"),
    ({"until": "09:00"}, BERLIN, "03-02 08:05", "03-03 08:00"),
    ({"until": "09:00"}, NEW_YORK, "03-02 10:00", "03-02 14:00"),
    ({"until": "09:00"}, KATHMANDU, "03-02 10:00", "03-03 03:15"),
    ({"weekday": "monday"}, "UTC", "03-02 10:00", "03-09 00:00"),
    ({"weekday": "tuesday"}, "UTC", "03-02 10:00", "03-03 00:00"),
    ({"weekday": "monday"}, NEW_YORK, "03-02 03:00", "03-02 05:00"),
    ({"weekday": "monday", "until": "09:00"}, "UTC", "03-02 08:00", "03-02 09:00"),
    ({"weekday": "monday", "until": "09:00"}, "UTC", "03-02 09:05", "03-09 09:00"),
    # Over the change to summer time in Berlin on 29 March, 01:00 UTC.
    ({"until": "09:00"}, BERLIN, "03-28 08:05", "03-29 07:00"),
    ({"weekday": "sunday", "until": "03:00"}, BERLIN, "03-28 10:00", "03-29 01:00"),
    # 02:30 is left out that day: an hour later by the clock.
    ({"until": "02:30"}, BERLIN, "03-28 10:00", "03-29 01:30"),
    ({"until": "02:30"}, BERLIN, "03-29 01:10", "03-29 01:30"),
    ({"until": "02:30"}, BERLIN, "03-29 01:35", "03-30 00:30"),
    # And back on 25 October, 01:00 UTC: 02:30 comes twice and the first counts.
    ({"until": "09:00"}, BERLIN, "10-24 07:05", "10-25 08:00"),
    ({"until": "02:30"}, BERLIN, "10-24 10:00", "10-25 00:30"),
    ({"until": "02:30"}, BERLIN, "10-25 00:35", "10-26 01:30"),
    ({"until": "02:30"}, BERLIN, "10-25 01:35", "10-26 01:30"),
    # By half an hour only.
    ({"until": "02:15"}, "Australia/Lord_Howe", "10-03 10:00", "10-03 15:45"),
    # A weekday alone is its midnight, where that is left out, and where it comes twice.
    ({"weekday": "sunday"}, "Asia/Beirut", "03-28 10:00", "03-28 22:00"),
    ({"weekday": "sunday"}, "Atlantic/Azores", "10-24 10:00", "10-25 00:00"),
    ({"weekday": "sunday"}, "Atlantic/Azores", "10-25 00:30", "11-01 01:00"),
]
# Waits that are over when they begin.
NONE = [
    ({"for": "0d"}, "UTC", "03-02 10:05"),
    ({"until": "09:00"}, "UTC", "03-02 09:00"),
    ({"until": "09:00"}, BERLIN, "03-02 08:00"),
    ({"weekday": "monday"}, "UTC", "03-02 00:00"),
    ({"weekday": "monday", "until": "09:00"}, "UTC", "03-02 09:00"),
]


@pytest.mark.parametrize(("config", "zone", "arrival", "until"), UNTIL)
def test_a_wait_is_over_at_its_instant_and_not_before(
    world: ProgramWorld, config: dict[str, Any], zone: str, arrival: str, until: str
) -> None:
    program = world.program([("wait", "wait", config), MAIL])
    world.enrol(program, world.contacts(1, timezone=zone), at(arrival))
    world.move(at(arrival))
    assert (world.standing(program), world.next_at(program)) == ({"wait": 1}, [until])
    world.move(at(until) - RESOLUTION)
    assert world.messages() == {}
    world.move(at(until))
    assert world.messages() == {"mail": 1}
    assert world.standing(program) == {"completed": 1}


@pytest.mark.parametrize(("config", "zone", "arrival"), NONE)
def test_a_wait_that_is_over_when_it_begins_is_passed_at_once(
    world: ProgramWorld, config: dict[str, Any], zone: str, arrival: str
) -> None:
    program = world.program([("wait", "wait", config), MAIL])
    world.enrol(program, world.contacts(1, timezone=zone), at(arrival))
    world.move(at(arrival))
    assert world.standing(program) == {"completed": 1}


def test_fifty_waits_of_no_length_are_passed_in_one_pass(world: ProgramWorld) -> None:
    steps = [(f"w{n}", "wait", {"for": "0s"}) for n in range(50)]
    program = world.program([*steps, MAIL])
    world.enrol(program, world.contacts(3), at("03-02 10:00"))
    report = world.move(at("03-02 10:05"))
    assert report.outcomes == {"wait done": 150, "send_email done": 3}
    assert world.standing(program) == {"completed": 3}


# The contact's zone, the organization's, the reporting zone, and when it is nine there.
ZONES = [
    (NEW_YORK, BERLIN, KATHMANDU, "03-02 14:00"),
    (None, BERLIN, KATHMANDU, "03-02 08:00"),
    (None, None, KATHMANDU, "03-02 03:15"),
    ("Mars/Olympus", BERLIN, KATHMANDU, "03-02 08:00"),
    ("", None, KATHMANDU, "03-02 03:15"),
    (None, "Mars/Olympus", KATHMANDU, "03-02 03:15"),
    ("Mars/Olympus", "Venus", NEW_YORK, "03-02 14:00"),
]


def test_the_zone_is_the_contacts_else_the_organizations_else_the_reporting_one(
    world: ProgramWorld,
) -> None:
    program = world.program([("wait", "wait", {"until": "09:00"}), MAIL])
    found = []
    for contact, organization, reporting, _ in ZONES:
        world.execute(
            "update crm.organizations set timezone = :zone where id = :id",
            zone=organization,
            id=world.organization_id,
        )
        world.zone = reporting
        world.enrol(program, world.contacts(1, timezone=contact), at("03-02 03:00"))
        world.move(at("03-02 03:00"))
        found.append(world.next_at(program)[-1])
    assert found == [until for *_, until in ZONES]


def test_a_zone_that_is_none_does_not_keep_others(world: ProgramWorld) -> None:
    program = world.program([("wait", "wait", {"until": "09:00"}), MAIL])
    world.enrol(program, world.contacts(1, timezone="Mars/Olympus"), at("03-02 08:00"))
    world.enrol(program, world.contacts(2, timezone=BERLIN), at("03-02 08:00"))
    world.move(at("03-02 08:00"))
    assert world.standing(program) == {"completed": 2, "wait": 1}


def test_a_wait_until_counts_from_the_arrival_after_another_step(world: ProgramWorld) -> None:
    """Contacts that come from a wait, and contacts that come at once, wait for the next nine."""
    program = world.program(
        [MAIL, ("pause", "wait", {"for": "1d"}), ("nine", "wait", {"until": "09:00"})]
    )
    world.enrol(program, world.contacts(1), at("03-02 10:00"))
    world.move(at("03-02 10:00"))
    world.move(at("03-03 10:00"))
    assert world.next_at(program) == ["03-04 09:00"]


# Objects that no wait can be: the program stands, with the reason.
REFUSED = [
    "{}",
    '{"for": "1d", "until": "09:00"}',
    '{"for": "99999999999d"}',
    '{"for": "-1d"}',
    '{"until": "25:00"}',
    '{"until": "9:00"}',
    '{"weekday": "funday"}',
    '{"for": null}',
    '{"for": 5}',
    '{"for": "1d", "more": 1}',
    "[]",
    "[1]",
    '"1d"',
    "null",
    "1",
    # More digits, and deeper, than Python reads.
    '{"for": 1e5000}',
    '{"for": ' + 1_500 * "[" + 1_500 * "]" + "}",
]


def test_what_is_no_wait_is_held_with_its_reason_while_others_move(world: ProgramWorld) -> None:
    broken = [
        world.program([("wait", "wait", {"for": "0d"}), MAIL], name=f"broken {place}")
        for place in range(len(REFUSED))
    ]
    fine = world.program([MAIL])
    contacts = world.contacts(1)
    for program, config in zip(broken, REFUSED, strict=True):
        world.execute(
            "update lifecycle.steps set config = cast(:config as jsonb)"
            " where program_id = :program and external_id = 'wait'",
            config=config,
            program=program,
        )
        world.enrol(program, contacts, at("03-02 10:00"))
    world.enrol(fine, contacts, at("03-02 10:00"))
    report = world.move(at("03-02 10:05"))
    assert world.standing(fine) == {"completed": 1}
    assert [world.standing(program) for program in broken] == [{"wait": 1}] * len(REFUSED)
    assert set(report.blocked) == {
        f"campaign broken {place} of {world.name}" for place in range(len(REFUSED))
    }
    # Mended, it is moved by the next pass.
    for program in broken:
        world.change_step(program, "wait", config={"for": "0d"})
    report = world.move(at("03-02 10:10"))
    assert (report.blocked, report.ended) == ({}, {"completed": len(REFUSED)})
    assert world.messages() == {"mail": len(REFUSED) + 1}


# The mended wait, and its end for a contact that came on 03-02 at 10:05.
MENDED = [({"for": "1d"}, "03-03 10:05"), ({"until": "09:00"}, "03-03 09:00")]


@pytest.mark.parametrize(("config", "until"), MENDED)
def test_who_came_to_a_broken_wait_waits_from_then_when_it_is_mended(
    world: ProgramWorld, config: dict[str, Any], until: str
) -> None:
    program = world.program([("wait", "wait", {"until": "9:00"}), MAIL])
    world.enrol(program, world.contacts(1), at("03-02 10:00"))
    world.move(at("03-02 10:05"))
    world.change_step(program, "wait", config=config)
    world.move(at("03-02 10:10"))
    assert (world.standing(program), world.next_at(program)) == ({"wait": 1}, [until])
    world.move(at(until))
    assert world.messages() == {"mail": 1}


def test_a_wait_that_leads_back_holds_at_once_and_when_mended_counts_from_the_arrival(
    world: ProgramWorld,
) -> None:
    program = world.program([MAIL, ("pause", "wait", {"for": "1d", "next": "mail"})])
    world.enrol(program, world.contacts(1), at("03-02 10:00"))
    report = world.move(at("03-02 10:05"))
    assert list(report.blocked.values()) == [
        "step pause: It leads back to 'mail': a step leads only to later ones."
    ]
    world.change_step(program, "pause", config={"for": "1d"})
    world.move(at("03-02 10:10"))
    assert world.next_at(program) == ["03-03 10:05"]
