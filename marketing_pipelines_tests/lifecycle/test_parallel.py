"""A pass over several connections: shared, stopped, cut, lost, refused."""

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from marketing_pipelines.domains.lifecycle import parallel
from marketing_pipelines.domains.lifecycle.batch_worker import MAX_ATTEMPTS
from marketing_pipelines.stores.postgres import Begin
from marketing_pipelines_tests.faults.proxy import Proxy
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at, connected, listening
from marketing_pipelines_tests.waiting import until

TICK = at("03-02 10:05")
MAIL = ("mail", "send_email", {"subject": "Hello", "text": "Hello"})
SET = ("set", "update_contact", {"set": {"lifecycle_stage": "mql"}})
CLAIM, SEND, WRITE = "-- Takes contacts", "-- Writes messages", "-- Writes the places"


@pytest.fixture
def program(world: ProgramWorld) -> int:
    """A campaign with a mail, for which 400 contacts are due."""
    number = world.program([MAIL])
    world.enrol(number, world.contacts(400), at("03-02 10:00"))
    return number


def is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


class Meeting:
    """Has each thread wait at its first statement that begins so, until all have come."""

    def __init__(self, number: int, text: str) -> None:
        self._barrier = threading.Barrier(number)
        self._text = text
        self._seen = threading.local()

    def __call__(self, _c: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith(self._text) and not hasattr(self._seen, "met"):
            self._seen.met = True
            self._barrier.wait(60)


def test_everybody_is_moved_once(world: ProgramWorld) -> None:
    programs = [world.program([MAIL, SET], name=f"p{n}") for n in range(3)]
    contacts = world.contacts(400)
    for program in programs:
        world.enrol(program, contacts, at("03-02 10:00"))
    with listening(world.engine, Meeting(3, SEND)):
        report = world.move(TICK, batch=20, connections=3)
    assert (report.programs, report.taken, report.ended) == (3, 1_200, {"completed": 1_200})
    assert report.connections == 3
    assert [world.standing(program) for program in programs] == [{"completed": 400}] * 3
    assert world.messages() == {"mail": 1_200}


@pytest.mark.parametrize(("due", "connections"), [(0, 1), (20, 1), (21, 2), (60, 3), (400, 3)])
def test_as_many_connections_are_opened_as_there_are_batches(
    world: ProgramWorld, due: int, connections: int
) -> None:
    program = world.program([MAIL])
    world.enrol(program, world.contacts(due), at("03-02 10:00"))
    opened: list[sa.Connection] = []

    def count(connection: sa.Connection) -> None:
        opened.append(connection)

    sa.event.listen(world.engine, "engine_connect", count)
    try:
        world.move(TICK, batch=20, connections=3)
    finally:
        sa.event.remove(world.engine, "engine_connect", count)
    assert len(opened) == connections


def test_where_no_other_connection_can_be_had_one_moves_everybody(
    world: ProgramWorld, program: int
) -> None:
    nowhere = sa.create_engine(world.engine.url.update_query_dict({"port": "1"}))

    @contextlib.contextmanager
    def extra_connection() -> Iterator[Begin]:
        with nowhere.connect():
            raise AssertionError("there is a server")
        yield

    report = world.move(TICK, batch=20, connections=3, extra_connection=extra_connection)
    assert (report.taken, report.connections) == (400, 1)
    assert world.messages() == {"mail": 400}


def test_a_connection_that_is_lost_fails_the_pass_and_the_next_one_does_what_is_left(
    world: ProgramWorld, program: int
) -> None:
    batches = iter(range(400))
    lost: Queue[int] = Queue()

    def lose(connection: sa.Connection, cursor: Any, text: str, *_: Any) -> None:
        """The other connection is lost in its second batch, while this one is in its first."""
        if not text.startswith(WRITE):
            return
        if is_main():
            pid = lost.get(timeout=60)
            until(lambda: not is_there(world, pid), what="the other to be gone")
            lost.put(pid)
        elif next(batches) == 1:
            driver: Any = connection.connection.driver_connection
            lost.put(driver.info.backend_pid)
            cursor.execute("select pg_terminate_backend(pg_backend_pid())")

    with listening(world.engine, lose), pytest.raises(sa.exc.OperationalError):
        world.move(TICK, batch=20, connections=2)
    moved = world.standing(program).get("completed", 0)
    assert moved in range(20, 400, 20)
    assert world.messages() == {"mail": moved}
    assert world.move(TICK).taken == 400 - moved
    assert world.messages() == {"mail": 400}


def is_there(world: ProgramWorld, pid: int) -> bool:
    """True if the server still has a connection."""
    return bool(world.rows("select 1 from pg_stat_activity where pid = :pid", pid=pid))


def test_a_pass_that_is_stopped_ends_what_the_other_connections_do(
    world: ProgramWorld, program: int
) -> None:
    asleep = threading.Event()
    ended: list[str] = []

    def sleep_or_stop(_c: Any, cursor: Any, text: str, *_: Any) -> None:
        if not text.startswith(WRITE):
            return
        if is_main():
            assert asleep.wait(60)
            raise KeyboardInterrupt
        asleep.set()
        try:
            cursor.execute("select pg_sleep(100)")
        except psycopg.errors.QueryCanceled:
            ended.append("by request")
            raise

    with listening(world.engine, sleep_or_stop), pytest.raises(KeyboardInterrupt):
        world.move(TICK, batch=20, connections=2)
    assert ended == ["by request"]
    assert world.messages() == {}
    assert world.move(TICK).taken == 400


def test_a_stop_while_a_branch_is_asked_is_not_held_against_its_rule(world: ProgramWorld) -> None:
    fork = ("fork", "branch", {"rule": {"event": "opened"}})
    program = world.program([fork, MAIL])
    world.enrol(program, world.contacts(60), at("03-02 10:00"))
    asleep = threading.Event()

    def sleep_or_stop(_c: Any, cursor: Any, text: str, *_: Any) -> None:
        if is_main() and text.startswith(WRITE):
            assert asleep.wait(60)
            raise KeyboardInterrupt
        if not is_main() and text.startswith("INSERT INTO branch_answers"):
            asleep.set()
            cursor.execute("select pg_sleep(100)")

    with listening(world.engine, sleep_or_stop), pytest.raises(KeyboardInterrupt):
        world.move(TICK, batch=20, connections=2)
    assert world.results(program) == {}
    report = world.move(TICK)
    assert (report.taken, report.blocked) == (60, {})


def test_a_connection_that_fell_silent_is_cut(
    world: ProgramWorld, program: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "MAX_REQUESTS", 0)
    own = world.engine.url
    with Proxy.before(Path(str(own.query["host"]))) as proxy:
        far = sa.create_engine(
            make_url(proxy.url(str(own.database))).set(drivername=own.drivername)
        )

        silent = threading.Event()

        def fall_silent(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
            if text.startswith(WRITE):
                proxy.silence()
                silent.set()

        def stop(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
            if text.startswith(WRITE):
                assert silent.wait(60)
                raise KeyboardInterrupt

        with (
            listening(far, fall_silent),
            listening(world.engine, stop),
            pytest.raises(KeyboardInterrupt),
        ):
            world.move(TICK, batch=20, connections=2, extra_connection=partial(connected, far))
        assert not [one for one in threading.enumerate() if one.name.startswith("move")]
    assert world.messages() == {}


def test_where_many_fail_the_connections_together_lose_no_more_than_one_would(
    world: ProgramWorld,
) -> None:
    program = world.program([SET])
    world.enrol(program, world.contacts(200), at("03-02 10:00"))
    with (
        refusing(world, "crm.contacts", "raise exception 'no'"),
        listening(world.engine, Meeting(2, CLAIM)),
    ):
        report = world.move(TICK, batch=50, connections=2)
    assert report.quarantined == 20
    assert world.left(program) == [("failed", "no", 20)]
    assert list(report.blocked) == [f"campaign welcome of {world.name}"]


@pytest.mark.parametrize("collisions", [MAX_ATTEMPTS - 1, MAX_ATTEMPTS])
def test_a_batch_that_another_transaction_is_in_the_way_of_is_tried_again(
    world: ProgramWorld, program: int, collisions: int
) -> None:
    collide = f"if nextval('collisions') <= {collisions} then raise deadlock_detected; end if"
    with refusing(world, "lifecycle.enrolments", collide):
        if collisions == MAX_ATTEMPTS:
            with pytest.raises(sa.exc.OperationalError):
                world.move(TICK)
            assert world.messages() == {}
        assert world.move(TICK).taken == 400
    assert world.messages() == {"mail": 400}


@contextlib.contextmanager
def refusing(world: ProgramWorld, table: str, refusal: str) -> Iterator[None]:
    """Has the server do something before each row of a table is changed."""
    world.execute("create sequence collisions")
    world.execute(
        "create function refuse() returns trigger language plpgsql"
        f" as $$ begin {refusal}; return new; end $$"
    )
    world.execute(
        f"create trigger refuse before update on {table} for each row execute function refuse()"
    )
    try:
        yield
    finally:
        world.execute(f"drop trigger refuse on {table}")
        world.execute("drop function refuse")
        world.execute("drop sequence collisions")
