"""The assets that move contacts."""

from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

MAIL = ("hello", "send_email", {"subject": "Hello", "text": "Hello"})


def test_a_campaign_moves_and_a_second_run_of_its_tick_writes_nothing(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program([MAIL, ("pause", "wait", {"for": "1d"})])
    world.enrol(program, world.contacts(3), at("03-02 10:00"))
    tick = instant("2026-03-02T10:05:00+00:00")
    (first,) = installation.run("campaigns/step_progress", at=tick, only=True)
    (second,) = installation.run("campaigns/step_progress", at=tick, only=True)
    assert [(first.status, first.rows), (second.status, second.rows)] == [
        ("COMPLETED", 3),
        ("COMPLETED", 0),
    ]
    assert world.messages() == {"hello": 3}


def test_a_step_that_cannot_be_done_is_a_failed_item_with_its_reason(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    broken = world.program(
        [("fork", "branch", {"rule": {"attribute": "misspelt", "op": "exists"}})]
    )
    fine = world.program([MAIL], name="fine")
    contacts = world.contacts(2)
    world.enrol(broken, contacts, at("03-02 10:00"))
    world.enrol(fine, contacts, at("03-02 10:00"))
    (outcome,) = installation.run(
        "campaigns/step_progress", at=instant("2026-03-02T10:05:00+00:00"), only=True
    )
    assert outcome.status == "COMPLETED"
    assert world.standing(fine) == {"completed": 2}
    assert world.standing(broken) == {"fork": 2}
    assert world.rows("select item, error from ops.item_failures") == [
        (
            "campaign welcome",
            "step fork of campaign welcome: attribute: no contact has or has had 'misspelt'.",
        )
    ]
