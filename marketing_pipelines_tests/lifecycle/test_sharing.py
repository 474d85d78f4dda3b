"""Passes at the same time share the work, and never wait for each other in a circle."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps, at, listening

TICK = at("03-02 10:05")
MAIL = ("mail", "send_email", {"subject": "Hello", "text": "Hello"})


def together(*works: Callable[[], Any]) -> list[Any]:
    """Each in a thread of its own, begun at the same moment."""
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], Any]) -> Any:
        barrier.wait(30)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def test_passes_share_the_work_and_do_it_once(world: ProgramWorld) -> None:
    programs = [
        world.program([MAIL, ("set", "update_contact", {"set": {"k": n}})], name=f"p{n}")
        for n in range(3)
    ]
    contacts = world.contacts(400)
    for program in programs:
        world.enrol(program, contacts, at("03-02 10:00"))
    reports = together(*[lambda: world.move(TICK, batch=20)] * 3)
    assert sum(report.taken for report in reports) == 1_200
    assert sum(sum(report.ended.values()) for report in reports) == 1_200
    assert [world.standing(program) for program in programs] == [{"completed": 400}] * 3
    assert world.messages() == {"mail": 1_200}


def test_passes_that_set_the_same_contacts_in_different_orders_do_not_block_each_other(
    world: ProgramWorld,
) -> None:
    """One sets the first contact at once and the second a step later; the other the other way."""
    setting = ("set", "update_contact", {"set": {"k": 1}})
    passed = [("z", "wait", {"for": "0d"})]
    steps: dict[str, Steps] = {"campaign": [*passed, setting], "sequence": [*passed, setting]}
    first, second = world.contacts(2)
    programs = {}
    for kind, (early, late) in {
        "campaign": (first, second),
        "sequence": (second, first),
    }.items():
        programs[kind] = world.program(steps[kind], kind=kind)
        stands = world.scalar(
            "select id from lifecycle.steps where program_kind = :kind and program_id = :program"
            " and external_id = 'set'",
            kind=kind,
            program=programs[kind],
        )
        world.enrol(programs[kind], [early, late], at("03-02 10:00"), kind=kind)
        world.execute(
            "update lifecycle.enrolments set step_id = :step, arrived_at = :at"
            " where program_kind = :kind and program_id = :program and contact_id = :contact",
            step=stands,
            at=at("03-02 10:00"),
            kind=kind,
            program=programs[kind],
            contact=early,
        )
    met = threading.Barrier(2)
    seen = threading.local()

    def meet(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        # After each has set its first contact, before it sets its second.
        if text.startswith("-- Moves contacts to where") and not hasattr(seen, "met"):
            seen.met = True
            # Whoever waits for the contacts that the other has cannot come.
            with contextlib.suppress(threading.BrokenBarrierError):
                met.wait(1)

    with listening(world.engine, meet):
        together(*(lambda kind=kind: world.move(TICK, kind=kind) for kind in programs))
    for kind, program in programs.items():
        assert world.standing(program, kind=kind) == {"completed": 2}
