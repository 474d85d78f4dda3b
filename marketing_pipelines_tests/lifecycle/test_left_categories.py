"""Contacts of sequences that leave the category of the step at hand, and others that do not."""

from typing import Any

import pytest

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps, at

ENTRY, ARRIVAL, NEXT = at("03-02 10:00"), at("03-02 10:05"), at("03-02 10:10")
DUE = at("03-11 10:05")
HELLO = {"subject": "Hello", "text": "Hello"}
WAIT = ("pause", "wait", {"for": "9d"})


def mail(name: str, **config: Any) -> tuple[str, str, dict[str, Any]]:
    return name, "send_email", HELLO | config


def categories(world: ProgramWorld, **modes: str) -> None:
    """Categories of these modes; the first is the default one."""
    for place, (name, mode) in enumerate(modes.items()):
        world.execute(
            "insert into delivery.categories (organization_id, external_id, mode, is_default)"
            " values (:organization, :name, :mode, :is_default)",
            organization=world.organization_id,
            name=name,
            mode=mode,
            is_default=place == 0,
        )


def leave(world: ProgramWorld, contact: int, category: str, state: str = "unsubscribed") -> None:
    """Leaves a category, as a page or a file does."""
    world.execute(
        "insert into delivery.subscriptions (organization_id, contact_id, category_id, state)"
        " select organization_id, :contact, id, :state from delivery.categories"
        " where organization_id = :organization and external_id = :category"
        " on conflict (contact_id, category_id) do update set state = excluded.state",
        organization=world.organization_id,
        contact=contact,
        category=category,
        state=state,
    )


def waiting(world: ProgramWorld, steps: Steps, kind: str = "sequence") -> tuple[int, list[int]]:
    """A program whose three contacts came to a wait at 10:05."""
    program = world.program(steps, kind=kind)
    contacts = world.contacts(3)
    world.enrol(program, contacts, ENTRY, kind=kind)
    world.move(ARRIVAL, kind=kind)
    assert world.standing(program, kind=kind) == {"pause": 3}
    return program, contacts


# The steps behind the wait, the category that the first contact leaves, and whether it leaves the
# sequence within a pass, when its wait is over, or not at all.
CASES: list[tuple[Steps, str, str | None]] = [
    ([mail("a")], "general", "at once"),
    ([mail("a")], "tips", None),
    ([mail("a", category="tips")], "tips", "at once"),
    ([mail("a", category="tips")], "general", None),
    ([mail("a", category="tips", kind="transactional")], "tips", None),
    ([("task", "create_task", {"title": "Call"}), mail("a", category="tips")], "tips", "at once"),
    ([mail("a"), mail("b", category="tips")], "tips", "later"),
    (
        [
            ("fork", "split", {"ways": [{"percent": 50, "next": "a"}, {"percent": 50}]}),
            mail("a", category="tips"),
        ],
        "tips",
        "later",
    ),
]


@pytest.mark.parametrize(("steps", "category", "leaves"), CASES)
def test_a_contact_leaves_with_the_category_of_its_next_message(
    world: ProgramWorld, steps: Steps, category: str, leaves: str | None
) -> None:
    categories(world, general="opt_out", tips="opt_out")
    program, [one, *_] = waiting(world, [WAIT, *steps])
    leave(world, one, category)
    world.move(NEXT, kind="sequence")
    left = [("exited", "unsubscribed", 1)]
    assert world.left(program, kind="sequence") == (left if leaves == "at once" else [])
    world.move(DUE, kind="sequence")
    others = [("completed", None, 3 if leaves is None else 2)]
    assert world.left(program, kind="sequence") == others + ([] if leaves is None else left)


def test_everybody_with_the_address_leaves_and_the_step_says_why(world: ProgramWorld) -> None:
    categories(world, tips="opt_out")
    program, [one, two, three] = waiting(world, [WAIT, mail("a")])
    world.execute(
        "update crm.contacts set email = 'Shared@example.org' where id in (:one, :two)",
        one=one,
        two=two,
    )
    leave(world, one, "tips")
    world.move(NEXT, kind="sequence")
    assert world.left(program, kind="sequence") == [("exited", "unsubscribed", 2)]
    assert world.results(program, kind="sequence") == {("pause", "exited"): 2}
    assert world.rows(
        "select contact_id from lifecycle.enrolments where program_id = :program"
        " and program_kind = 'sequence' and status = 'active'",
        program=program,
    ) == [(three,)]


def test_a_contact_that_came_back_before_the_pass_stays(world: ProgramWorld) -> None:
    categories(world, tips="opt_out")
    program, [one, *_] = waiting(world, [WAIT, mail("a")])
    leave(world, one, "tips")
    leave(world, one, "tips", "subscribed")
    world.move(NEXT, kind="sequence")
    assert world.standing(program, kind="sequence") == {"pause": 3}


@pytest.mark.parametrize("kind", ["campaign", "journey"])
def test_another_program_passes_the_step_with_the_reason(world: ProgramWorld, kind: str) -> None:
    categories(world, tips="opt_out")
    program, [one, *_] = waiting(world, [WAIT, mail("a")], kind)
    leave(world, one, "tips")
    world.move(NEXT, kind=kind)
    assert world.standing(program, kind=kind) == {"pause": 3}
    world.move(DUE, kind=kind)
    assert world.results(program, kind=kind)[("a", "skipped")] == 1
    assert world.messages() == {"a": 2}


def test_a_contact_without_consent_passes_the_step_of_a_sequence(world: ProgramWorld) -> None:
    """It never had a subscription to leave."""
    categories(world, tips="double_opt_in")
    program, [one, two, _] = waiting(world, [WAIT, mail("a")])
    leave(world, one, "tips", "subscribed")
    world.execute(
        "update delivery.subscriptions set state = 'subscribed',"
        ' evidence = \'{"confirmed_at": "2026-01-01"}\' where contact_id = :one',
        one=one,
    )
    leave(world, two, "tips", "unconfirmed")
    world.move(DUE, kind="sequence")
    assert world.left(program, kind="sequence") == [("completed", None, 3)]
    assert world.rows(
        "select result.outcome, result.reason, count(*) from lifecycle.step_results as result"
        " join lifecycle.steps as step on step.id = result.step_id"
        " where step.program_id = :program and step.program_kind = 'sequence'"
        " and step.external_id = 'a' group by 1, 2 order by 1, 2",
        program=program,
    ) == [
        ("done", None, 1),
        ("skipped", "not_subscribed", 1),
        ("skipped", "unconfirmed", 1),
    ]
