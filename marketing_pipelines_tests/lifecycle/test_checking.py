"""Faults of steps are named before contacts come to them."""

import pytest

from marketing_pipelines.domains.lifecycle.checking import problems
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps

MAIL = ("mail", "send_email", {"subject": "Hello", "text": "Hello"})
FORK = "fork"


def told(world: ProgramWorld) -> list[str]:
    """The sentences about the programs of this organization."""
    with world.engine.connect() as connection:
        return [line for line in problems(connection) if f" of {world.name}, " in line]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([MAIL], None),
        ([("a", "wait", {})], "a wait has"),
        (
            [(FORK, "branch", {"rule": {"event": "opened"}, "yes": "ofer"}), MAIL],
            "It leads to 'ofer', which is no step of its program.",
        ),
        (
            [MAIL, (FORK, "branch", {"rule": {"event": "opened"}, "yes": "mail"})],
            "It leads back to 'mail': a step leads only to later ones.",
        ),
        (
            [(FORK, "split", {"ways": [{"percent": 50, "next": "ofer"}, {"percent": 50}]}), MAIL],
            "It leads to 'ofer', which is no step of its program.",
        ),
        (
            [("a", "wait_for", {"event": "opened", "timeout": "1d", "source": "sprin"})],
            "source: there is no campaign 'sprin'.",
        ),
        (
            [(FORK, "branch", {"rule": {"all": [{"segment": "engagd"}]}}), MAIL],
            "segment: there is no segment 'engagd'.",
        ),
    ],
    ids=["nothing", "empty", "no step", "back", "no step of a way", "no campaign", "no segment"],
)
@pytest.mark.parametrize("kind", ["campaign", "journey"])
def test_a_step_that_could_not_be_done_is_named_with_the_reason(
    world: ProgramWorld, kind: str, steps: Steps, reason: str | None
) -> None:
    world.program(steps, kind=kind)
    lines = told(world)
    assert len(lines) == (reason is not None)
    for line in lines:
        assert line.startswith(f"{kind} welcome of {world.name}, step ")
        assert reason is not None
        assert reason in line


@pytest.mark.parametrize(("status", "number"), [("draft", 1), ("paused", 1), ("cancelled", 0)])
def test_only_programs_that_are_not_over_are_looked_at(
    world: ProgramWorld, status: str, number: int
) -> None:
    program = world.program([("a", "wait", {})])
    world.set_status(program, status)
    assert len(told(world)) == number
