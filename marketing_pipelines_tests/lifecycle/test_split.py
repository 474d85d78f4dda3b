"""Splits: each contact has its way, the same whenever it is asked for."""

from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle.explaining import explain
from marketing_pipelines.domains.lifecycle.program_kinds import declared
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at
from marketing_pipelines_tests.segments.naive import bucket

TICK = at("03-02 10:05")
ENDS = {"A": 4_500, "B": 9_000, "none": 10_000}
WAYS = [
    {"percent": 45},
    {"percent": 45, "next": "b"},
    {"name": "none", "percent": 10, "next": "end"},
]
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("chance", "split", {"ways": WAYS}),
    ("a", "wait", {"for": "1d", "next": "end"}),
    ("b", "wait", {"for": "1d"}),
]


def way_of(world: ProgramWorld, contact: str, program: str = "welcome") -> str:
    """The way that a contact is to go."""
    own = bucket(world.name, contact, "campaign", program, "chance")
    return next(way for way, end in ENDS.items() if own < end)


def ways(world: ProgramWorld, program: int) -> dict[str, str]:
    """The way that each contact went."""
    return dict(
        world.rows(
            "select contact.external_id, way from lifecycle.step_results"
            " join lifecycle.enrolments as enrolment on enrolment.id = enrolment_id"
            " join crm.contacts as contact on contact.id = enrolment.contact_id"
            " where enrolment.program_id = :program and outcome = 'way'",
            program=program,
        )
    )


def test_shares_of_ten_thousand_contacts_are_within_three_sigma_and_always_the_same(
    shared_engine: sa.Engine,
) -> None:
    statement = sa.text(
        "select array_agg(segments.bucket('acme', 'c' || n, :salt) order by n)"
        " from generate_series(1, 10000) as n"
    )
    salt = "campaign\x1fwelcome\x1fchance"
    with shared_engine.connect() as connection:
        found, again = (connection.execute(statement, {"salt": salt}).scalar_one() for _ in "12")
    assert found == again == [bucket("acme", f"c{n}", salt) for n in range(1, 10_001)]
    shares = Counter(next(way for way, end in ENDS.items() if own < end) for own in found)
    # The standard deviation of 10,000 draws is 49.7 at 45 % and 30 at 10 %.
    assert abs(shares["A"] - 4_500) <= 149
    assert abs(shares["B"] - 4_500) <= 149
    assert abs(shares["none"] - 1_000) <= 90


def test_each_contact_goes_the_way_of_its_bucket(world: ProgramWorld) -> None:
    program = world.program(STEPS)
    world.enrol(program, world.contacts(40), at("03-02 10:00"))
    world.move(TICK, batch=7)
    went = ways(world, program)
    assert went == {contact: way_of(world, contact) for contact in went}
    number = Counter(went.values())
    assert number.total() == 40
    assert min(number.values()) > 0
    assert world.standing(program) == {
        "a": number["A"],
        "b": number["B"],
        "completed": number["none"],
    }
    assert world.results(program)[("chance", "way")] == 40


def test_an_edit_of_the_shares_changes_the_ways_of_later_contacts_only(world: ProgramWorld) -> None:
    program = world.program(STEPS)
    world.enrol(program, world.contacts(10), at("03-02 10:00"))
    world.move(TICK)
    first = ways(world, program)
    decided = [{"percent": 0}, {"percent": 100, "next": "b"}, {**WAYS[2], "percent": 0}]
    world.change_step(program, "chance", config={"ways": decided})
    world.enrol(program, world.contacts(10), at("03-02 10:06"))
    world.move(at("03-02 10:10"))
    later = ways(world, program)
    assert {contact: way for contact, way in later.items() if contact in first} == first
    assert {way for contact, way in later.items() if contact not in first} == {"B"}
    assert len(later) == 20


def test_another_program_draws_anew(world: ProgramWorld) -> None:
    contacts = world.contacts(40)
    went = []
    for name in ("one", "two"):
        program = world.program(STEPS, name=name)
        world.enrol(program, contacts, at("03-02 10:00"))
        world.move(TICK)
        went.append(ways(world, program))
    assert went[0] != went[1]
    assert went[1] == {contact: way_of(world, contact, "two") for contact in went[1]}


def test_why_names_the_bucket_before_and_the_way_after(world: ProgramWorld) -> None:
    program = world.program(STEPS)
    [contact] = world.contacts(1)
    world.enrol(program, [contact], at("03-02 10:00"))
    [name] = world.rows("select external_id from crm.contacts where id = :id", id=contact)[0]
    own = bucket(world.name, name, "campaign", "welcome", "chance")
    way = way_of(world, name)
    world.change_step(program, "chance", config={"ways": WAYS, "next": "a"})

    def explained(now: str) -> Any:
        with world.engine.connect() as connection:
            [enrolment] = explain(
                connection,
                world.organization_id,
                contact,
                declared()["campaign"],
                "welcome",
                now=at(now),
                reporting_zone=ZoneInfo("UTC"),
            ).enrolments
        return enrolment

    world.execute(
        "update lifecycle.enrolments set step_id = (select id from lifecycle.steps"
        " where program_id = :program and program_kind = 'campaign' and external_id = 'chance')"
        " where program_id = :program and program_kind = 'campaign'",
        program=program,
    )
    leads = {
        "A": "it goes on to step a (wait)",
        "B": "it goes on to step b (wait)",
        "none": "it has completed the campaign",
    }[way]
    [sentence] = explained("03-02 10:04").following
    assert sentence.endswith(
        f"at the next pass it goes way {way}, its bucket being {own} of 10000, and {leads}."
    )
    world.move(TICK)
    [happened] = [
        each for each in explained("03-02 10:06").happened if each.step.startswith("chance")
    ]
    assert (happened.outcome, happened.because) == (f"way {way}", "")
