"""Branches: which way contacts go, and what a rule that cannot be evaluated does."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.segments import evaluation
from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

TICK = at("03-02 10:05")
# The program waits there for a day, so that the step tells which way a contact went.
SIDES: list[tuple[str, str, dict[str, Any]]] = [
    ("no", "wait", {"for": "1d", "next": "end"}),
    ("yes", "wait", {"for": "1d"}),
]


def fork(rule: Any, **more: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """A branch that leads to `yes` or `no`."""
    return [("fork", "branch", {"rule": rule, "yes": "yes", "no": "no", **more}), *SIDES]


def set_fields(world: ProgramWorld, contact: int, fields: dict[str, Any]) -> None:
    world.execute(
        "update crm.contacts set attributes = cast(:fields as jsonb) where id = :contact",
        fields=json.dumps(fields),
        contact=contact,
    )


def way_of(world: ProgramWorld, program: int, contact: int) -> str:
    return str(
        world.scalar(
            "select external_id from lifecycle.enrolments join lifecycle.steps as step"
            " on step.id = step_id where enrolments.program_id = :program"
            " and contact_id = :contact",
            program=program,
            contact=contact,
        )
    )


# A rule, and which of the three contacts go the way of `yes`.
RULES: list[tuple[Any, list[str]]] = [
    ({"attribute": "plan", "op": "=", "value": "pro"}, ["a"]),
    ({"attribute": "plan", "op": "exists"}, ["a", "b"]),
    ({"attribute": "plan", "op": "not_exists"}, ["c"]),
    ({"attribute": "plan", "op": "matches", "value": "^p"}, ["a"]),
    ({"attribute": "seats", "op": ">", "value": 4}, ["a"]),
    ({"attribute": "lifecycle_stage", "op": "=", "value": "lead"}, ["a", "b", "c"]),
    ({"event": "opened"}, ["b"]),
    ({"event": "opened", "within": "1h"}, []),
    ({"event": "opened", "op": ">=", "times": 2}, ["b"]),
    ({"event": "opened", "op": ">=", "times": 3}, []),
    ({"event": "open*"}, ["b"]),
    ({"event": "opened", "where": [{"property": "link", "op": "=", "value": "x"}]}, ["b"]),
    ({"event": "opened", "since": "0001-01-01", "until": "9999-12-31"}, ["b"]),
    ({"event": "later"}, []),
    ({"segment": "chosen"}, ["a", "c"]),
    ({"not": {"segment": "chosen"}}, ["b"]),
    ({"all": [{"event": "opened"}, {"attribute": "plan", "op": "exists"}]}, ["b"]),
    ({"any": [{"event": "opened"}, {"segment": "chosen"}]}, ["a", "b", "c"]),
    ({"all": []}, ["a", "b", "c"]),
    ({"any": []}, []),
]


@pytest.mark.parametrize("batch", [1, 7, 20_000])
def test_each_rule_sends_contacts_its_own_way_in_one_batch(world: ProgramWorld, batch: int) -> None:
    people = dict(zip("abc", world.contacts(3, lifecycle_stage="lead"), strict=True))
    set_fields(world, people["a"], {"plan": "pro", "seats": 5})
    set_fields(world, people["b"], {"plan": "basic", "seats": 1.5})
    world.event([people["b"]], "opened", at("03-01 10:00"), properties={"link": "x"})
    world.event([people["b"]], "opened", at("03-01 11:00"))
    # At the tick itself is not before it.
    world.event([people["b"]], "later", TICK)
    world.execute(
        "update crm.organizations set timezone = 'Asia/Tokyo' where id = :id",
        id=world.organization_id,
    )
    choose(world, added=[people["a"], people["c"]], removed=[people["b"]])
    programs = [
        world.program(fork(rule), name=f"p{place}") for place, (rule, _) in enumerate(RULES)
    ]
    for program in programs:
        world.enrol(program, list(people.values()), at("03-02 10:00"))
    report = world.move(TICK, batch=batch)
    found = [
        [name for name, contact in people.items() if way_of(world, program, contact) == "yes"]
        for program in programs
    ]
    assert found == [expected for _, expected in RULES]
    assert report.blocked == {}


def choose(world: ProgramWorld, *, added: list[int], removed: list[int]) -> None:
    """The segment `chosen`: its rule holds for those who opened, but people say otherwise."""
    world.execute(
        "insert into segments.segments (organization_id, external_id, rule, evaluated)"
        " values (:organization, 'chosen', '{\"event\": \"opened\"}', 'always')",
        organization=world.organization_id,
    )
    for action, contacts in (("add", added), ("remove", removed)):
        world.execute(
            "insert into segments.manual_members (organization_id, segment_id, contact_id, action)"
            " select organization_id, id, unnest(cast(:contacts as bigint[])), :action"
            " from segments.segments where organization_id = :organization",
            organization=world.organization_id,
            contacts=contacts,
            action=action,
        )
    with world.engine.begin() as connection:
        [own] = [
            row
            for row in evaluation.due(connection, by_time=True)
            if row.id == world.organization_id
        ]
        failures = ItemFailures(evaluation.JOB, at("03-02 10:00"))
        evaluation.SegmentPass(connection, own, at("03-02 10:00"), ZoneInfo("UTC"), retry=True).run(
            failures.attempts
        )
        assert failures.last_error == ""


def test_organizations_in_one_batch_are_judged_by_their_own_contacts(
    world: ProgramWorld,
) -> None:
    other = ProgramWorld(world.engine, name=f"other {world.name}")
    rule = {"attribute": "plan", "op": "=", "value": "pro"}
    found = []
    for owner, fields in ((world, {"plan": "pro"}), (other, {"plan": "basic"})):
        program = owner.program(fork(rule))
        contacts = owner.contacts(2)
        for contact in contacts:
            set_fields(owner, contact, fields)
        owner.enrol(program, contacts, at("03-02 10:00"))
        found.append((owner, program))
    world.move(TICK)
    assert [owner.standing(program) for owner, program in found] == [{"yes": 2}, {"no": 2}]
    other.retire()


def test_the_way_to_nowhere_is_out_and_the_way_without_a_name_is_the_next_step(
    world: ProgramWorld,
) -> None:
    everybody, nobody = {"all": []}, {"any": []}
    ways = {
        "yes is the end": (everybody, {"yes": "end"}, {"completed": 1}),
        "no is the end": (nobody, {"no": "end"}, {"completed": 1}),
        "yes is next": (everybody, {"no": "end"}, {"first": 1}),
        "both are next": (nobody, {}, {"first": 1}),
        "no is named next": (nobody, {"yes": "end", "next": "second"}, {"second": 1}),
        "yes is named": (everybody, {"yes": "second", "next": "first"}, {"second": 1}),
    }
    pauses = [("first", "wait", {"for": "1d"}), ("second", "wait", {"for": "1d"})]
    contacts = world.contacts(1)
    programs = {}
    for name, (rule, targets, _) in ways.items():
        steps = [("fork", "branch", {"rule": rule, **targets}), *pauses]
        programs[name] = world.program(steps, name=name)
        world.enrol(programs[name], contacts, at("03-02 10:00"))
    world.move(TICK)
    found = {name: world.standing(program) for name, program in programs.items()}
    assert found == {name: expected for name, (_, _, expected) in ways.items()}


# Rules that cannot be evaluated, and what their reason says.
BROKEN: list[tuple[Any, str]] = [
    ({"attribute": "misspelt", "op": "exists"}, "has or has had 'misspelt'"),
    ({"segment": "nowhere"}, "there is no segment 'nowhere'"),
    ({"attribute": "text", "op": "matches", "value": "("}, "is no regular expression"),
    ({"attribute": "text", "op": "matches", "value": "((a{1,255}){1,255}){1,255}"}, "regular"),
    ({"attribute": "text", "op": "like it", "value": 1}, "op"),
    ({"event": "opened", "within": "99999999d"}, "200 years"),
    ({"unknown": 1}, ""),
    ("text", ""),
]


def test_broken_rules_are_held_with_their_reasons_while_all_others_move(
    world: ProgramWorld,
) -> None:
    contacts = world.contacts(2, attributes='{"text": "x", "push_token": "t"}')
    broken = [
        world.program(fork(rule), name=f"broken {place}") for place, (rule, _) in enumerate(BROKEN)
    ]
    fine = [world.program(fork({"event": "opened"}), name=f"fine {place}") for place in range(3)]
    for program in [*broken, *fine]:
        world.enrol(program, contacts, at("03-02 10:00"))
    report = world.move(TICK)
    assert [world.standing(program) for program in fine] == [{"no": 2}] * len(fine)
    assert [world.standing(program) for program in broken] == [{"fork": 2}] * len(broken)
    for place, (_, reason) in enumerate(BROKEN):
        assert reason in report.blocked[f"campaign broken {place} of {world.name}"]
    # They stay until the rule is mended, and then lose nothing.
    world.move(at("03-02 10:10"))
    for program in broken:
        world.change_step(program, "fork", config={"rule": {"all": []}, "yes": "yes"})
    report = world.move(at("03-02 10:15"))
    assert report.blocked == {}
    assert [world.standing(program) for program in broken] == [{"yes": 2}] * len(broken)


# Back references make PostgreSQL try every way to cut the text.
CATASTROPHIC = r"^(x+)*(x+)*(x+)*\1\2\3(a*)(a*)(a*)\4\5\6$"


def test_a_rule_that_takes_too_long_is_held_and_delays_nobody_twice(world: ProgramWorld) -> None:
    world.execute(
        'update crm.organizations set settings = \'{"segments": {"timeout_seconds": 1}}\''
        " where id = :id",
        id=world.organization_id,
    )
    contacts = world.contacts(2, attributes=json.dumps({"text": "x" * 40 + "a" * 3_000}))
    rule = {"attribute": "text", "op": "matches", "value": CATASTROPHIC}
    slow = world.program(fork(rule), name="slow")
    fine = [world.program(fork({"event": "opened"}), name=f"fine {n}") for n in range(3)]
    for program in [slow, *fine]:
        world.enrol(program, contacts, at("03-02 10:00"))
    stopped = []

    @sa.event.listens_for(world.engine, "handle_error")
    def note(context: Any) -> None:
        stopped.append(getattr(context.original_exception, "sqlstate", None))

    try:
        report = world.move(TICK, batch=3)
    finally:
        sa.event.remove(world.engine, "handle_error", note)
    assert world.standing(slow) == {"fork": 2}
    assert [world.standing(program) for program in fine] == [{"no": 2}] * 3
    assert (
        "took longer than 1 s and was stopped" in report.blocked[f"campaign slow of {world.name}"]
    )
    # Once with the others and once by itself.
    assert stopped == ["57014", "57014"]
