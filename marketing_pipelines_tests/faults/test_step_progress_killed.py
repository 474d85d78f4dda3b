"""Two processes move contacts and are killed again and again: nothing is lost, nothing twice."""

import signal
import subprocess
import time
from functools import partial
from random import Random

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.faults.passes import passing
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps, at
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.soak]

CONTACTS, KILLS = (100_000, 20) if SOAK else (2_000, 2)
TICK = "03-02 10:05"
STEPS: Steps = [
    ("hello", "send_email", {"subject": "Hello", "text": "Hello"}),
    ("again", "wait", {"for": "0d"}),
    ("set", "update_contact", {"set": {"lifecycle_stage": "mql"}}),
    ("fork", "branch", {"rule": {"attribute": "half", "op": "=", "value": 1}, "no": "out"}),
    ("call", "create_task", {"title": "Call"}),
    ("text", "send_sms", {"text": "Hello", "next": "end"}),
    ("out", "exit", {"reason": "other half"}),
]


def test_two_passes_killed_again_and_again_do_everything_once(engine: sa.Engine) -> None:
    world = ProgramWorld(engine)
    program = world.program(STEPS)
    contacts = world.contacts(CONTACTS)
    world.execute("update crm.contacts set attributes = jsonb_build_object('half', id % 2)")
    world.enrol(program, contacts, at("03-02 10:00"))
    world.execute("analyze")
    dice = Random(17)
    # As many as the processes do, taken together, before the last of them is killed.
    share = CONTACTS // (KILLS + 4)
    batch = max(share // 6, 1)
    for kill in range(KILLS):
        with passing(TICK, batch) as first, passing(TICK, batch) as second:
            begin(first, second)
            wanted = moved(world) + dice.randint(1, share)
            until(partial(has_moved, world, wanted), what="contacts to be moved")
            time.sleep(dice.random() * 0.02)
            victims = [first, second] if kill % 3 else [dice.choice([first, second])]
            for victim in victims:
                victim.send_signal(signal.SIGKILL)
            for victim in victims:
                assert victim.wait(30) == -signal.SIGKILL
        check(world)
    assert moved(world) < CONTACTS
    with passing(TICK, 5_000) as first, passing(TICK, 5_000) as second:
        begin(first, second)
        for process in (first, second):
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors[-3000:]
    half = CONTACTS // 2
    assert world.left(program) == [("completed", None, half), ("exited", "other half", half)]
    assert world.messages() == {"hello": CONTACTS, "text": half}
    assert world.results(program) == {
        ("hello", "done"): CONTACTS,
        ("again", "done"): CONTACTS,
        ("set", "done"): CONTACTS,
        ("fork", "yes"): half,
        ("fork", "no"): half,
        ("call", "done"): half,
        ("text", "done"): half,
        ("out", "exited"): half,
    }
    assert world.scalar("select count(*) from crm.tasks") == half
    assert (
        world.scalar("select count(*) from crm.contacts where lifecycle_stage = 'mql'") == CONTACTS
    )


def begin(*processes: "subprocess.Popen[str]") -> None:
    """Both at once, when both can."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def has_moved(world: ProgramWorld, wanted: int) -> bool:
    return moved(world) >= wanted


def moved(world: ProgramWorld) -> int:
    return int(world.scalar("select count(*) from lifecycle.enrolments where status <> 'active'"))


def check(world: ProgramWorld) -> None:
    """Commits are whole: a contact has all of its steps behind it, or none."""
    assert world.rows(
        "select entered, active + completed + exited + failed from lifecycle.program_counts"
    ) == [(CONTACTS, CONTACTS)]
    assert world.messages().get("hello", 0) == moved(world)
    assert world.scalar(
        "select count(distinct (step_id, contact_id, rotation)) from delivery.messages"
    ) == sum(world.messages().values())
