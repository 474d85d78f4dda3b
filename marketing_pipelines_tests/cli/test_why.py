"""`why` of programs, as somebody at a terminal uses it."""

import pytest

from marketing_pipelines_tests.cli.console import call_here, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

MAIL = ("hello", "send_email", {"subject": "Hello", "text": "Hello"})


@pytest.fixture
def world(installation: Installation) -> ProgramWorld:
    found = ProgramWorld(installation.engine)
    program = found.program([MAIL, ("pause", "wait", {"for": "1d"})])
    found.enrol(program, found.contacts(1), at("03-02 10:00"))
    found.move(at("03-02 10:05"))
    return found


def test_each_step_with_its_reason_and_what_is_next(world: ProgramWorld) -> None:
    asked = ("why", "--contact", "c1", "--campaign", "welcome", "--organization", "acme")
    hello = (
        "  2026-03-02T10:05:00Z  hello (send_email): done  ← message 1 is queued, to be sent from "
        "2026-03-02T10:05:00Z on"
    )
    assert call_here(*asked).stdout.splitlines() == [
        "c1 is in campaign welcome, which is active.",
        "It entered at 2026-03-02T10:00:00Z.",
        hello,
        "It stands at step pause (wait) since 2026-03-02T10:05:00Z.",
        "It is due since 2026-03-03T10:05:00Z: at the next pass it has completed the campaign.",
    ]
    world.move(at("03-03 10:05"))
    assert call_here(*asked).stdout.splitlines() == [
        "c1 was in campaign welcome, which is active.",
        "It entered at 2026-03-02T10:00:00Z.",
        hello,
        "  2026-03-03T10:05:00Z  pause (wait): done",
        "It completed at 2026-03-03T10:05:00Z.",
    ]


def test_who_never_was_and_several_times(world: ProgramWorld) -> None:
    journey = world.program([("stop", "exit", {})], kind="journey", name="onboarding")
    asked = ("why", "--contact", "c1", "--journey", "onboarding")
    assert call_here(*asked).stdout.splitlines() == [
        "c1 never was in journey onboarding, which is active.",
        "No trigger enrols contacts in the journey: load one, or enrol the contact.",
    ]
    for rotation in (1, 2):
        world.enrol(journey, [1], at("03-02 10:00"), kind="journey", rotation=rotation)
    world.move(at("03-02 10:05"), kind="journey")
    left = [
        "It entered at 2026-03-02T10:00:00Z.",
        "  2026-03-02T10:05:00Z  stop (exit): exited  ← it came to an exit",
        "It exited at 2026-03-02T10:05:00Z: it came to an exit.",
    ]
    assert call_here(*asked).stdout.splitlines() == [
        "c1 was in journey onboarding, which is active.",
        "Time 1:",
        *left,
        "Time 2:",
        *left,
    ]


def test_one_place_is_asked_about(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--campaign", "welcome", "--segment", "s")
    assert refusal_here(capsys, "why", "--contact", "c1", *options, code=2) == (
        "Name one of --campaign, --journey, --sequence and --segment."
    )


def test_a_program_that_is_not_there_is_one_sentence(
    world: ProgramWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal_here(capsys, "why", "--contact", "c1", "--sequence", "welcome") == (
        "There is no sequence 'welcome': give its external id or its number."
    )
