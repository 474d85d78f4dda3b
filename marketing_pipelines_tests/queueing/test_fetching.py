"""A worker gets the task that is due first, and learns when it should ask again."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.queueing import control, outcomes
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.outcomes import AttemptFailure, Claim
from marketing_pipelines_tests.queueing.installed import put, recording

FETCH = sa.text(
    "select (fetched.task).id, fetched.wait_seconds as wait"
    " from ops.fetch_task(:queue, :worker, :per_second, 0.05) as fetched"
)


@pytest.fixture
def worker(queue: sa.Engine) -> int:
    """The number of a registered worker."""
    with queue.begin() as connection:
        statement = "select worker_id from procrastinate_register_worker_v1()"
        return int(connection.exec_driver_sql(statement).scalar_one())


def fetch(engine: sa.Engine, worker: int, queue: str = "default", limit: int | None = None) -> Any:
    with engine.begin() as connection:
        values = {"queue": queue, "worker": worker, "per_second": limit}
        return connection.execute(FETCH, values).one()


def test_the_highest_priority_comes_first_and_then_what_was_enqueued_first(
    queue: sa.Engine, worker: int
) -> None:
    with queue.begin() as connection:
        ids = [
            enqueue(connection, recording("write"), [{"number": 1}], priority=priority)[0]
            for priority in (0, 5, 0, 5, -1)
        ]
    got = [fetch(queue, worker).id for _ in range(6)]
    assert got == [ids[1], ids[3], ids[0], ids[2], ids[4], None]


def test_a_delayed_task_is_not_there_yet_and_says_when_it_will_be(
    queue: sa.Engine, worker: int
) -> None:
    due_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100)
    with queue.begin() as connection:
        enqueue(connection, recording("write"), [{"number": 1}], due_at=due_at)
    got = fetch(queue, worker)
    assert got.id is None
    assert 90 < got.wait <= 100
    with queue.begin() as connection:
        connection.exec_driver_sql("update procrastinate_jobs set scheduled_at = now()")
    assert fetch(queue, worker).id is not None
    assert tuple(fetch(queue, worker)) == (None, None)


def test_of_one_lock_the_later_waits_while_the_earlier_works_or_waits_for_its_next_attempt(
    queue: sa.Engine, worker: int
) -> None:
    rows = [{"number": 1, "contact": contact} for contact in ("ann", "ann", "bob")]
    with queue.begin() as connection:
        ann, later, bob = enqueue(connection, recording("write"), rows, lock=["contact"])
    assert [fetch(queue, worker).id for _ in range(3)] == [ann, bob, None]
    failure = AttemptFailure("RuntimeError: no", None)
    with queue.begin() as connection:
        outcomes.retry(connection, Claim(ann, worker), failure, seconds=100)
    assert fetch(queue, worker).id is None
    with queue.begin() as connection:
        connection.exec_driver_sql("update procrastinate_jobs set scheduled_at = null")
    assert fetch(queue, worker).id == ann
    with queue.begin() as connection:
        outcomes.bury(connection, Claim(ann, worker), failure)
    assert fetch(queue, worker).id == later


def test_nothing_of_a_paused_queue_is_fetched(queue: sa.Engine, worker: int) -> None:
    put(queue, "write")
    with queue.begin() as connection:
        control.pause(connection, "default")
    for limit in (None, 5):
        assert tuple(fetch(queue, worker, limit=limit)) == (None, None)
    with queue.begin() as connection:
        control.resume(connection, "default")
    assert fetch(queue, worker).id is not None


def test_the_limit_counts_starts_of_the_last_second_and_says_when_there_is_room(
    queue: sa.Engine, worker: int
) -> None:
    put(queue, "tell", 4)
    # Room for one: two started within the last second, one before it.
    state = (
        "insert into ops.queue_states (queue, starts) values ('crm-events', array["
        "now() - interval '0.2 s', now() - interval '0.4 s', now() - interval '1.2 s'])"
    )
    with queue.begin() as connection:
        connection.exec_driver_sql(state)
        values = {"queue": "crm-events", "worker": worker, "per_second": 3}
        assert connection.execute(FETCH, values).one().id is not None
        full = connection.execute(FETCH, values).one()
        assert full.id is None
        assert 0.3 < full.wait <= 0.6
        starts = "select cardinality(starts) from ops.queue_states where queue = 'crm-events'"
        assert connection.exec_driver_sql(starts).scalar_one() == 3


def test_starts_of_a_clock_that_went_back_do_not_block_the_queue(
    queue: sa.Engine, worker: int
) -> None:
    put(queue, "tell")
    with queue.begin() as connection:
        connection.exec_driver_sql(
            "insert into ops.queue_states (queue, starts)"
            " values ('crm-events', array_fill(now() + interval '1 h', array[5]))"
        )
    assert fetch(queue, worker, "crm-events", 5).id is not None


def test_a_limited_queue_that_nobody_has_counted_yet_is_limited_from_its_first_task(
    queue: sa.Engine, worker: int
) -> None:
    put(queue, "tell", 3)
    with queue.begin() as connection:
        values = {"queue": "crm-events", "worker": worker, "per_second": 2}
        got = [connection.execute(FETCH, values).one().id is None for _ in range(3)]
    assert got == [False, False, True]
