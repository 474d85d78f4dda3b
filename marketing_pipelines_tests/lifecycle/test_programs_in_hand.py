"""Programs that are paused, edited, entered again, or say something that cannot be."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps, at


def mail(name: str, **more: Any) -> tuple[str, str, dict[str, Any]]:
    return (name, "send_email", {"subject": name, "text": name, **more})


PAUSE = ("pause", "wait", {"for": "1d"})
RESOLUTION = dt.timedelta(microseconds=1)
ENTRY, FIRST, LATER = at("03-02 10:00"), at("03-02 10:05"), at("03-03 10:05")


# Steps, and the messages that come of them at once.
WAYS: list[tuple[Steps, dict[str, int]]] = [
    ([mail("a"), mail("b"), mail("c")], {"a": 1, "b": 1, "c": 1}),
    ([mail("a", next="c"), mail("b"), mail("c")], {"a": 1, "c": 1}),
    ([mail("a", next="end"), mail("b")], {"a": 1}),
    ([("skip", "wait", {"for": "0d", "next": "b"}), mail("a"), mail("b")], {"b": 1}),
    ([("out", "create_task", {"title": "t", "next": "end"}), mail("a")], {}),
]


def test_steps_lead_where_they_say(world: ProgramWorld) -> None:
    for place, (steps, expected) in enumerate(WAYS):
        program = world.program(steps, name=f"p{place}")
        world.enrol(program, world.contacts(1), ENTRY)
        world.move(FIRST)
        found = world.rows(
            "select external_id, count(*) from delivery.messages join lifecycle.steps as step"
            " on step.id = step_id where messages.program_id = :program group by 1",
            program=program,
        )
        assert dict(found) == expected
        assert world.standing(program) == {"completed": 1}


ASTRAY: list[tuple[dict[str, Any], str]] = [
    ({"next": "nowhere"}, "It leads to 'nowhere', which is no step of its program."),
    ({"next": "first"}, "It leads back to 'first': a step leads only to later ones."),
    ({"next": "fork"}, "It leads back to 'fork': a step leads only to later ones."),
    ({"yes": "nowhere"}, "It leads to 'nowhere', which is no step of its program."),
    ({"no": "first"}, "It leads back to 'first': a step leads only to later ones."),
    ({"next": ""}, "next: is empty."),
]


def test_a_step_that_leads_nowhere_or_back_is_held_until_it_is_mended(
    world: ProgramWorld,
) -> None:
    programs = []
    for place, (targets, _) in enumerate(ASTRAY):
        fork = ("fork", "branch", {"rule": {"all": []}, **targets})
        programs.append(world.program([mail("first"), fork, mail("last")], name=f"p{place}"))
        world.enrol(programs[-1], world.contacts(2), ENTRY)
    for tick in (FIRST, at("03-02 10:10"), at("03-02 10:15")):
        report = world.move(tick)
        assert report.blocked == {
            f"campaign p{place} of {world.name}": f"step fork: {reason}"
            for place, (_, reason) in enumerate(ASTRAY)
        }
    assert [world.standing(program) for program in programs] == [{"fork": 2}] * len(ASTRAY)
    for program in programs:
        world.change_step(program, "fork", config={"rule": {"all": []}})
    assert world.move(at("03-02 10:20")).blocked == {}
    assert world.messages() == {"first": 2 * len(ASTRAY), "last": 2 * len(ASTRAY)}


def test_the_reason_is_that_of_the_step_where_contacts_stand(world: ProgramWorld) -> None:
    """Another step is broken too, but nobody stands there."""
    program = world.program(
        [
            ("fork", "branch", {"rule": {"all": []}, "yes": "last"}),
            ("first", "wait", {}),
            ("last", "wait", {"until": "never"}),
        ]
    )
    world.enrol(program, world.contacts(1), ENTRY)
    report = world.move(FIRST)
    assert report.blocked[f"campaign welcome of {world.name}"].startswith("step last: until:")


def test_a_step_that_is_switched_off_is_passed_and_says_so(world: ProgramWorld) -> None:
    program = world.program([mail("a"), PAUSE, mail("b"), mail("c")])
    for step in ("a", "pause", "b"):
        world.change_step(program, step, enabled=False)
    world.enrol(program, world.contacts(2), ENTRY)
    world.move(FIRST)
    assert world.messages() == {"c": 2}
    assert world.results(program) == {
        ("a", "skipped"): 2,
        ("pause", "skipped"): 2,
        ("b", "skipped"): 2,
        ("c", "done"): 2,
    }
    assert world.rows(
        "select distinct reason from lifecycle.step_results join lifecycle.steps as step"
        " on step.id = step_id where step.program_id = :program and outcome = 'skipped'",
        program=program,
    ) == [("switched off",)]


def test_what_is_wrong_with_a_step_that_is_switched_off_holds_nobody(world: ProgramWorld) -> None:
    program = world.program([("broken", "wait", {}), mail("a")])
    world.change_step(program, "broken", enabled=False)
    world.enrol(program, world.contacts(1), ENTRY)
    assert world.move(FIRST).blocked == {}
    assert world.messages() == {"a": 1}


def test_who_waits_where_a_step_is_switched_off_goes_on_when_the_wait_was_over(
    world: ProgramWorld,
) -> None:
    program = world.program([PAUSE, mail("a")])
    world.enrol(program, world.contacts(1), ENTRY)
    world.move(FIRST)
    world.change_step(program, "pause", enabled=False)
    world.move(at("03-02 20:00"))
    assert world.standing(program) == {"pause": 1}
    world.move(LATER)
    assert world.messages() == {"a": 1}


def test_edits_reach_those_who_are_not_there_yet(world: ProgramWorld) -> None:
    program = world.program([mail("a"), PAUSE, mail("b")])
    early, late = world.contacts(1), world.contacts(1)
    world.enrol(program, early, ENTRY)
    world.move(FIRST)
    # Shorter: for whoever comes, not for whoever waits already. And another mail at the end.
    world.change_step(program, "pause", config={"for": "1h"})
    world.change_step(program, "b", config={"subject": "new", "text": "new"})
    world.enrol(program, late, at("03-02 11:00"))
    world.move(at("03-02 11:05"))
    world.move(at("03-02 12:05"))
    assert world.standing(program) == {"pause": 1, "completed": 1}
    world.move(LATER)
    assert world.rows(
        "select content ->> 'subject', contact_id from delivery.messages"
        " join delivery.contents on contents.id = content_id where program_id = :program"
        " order by messages.id",
        program=program,
    ) == [("a", early[0]), ("a", late[0]), ("new", late[0]), ("new", early[0])]


def test_steps_added_behind_and_before_reach_who_comes_there(world: ProgramWorld) -> None:
    program = world.program([mail("a"), PAUSE, mail("c")])
    world.enrol(program, world.contacts(2), ENTRY)
    world.move(FIRST)
    for name, position in (("before", 5), ("b", 25), ("d", 40)):
        world.execute(
            "insert into lifecycle.steps (organization_id, program_kind, program_id,"
            " external_id, position, type, config) values (:organization, 'campaign', :program,"
            ' :name, :position, \'send_email\', \'{"subject": "s", "text": "t"}\')',
            organization=world.organization_id,
            program=program,
            name=name,
            position=position,
        )
    world.move(LATER)
    assert world.messages() == {"a": 2, "b": 2, "c": 2, "d": 2}


def test_a_step_that_was_done_and_moved_behind_does_nothing_again(world: ProgramWorld) -> None:
    effects: Steps = [
        mail("a"),
        ("set", "update_contact", {"set": {"first_name": "Ann"}}),
        ("task", "create_task", {"title": "t"}),
        ("hook", "webhook", {"url": "https://example.org"}),
    ]
    program = world.program([*effects, PAUSE, mail("b")])
    contacts = world.contacts(2)
    world.enrol(program, contacts, ENTRY)
    world.move(FIRST)
    world.execute("update crm.contacts set first_name = 'Bea' where id = any(:ids)", ids=contacts)
    for place, (name, _, _) in enumerate(effects):
        world.change_step(program, name, position=100 + place)
    before = world.results(program)
    world.move(LATER)
    assert world.standing(program) == {"completed": 2}
    assert world.messages() == {"a": 2, "b": 2}
    assert world.webhooks() == {"hook": 2}
    added = {("pause", "done"): 2, ("b", "done"): 2}
    assert world.results(program) == before | added
    assert world.rows(
        "select distinct first_name from crm.contacts where organization_id = :organization",
        organization=world.organization_id,
    ) == [("Bea",)]


def test_a_step_cannot_be_deleted(world: ProgramWorld) -> None:
    program = world.program([mail("a")])
    with pytest.raises(sa.exc.NotSupportedError, match="set enabled to false"):
        world.execute("delete from lifecycle.steps where program_id = :program", program=program)


def test_a_program_without_steps_is_left_alone(world: ProgramWorld) -> None:
    program = world.program([])
    world.enrol(program, world.contacts(2), ENTRY)
    report = world.move(FIRST)
    assert (report.taken, report.blocked, report.programs) == (0, {}, 0)
    assert world.standing(program) == {"entrance": 2}


@pytest.mark.parametrize("kind", ["campaign", "sequence", "journey"])
def test_a_paused_program_loses_nothing_and_repeats_nothing(world: ProgramWorld, kind: str) -> None:
    steps: Steps = [mail("a"), PAUSE, mail("b"), ("more", "wait", {"for": "1d"}), mail("c")]
    program = world.program(steps, kind=kind)
    world.enrol(program, world.contacts(5), ENTRY, kind=kind)
    world.move(FIRST, kind=kind, batch=2)
    world.set_status(program, "paused", kind=kind)
    for tick in (LATER, at("03-04 10:05")):
        assert world.move(tick, kind=kind).taken == 0
    assert world.standing(program, kind=kind) == {"pause": 5}
    world.set_status(program, "active", kind=kind)
    world.move(at("03-05 10:05"), kind=kind, batch=2)
    assert world.standing(program, kind=kind) == {"more": 5}
    world.move(at("03-06 10:05"), kind=kind)
    assert world.messages() == {"a": 5, "b": 5, "c": 5}
    assert world.standing(program, kind=kind) == {"completed": 5}


def test_a_program_paused_during_a_pass_stops_at_the_next_batch(world: ProgramWorld) -> None:
    program = world.program([mail("a")])
    world.enrol(program, world.contacts(6), ENTRY)
    batches = []

    def pause(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith("-- Takes contacts that are due"):
            batches.append(text)
            if len(batches) == 2:
                world.set_status(program, "paused")

    sa.event.listen(world.engine, "before_cursor_execute", pause)
    try:
        world.move(FIRST, batch=2)
    finally:
        sa.event.remove(world.engine, "before_cursor_execute", pause)
    assert world.standing(program) == {"completed": 2, "entrance": 4}
    world.set_status(program, "active")
    world.move(at("03-02 10:10"))
    assert world.messages() == {"a": 6}


@pytest.mark.parametrize("kind", ["campaign", "sequence", "journey"])
def test_a_cancelled_program_moves_nobody(world: ProgramWorld, kind: str) -> None:
    program = world.program([mail("a"), PAUSE, mail("b")], kind=kind)
    world.enrol(program, world.contacts(2), ENTRY, kind=kind)
    world.move(FIRST, kind=kind)
    world.set_status(program, "cancelled", kind=kind)
    assert world.move(LATER, kind=kind).taken == 0
    assert world.messages() == {"a": 2}


@pytest.mark.parametrize("kind", ["campaign", "sequence", "journey"])
def test_who_enters_again_does_everything_again(world: ProgramWorld, kind: str) -> None:
    steps: Steps = [
        mail("a"),
        ("task", "create_task", {"title": "t"}),
        ("hook", "webhook", {"url": "https://example.org"}),
        ("out", "exit", {}),
    ]
    program = world.program(steps, kind=kind)
    contacts = world.contacts(2)
    for rotation, minute in ((1, 0), (2, 10), (3, 20)):
        entry = at(f"03-02 10:{minute:02}")
        world.enrol(program, contacts, entry, kind=kind, rotation=rotation)
        world.move(entry, kind=kind)
        world.move(entry, kind=kind)
    assert world.messages() == {"a": 6}
    assert world.webhooks() == {"hook": 6}
    assert world.results(program, kind=kind) == {
        ("a", "done"): 6,
        ("task", "done"): 6,
        ("hook", "done"): 6,
        ("out", "exited"): 6,
    }
    assert world.rows(
        "select period, count(*) from crm.tasks where organization_id = :organization"
        " group by 1 order by 1",
        organization=world.organization_id,
    ) == [("1", 2), ("2", 2), ("3", 2)]


def test_nobody_is_moved_before_its_time_and_everybody_at_it(world: ProgramWorld) -> None:
    program = world.program([mail("a")])
    world.enrol(program, world.contacts(1), FIRST)
    world.move(FIRST - RESOLUTION)
    assert world.standing(program) == {"entrance": 1}
    world.move(FIRST)
    assert world.standing(program) == {"completed": 1}


def test_a_program_all_of_whose_steps_are_off_lets_its_contacts_through(
    world: ProgramWorld,
) -> None:
    program = world.program([("hello", "send_email", {"subject": "Hello", "text": "Hello"})])
    world.change_step(program, "hello", enabled=False)
    world.enrol(program, world.contacts(2), at("03-02 10:00"))
    world.move(at("03-02 10:05"))
    assert world.standing(program) == {"completed": 2}
    assert world.messages() == {}
