"""Passes at the same time share the work, and never wait for each other in a circle."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps, at

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


def test_a_pass_over_several_connections_moves_everybody_once(world: ProgramWorld) -> None:
    setting = ("set", "update_contact", {"set": {"k": 1}})
    programs = [world.program([MAIL, setting], name=f"p{n}") for n in range(3)]
    contacts = world.contacts(400)
    for program in programs:
        world.enrol(program, contacts, at("03-02 10:00"))
    working: set[str] = set()

    def note(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith("-- Writes messages"):
            working.add(threading.current_thread().name)

    with listening(world.engine, note):
        report = world.move(TICK, batch=20, connections=3)
    assert len(working) == 3, working
    assert (report.programs, report.taken, report.ended) == (3, 1_200, {"completed": 1_200})
    assert [world.standing(program) for program in programs] == [{"completed": 400}] * 3
    assert world.messages() == {"mail": 1_200}


def test_as_many_connections_are_opened_as_there_are_batches(world: ProgramWorld) -> None:
    program = world.program([MAIL])
    world.enrol(program, world.contacts(20), at("03-02 10:00"))
    names: set[str] = set()

    def note(_c: Any, *_: Any) -> None:
        names.add(threading.current_thread().name)

    with listening(world.engine, note):
        assert world.move(TICK, batch=20, connections=3).taken == 20
    assert names == {threading.current_thread().name}


def test_a_connection_that_is_lost_fails_the_pass_and_the_next_one_does_what_is_left(
    world: ProgramWorld,
) -> None:
    program = world.program([MAIL])
    world.enrol(program, world.contacts(400), at("03-02 10:00"))
    main = threading.current_thread().name
    batches = iter(range(400))

    def lose(_c: Any, cursor: Any, text: str, *_: Any) -> None:
        """The other connection, in the middle of its second batch."""
        own = threading.current_thread().name != main and text.startswith("-- Writes where")
        if own and next(batches) == 1:
            cursor.execute("select pg_terminate_backend(pg_backend_pid())")

    with listening(world.engine, lose), pytest.raises(sa.exc.OperationalError):
        world.move(TICK, batch=20, connections=2)
    moved = world.standing(program).get("completed", 0)
    assert moved in range(20, 400, 20)
    assert world.messages() == {"mail": moved}
    assert world.move(TICK).taken == 400 - moved
    assert world.messages() == {"mail": 400}


def test_a_pass_that_is_stopped_ends_what_its_other_connections_do(world: ProgramWorld) -> None:
    program = world.program([MAIL])
    world.enrol(program, world.contacts(400), at("03-02 10:00"))
    main = threading.current_thread().name
    asleep = threading.Event()
    ended: list[str] = []

    def sleep_or_stop(_c: Any, cursor: Any, text: str, *_: Any) -> None:
        if not text.startswith("-- Writes where"):
            return
        if threading.current_thread().name == main:
            assert asleep.wait(30)
            raise KeyboardInterrupt
        asleep.set()
        try:
            cursor.execute("select pg_sleep(600)")
        except psycopg.errors.QueryCanceled as error:
            ended.append(type(error).__name__)
            raise

    with listening(world.engine, sleep_or_stop), pytest.raises(KeyboardInterrupt):
        world.move(TICK, batch=20, connections=2)
    assert ended == ["QueryCanceled"]
    assert world.messages() == {}
    assert world.move(TICK).taken == 400


@contextlib.contextmanager
def listening(engine: sa.Engine, listen: Callable[..., None]) -> Iterator[None]:
    """Has something done before each statement."""
    sa.event.listen(engine, "before_cursor_execute", listen)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", listen)
