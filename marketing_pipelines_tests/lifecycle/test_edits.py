"""Steps that are switched off or edited while contacts stand at them."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

ARRIVAL = at("03-02 10:00")
SIDES: list[tuple[str, str, dict[str, Any]]] = [
    ("no", "wait", {"for": "30d", "next": "end"}),
    ("yes", "wait", {"for": "30d", "next": "end"}),
    ("after", "wait", {"for": "30d"}),
]
CLICK = {"event": "clicked", "timeout": "1h", "yes": "yes", "no": "no"}


def mail(name: str, **more: Any) -> tuple[str, str, dict[str, Any]]:
    return (name, "send_email", {"subject": name, "text": name, **more})


def waiting(world: ProgramWorld, config: dict[str, Any] = CLICK, **more: Any) -> int:
    """A campaign whose two contacts came to the step `link` at 10:00."""
    program = world.program([("link", "wait_for", config), *SIDES], **more)
    world.enrol(program, world.contacts(2), ARRIVAL)
    world.move(ARRIVAL)
    assert world.standing(program) == {"link": 2}
    return program


def contacts_of(world: ProgramWorld, program: int) -> list[int]:
    return [
        row[0]
        for row in world.rows(
            "select contact_id from lifecycle.enrolments where program_id = :program order by 1",
            program=program,
        )
    ]


# The object of a step that is switched off, and where contacts go from it.
OFF: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("send_email", {"subject": "s", "text": "t", "next": "c"}, {"c": 1}),
    ("send_email", {"subject": "s", "text": "t", "next": "end"}, {}),
    ("send_email", {"subject": "s", "text": "t"}, {"b": 1, "c": 1}),
    ("wait", {"for": "1d", "next": "c"}, {"c": 1}),
    ("branch", {"rule": {"all": []}, "yes": "end", "no": "end"}, {"b": 1, "c": 1}),
    ("branch", {"rule": {"all": []}, "yes": "end", "next": "c"}, {"c": 1}),
    ("wait_for", {"event": "e", "timeout": "1d", "no": "end", "next": "c"}, {"c": 1}),
    # Nothing but where it leads matters.
    ("wait", {"for": "never", "next": "c"}, {"c": 1}),
    ("wait", {"next": None}, {"b": 1, "c": 1}),
]


def test_a_step_that_is_switched_off_leads_where_its_next_says(world: ProgramWorld) -> None:
    for place, (step_type, config, expected) in enumerate(OFF):
        program = world.program([("a", step_type, config), mail("b"), mail("c")], name=f"p{place}")
        world.change_step(program, "a", enabled=False)
        world.enrol(program, world.contacts(1), ARRIVAL)
        assert world.move(ARRIVAL).blocked == {}
        found = world.rows(
            "select external_id, count(*) from delivery.messages join lifecycle.steps as step"
            " on step.id = step_id where messages.program_id = :program group by 1",
            program=program,
        )
        assert (place, dict(found)) == (place, expected)
        assert world.results(program)["a", "skipped"] == 1


@pytest.mark.parametrize(
    ("following", "reason"),
    [
        ("nowhere", "It leads to 'nowhere', which is no step of its program."),
        (5, "next: takes a text."),
    ],
)
def test_a_step_that_is_switched_off_and_leads_nowhere_is_held(
    world: ProgramWorld, following: Any, reason: str
) -> None:
    program = world.program([mail("a", next=following), mail("b")])
    world.change_step(program, "a", enabled=False)
    world.enrol(program, world.contacts(1), ARRIVAL)
    report = world.move(ARRIVAL)
    assert report.blocked == {f"campaign welcome of {world.name}": f"step a: {reason}"}
    world.change_step(program, "a", config={})
    world.move(at("03-02 10:05"))
    assert world.messages() == {"b": 1}


def by_file(world: ProgramWorld, _: int, folder: Path) -> None:
    path = folder / "steps.csv"
    path.write_text(
        "organization_id,program_kind,program,external_id,position,type,enabled\n"
        f"{world.name},campaign,welcome,link,10,wait_for,false\n"
    )
    assert world.load("steps", path).changed == 1


def by_sql(world: ProgramWorld, program: int, _: Path) -> None:
    world.change_step(program, "link", enabled=False)


def by_view(world: ProgramWorld, program: int, _: Path) -> None:
    """Through somebody's own view, among steps that stay as they are."""
    with world.engine.begin() as connection:
        connection.exec_driver_sql("create temporary view own as select * from lifecycle.steps")
        connection.execute(
            sa.text("update own set enabled = external_id <> 'link' where program_id = :program"),
            {"program": program},
        )
        connection.exec_driver_sql("drop view own")


@pytest.mark.parametrize("source", [None, "program", ["spring"]])
@pytest.mark.parametrize("switch_off", [by_file, by_sql, by_view])
def test_a_wait_that_is_switched_off_no_longer_reacts_to_its_event(
    world: ProgramWorld, switch_off: Any, source: Any, tmp_path: Path
) -> None:
    """Of whichever campaign the event is; contacts go on when the time is out, as skipped."""
    spring = world.program([], name="spring")
    config = CLICK if source is None else {**CLICK, "source": source}
    program = waiting(world, config)
    # One is known already, and happens later.
    world.event(contacts_of(world, program)[1:], "clicked", at("03-02 10:20"), campaign=spring)
    world.move(at("03-02 10:05"))
    switch_off(world, program, tmp_path)
    for campaign in (None, program, spring):
        world.event(contacts_of(world, program), "clicked", at("03-02 10:06"), campaign=campaign)
    for minute in (10, 25, 55):
        world.move(at(f"03-02 10:{minute}"))
        assert world.standing(program) == {"link": 2}
    assert world.next_at(program) == ["03-02 11:00"] * 2
    world.move(at("03-02 11:00"))
    assert world.standing(program) == {"no": 2}
    assert world.results(program) == {("link", "skipped"): 2}


def test_a_pass_of_another_kind_does_not_wake_contacts_of_an_edited_step(
    world: ProgramWorld,
) -> None:
    program = waiting(world)
    world.change_step(program, "link", enabled=False)
    world.event(contacts_of(world, program), "clicked", at("03-02 10:01"))
    assert world.move(at("03-02 10:05"), kind="journey").woken == 0
    world.move(at("03-02 10:05"))
    assert world.standing(program) == {"link": 2}


def test_a_wait_that_is_switched_on_again_sees_what_happened_meanwhile(
    world: ProgramWorld,
) -> None:
    program = waiting(world)
    world.change_step(program, "link", enabled=False)
    world.event(contacts_of(world, program)[:1], "clicked", at("03-02 10:01"))
    world.move(at("03-02 10:05"))
    world.change_step(program, "link", enabled=True)
    world.move(at("03-02 10:10"))
    assert world.standing(program) == {"link": 1, "yes": 1}
    world.event(contacts_of(world, program)[1:], "clicked", at("03-02 10:11"))
    world.move(at("03-02 10:15"))
    assert world.standing(program) == {"yes": 2}


def test_a_wait_for_another_event_no_longer_reacts_to_the_old_one(world: ProgramWorld) -> None:
    program = waiting(world)
    first, second = contacts_of(world, program)
    world.change_step(program, "link", config={**CLICK, "event": "opened", "timeout": "2h"})
    world.event([first], "clicked", at("03-02 10:01"))
    world.move(at("03-02 10:05"))
    assert world.next_at(program) == ["03-02 12:00"] * 2
    world.event([second], "opened", at("03-02 10:06"))
    world.event([first], "clicked", at("03-02 10:06"))
    world.move(at("03-02 10:10"))
    assert world.standing(program) == {"link": 1, "yes": 1}
    world.move(at("03-02 12:00"))
    assert world.standing(program) == {"no": 1, "yes": 1}


def test_a_wait_of_another_source_counts_events_of_that_source_alone(world: ProgramWorld) -> None:
    spring, autumn = (world.program([], name=name) for name in ("spring", "autumn"))
    program = waiting(world, {**CLICK, "source": "spring"})
    first, second = contacts_of(world, program)
    world.change_step(program, "link", config={**CLICK, "source": "autumn"})
    world.event([first], "clicked", at("03-02 10:01"), campaign=spring)
    world.event([second], "clicked", at("03-02 10:01"), campaign=autumn)
    world.move(at("03-02 10:05"))
    assert world.standing(program) == {"link": 1, "yes": 1}


# The edit of the step, and the places at 10:05 of the two contacts that came at 10:00.
OTHER_TYPES: list[tuple[str, dict[str, Any], dict[str, int], list[str]]] = [
    ("wait", {"for": "20min"}, {"link": 2}, ["03-02 10:20"] * 2),
    ("wait", {"until": "09:00"}, {"link": 2}, ["03-03 09:00"] * 2),
    ("wait", {"for": "1min"}, {"no": 2}, []),
    ("create_task", {"title": "t"}, {"no": 2}, []),
    ("branch", {"rule": {"all": []}, "yes": "after"}, {"after": 2}, []),
]


@pytest.mark.parametrize(
    ("former", "step_type", "config", "standing", "next_at"),
    [(("wait_for", CLICK), *other) for other in OTHER_TYPES]
    + [(("wait", {"for": "1h"}), *other) for other in OTHER_TYPES if other[0] != "wait"],
)
def test_contacts_at_a_step_of_another_type_do_what_it_says_now(
    world: ProgramWorld,
    former: tuple[str, dict[str, Any]],
    step_type: str,
    config: dict[str, Any],
    standing: dict[str, int],
    next_at: list[str],
) -> None:
    program = world.program([("link", *former), *SIDES])
    contacts = world.contacts(2)
    world.enrol(program, contacts, ARRIVAL)
    world.move(ARRIVAL)
    world.change_step(program, "link", type=step_type, config=config)
    world.event(contacts, "clicked", at("03-02 10:01"))
    world.move(at("03-02 10:05"))
    assert world.standing(program) == standing
    if next_at:
        assert world.next_at(program) == next_at


def test_a_wait_that_became_a_wait_for_looks_from_the_arrival(world: ProgramWorld) -> None:
    program = world.program([("link", "wait", {"for": "9d"}), *SIDES])
    contacts = world.contacts(2)
    world.enrol(program, contacts, ARRIVAL)
    world.move(ARRIVAL)
    world.event(contacts[:1], "clicked", at("03-02 10:01"))
    world.change_step(program, "link", type="wait_for", config=CLICK)
    world.move(at("03-02 10:05"))
    assert world.standing(program) == {"link": 1, "yes": 1}
    world.move(at("03-02 11:00"))
    assert world.standing(program) == {"no": 1, "yes": 1}


@pytest.mark.parametrize("change", [{"enabled": False}, {"config": {"for": "1min"}}])
def test_a_contact_at_a_wait_keeps_the_time_that_it_was_given(
    world: ProgramWorld, change: dict[str, Any]
) -> None:
    program = world.program([("pause", "wait", {"for": "1d"}), *SIDES])
    world.enrol(program, world.contacts(1), ARRIVAL)
    world.move(ARRIVAL)
    world.change_step(program, "pause", **change)
    world.move(at("03-02 10:05"))
    assert world.next_at(program) == ["03-03 10:00"]


def test_an_edit_that_is_made_during_a_pass_reaches_those_whom_the_pass_brings_there(
    world: ProgramWorld,
) -> None:
    """The pass does the steps as they were when it began."""
    program = world.program([("link", "wait_for", CLICK), *SIDES])
    contacts = world.contacts(2)
    world.enrol(program, contacts, ARRIVAL)
    edits = [{"event": "opened", "timeout": "2h", "yes": "yes", "no": "no"}]

    def edit(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith("-- Takes contacts") and edits:
            world.change_step(program, "link", config=edits.pop())

    sa.event.listen(world.engine, "before_cursor_execute", edit)
    with contextlib.ExitStack() as stack:
        stack.callback(sa.event.remove, world.engine, "before_cursor_execute", edit)
        world.move(ARRIVAL)
    assert not edits
    world.event(contacts[:1], "clicked", at("03-02 10:01"))
    world.event(contacts[1:], "opened", at("03-02 10:01"))
    world.move(at("03-02 10:05"))
    assert world.standing(program) == {"link": 1, "yes": 1}
    assert world.next_at(program)[0] == "03-02 12:00"


def test_an_edit_leaves_those_alone_who_stand_elsewhere(world: ProgramWorld) -> None:
    program = waiting(world)
    other = waiting(world, name="other")
    world.change_step(program, "link", enabled=False)
    world.event(contacts_of(world, other), "clicked", at("03-02 10:01"))
    world.move(at("03-02 10:05"))
    assert world.standing(program) == {"link": 2}
    assert world.standing(other) == {"yes": 2}
