"""Tasks come into their queue with the rows they speak of, once per key."""

import datetime as dt

import pytest
import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.counts import queue_counts
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.task_states import task_state
from marketing_pipelines_tests.queueing.installed import put, recording, scalar

JOBS = "select count(*) from procrastinate_jobs"
FAR = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def test_a_thousand_rows_are_a_thousand_tasks_in_one_statement(queue: sa.Engine) -> None:
    statements: list[str] = []
    sa.event.listen(queue, "before_cursor_execute", lambda *call: statements.append(call[2]))
    ids = put(queue, "write", 1_000)
    assert len(statements) == 1
    assert len(set(ids)) == 1_000
    assert scalar(queue, "select sum((args ->> 'number')::int) from procrastinate_jobs") == 499_500


def test_a_rolled_back_enqueue_leaves_nothing(queue: sa.Engine) -> None:
    with queue.connect() as connection:
        assert len(enqueue(connection, recording("write"), [{"number": 1}])) == 1
        connection.rollback()
    assert scalar(queue, JOBS) == 0
    assert scalar(queue, "select count(*) from procrastinate_events") == 0


def test_a_select_enqueues_a_task_per_row(queue: sa.Engine) -> None:
    numbers = sa.select(sa.func.generate_series(1, 50).label("number"))
    with queue.begin() as connection:
        ids = enqueue(connection, recording("write"), numbers, priority=7)
    assert len(ids) == 50
    assert scalar(queue, "select sum((args ->> 'number')::int) from procrastinate_jobs") == 1_275
    assert scalar(queue, "select min(priority) from procrastinate_jobs") == 7


def test_of_tasks_with_one_key_the_first_waits_alone(queue: sa.Engine) -> None:
    rows = [{"number": number % 3} for number in range(9)]
    with queue.begin() as connection:
        assert len(enqueue(connection, recording("write"), rows, unique_key=["number"])) == 3
        assert enqueue(connection, recording("write"), rows, unique_key=["number"]) == []
        assert len(enqueue(connection, recording("write"), rows)) == 9
    assert scalar(queue, JOBS) == 12


def test_a_key_that_comes_while_its_task_works_is_a_task_of_its_own(queue: sa.Engine) -> None:
    with queue.begin() as connection:
        [working] = enqueue(connection, recording("write"), [{"number": 1}], unique_key=["number"])
        connection.exec_driver_sql(
            "update procrastinate_jobs set status = 'doing' where id = %s", (working,)
        )
        [next_one] = enqueue(connection, recording("write"), [{"number": 1}], unique_key=["number"])
        assert enqueue(connection, recording("write"), [{"number": 1}], unique_key=["number"]) == []
        assert task_state(connection, next_one).state == "waiting"


def test_different_values_never_make_the_same_key(queue: sa.Engine) -> None:
    rows = [{"a": "x,y", "b": ""}, {"a": "x", "b": "y"}, {"a": 1, "b": None}, {"a": "1", "b": None}]
    with queue.begin() as connection:
        assert len(enqueue(connection, recording("write"), rows, unique_key=["a", "b"])) == 4


def test_a_key_of_a_field_that_the_payload_lacks_is_refused(queue: sa.Engine) -> None:
    with queue.begin() as connection, pytest.raises(BadInputError, match="has no contact"):
        enqueue(connection, recording("write"), [{"number": 1}], unique_key=["contact"])
    column = sa.select(sa.literal(1).label("number"))
    with queue.begin() as connection, pytest.raises(BadInputError, match="has no contact"):
        enqueue(connection, recording("write"), column, lock=["contact"])


def test_a_task_that_is_due_later_is_delayed(queue: sa.Engine) -> None:
    with queue.begin() as connection:
        [task_id] = enqueue(connection, recording("write"), [{"number": 1}], due_at=FAR)
        state = task_state(connection, task_id)
        [count] = [count for count in queue_counts(connection) if count.queue == "default"]
    assert state is not None
    assert (state.state, state.due_at, state.attempts) == ("delayed", FAR, 0)
    assert (count.waiting, count.delayed, count.oldest_seconds) == (0, 1, None)


def test_no_rows_are_no_tasks(queue: sa.Engine) -> None:
    with queue.begin() as connection:
        assert enqueue(connection, recording("write"), []) == []


def test_a_task_that_waits_is_hastened_and_no_worker_takes_it_before_the_commit(
    queue: sa.Engine,
) -> None:
    def put_for(connection: sa.Connection, at: dt.datetime | None) -> list[int]:
        return enqueue(
            connection,
            recording("write"),
            [{"number": 1}],
            due_at=at,
            unique_key=["number"],
            hasten=True,
        )

    due = "select scheduled_at from procrastinate_jobs"
    fetch = sa.text("select (f.task).id from ops.fetch_task('default', null, null, 0) as f")
    with queue.begin() as connection:
        [number] = put_for(connection, FAR)
    with queue.begin() as connection:
        assert put_for(connection, FAR + dt.timedelta(days=1)) == []
    assert scalar(queue, due) == FAR
    with queue.begin() as connection:
        assert put_for(connection, None) == [number]
    assert scalar(queue, due) is None
    with queue.begin() as connection, queue.begin() as fetching:
        assert put_for(connection, None) == []
        assert fetching.execute(fetch).scalar_one() is None
    with queue.begin() as fetching:
        assert fetching.execute(fetch).scalar_one() == number
    assert scalar(queue, JOBS) == 1


def test_hastening_needs_a_key_of_waiting_tasks(queue: sa.Engine) -> None:
    with queue.begin() as connection, pytest.raises(BadInputError, match="needs a unique_key"):
        enqueue(connection, recording("write"), [{"number": 1}], hasten=True)
