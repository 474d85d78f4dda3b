"""Tasks are listed by state, cancelled, and done again or sooner; a worker's task is left alone."""

import datetime as dt
import statistics
import time
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.queueing import dead_letters
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.task_states import (
    STATES,
    TaskNotFoundError,
    WrongStateError,
    cancel,
    list_tasks,
    retry,
    task_state,
)
from marketing_pipelines_tests.queueing.installed import put, recording
from marketing_pipelines_tests.scale import SOAK

FAR = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
FAILED = """
    insert into ops.dead_letters (
        task_id, queue, task, payload, priority, error, attempts, first_failed_at, last_failed_at
    )
    select id, queue_name, task_name, args, priority, 'No.', 4, now(), now()
    from procrastinate_jobs where status = 'failed'
"""


@pytest.fixture
def one_of_each(queue: sa.Engine) -> dict[str, int]:
    """Numbers of tasks by their state."""
    ids = put(queue, "write", 6)
    found = dict(zip(STATES, ids, strict=True))
    with queue.begin() as connection:
        later = "update procrastinate_jobs set scheduled_at = %s where id = %s"
        connection.exec_driver_sql(later, (FAR, found["delayed"]))
        for state, status in [
            ("active", "doing"),
            ("completed", "succeeded"),
            ("failed", "failed"),
        ]:
            connection.exec_driver_sql(
                "update procrastinate_jobs set status = 'doing' where id = %s", (found[state],)
            )
            connection.exec_driver_sql(
                "update procrastinate_jobs set status = %s where id = %s", (status, found[state])
            )
        connection.exec_driver_sql(FAILED)
        cancel(connection, found["cancelled"])
    return found


def test_every_task_is_listed_in_its_one_state(
    queue: sa.Engine, one_of_each: dict[str, int]
) -> None:
    with queue.begin() as connection:
        for state, task_id in one_of_each.items():
            assert [task.id for task in list_tasks(connection, state=state)] == [task_id]
            assert task_state(connection, task_id).state == state
        whole = list_tasks(connection, queue="default", task="recording/write")
        assert {task.state: task.id for task in whole} == one_of_each
        assert list_tasks(connection, queue="crm-events") == []


@pytest.mark.soak
def test_a_hundred_thousand_tasks_are_listed_filtered_and_paged_in_a_fifth_of_a_second(
    queue: sa.Engine,
) -> None:
    number = 100_000 if SOAK else 2_000
    with queue.begin() as connection:
        numbers = sa.select(sa.func.generate_series(1, number).label("number"))
        newest = enqueue(connection, recording("write"), numbers)[-1]
        connection.exec_driver_sql("analyze procrastinate_jobs")
    filters: list[dict[str, Any]] = [
        {},
        {"queue": "default", "state": "waiting"},
        {"queue": "default", "before": newest - number // 2},
        {"queue": "default", "state": "failed"},  # none of them
        {"task": "recording/none"},
    ]
    for chosen in filters:
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            with queue.begin() as connection:
                found = list_tasks(connection, **chosen)
            seconds.append(time.perf_counter() - began)
        assert statistics.median(seconds) <= 0.2, (chosen, seconds)
        is_empty = chosen.get("state") == "failed" or "task" in chosen
        assert len(found) == (0 if is_empty else 100)


@pytest.mark.parametrize("change", [cancel, retry])
def test_a_task_of_a_worker_or_an_ended_one_is_left_alone(
    queue: sa.Engine, one_of_each: dict[str, int], change: type[object]
) -> None:
    for state in ("active", "completed", "cancelled"):
        with queue.begin() as connection, pytest.raises(WrongStateError):
            change(connection, one_of_each[state])
        with queue.begin() as connection:
            assert task_state(connection, one_of_each[state]).state == state
    with queue.begin() as connection, pytest.raises(TaskNotFoundError):
        change(connection, 10_000)


def test_a_delayed_task_becomes_due_and_a_failed_one_comes_again_once(
    queue: sa.Engine, one_of_each: dict[str, int]
) -> None:
    with queue.begin() as connection:
        delayed, failed = one_of_each["delayed"], one_of_each["failed"]
        assert retry(connection, delayed) == f"Task {delayed} is due now."
        assert task_state(connection, one_of_each["delayed"]).state == "waiting"
        said = retry(connection, failed)
        [letter] = dead_letters.dead_letters(connection, state="redriven")
        assert letter.redriven_task_id is not None
        new = letter.redriven_task_id
        assert said == f"Task {failed} is sent back as task {new}."
        assert task_state(connection, new).state == "waiting"
        assert task_state(connection, failed).redriven_task_id == new
        for change in (cancel, retry):
            with pytest.raises(WrongStateError, match=f"was sent back before, as task {new}"):
                change(connection, failed)


def test_a_discarded_task_is_neither_discarded_nor_sent_back_again(
    queue: sa.Engine, one_of_each: dict[str, int]
) -> None:
    with queue.begin() as connection:
        cancel(connection, one_of_each["failed"])
        with pytest.raises(WrongStateError, match="was sent back or discarded before"):
            retry(connection, one_of_each["failed"])


def test_a_failed_task_whose_key_waits_again_is_sent_back_without_a_new_one(
    queue: sa.Engine,
) -> None:
    rows = [{"number": 1}]
    with queue.begin() as connection:
        [first] = enqueue(connection, recording("write"), rows, unique_key=["number"])
        for status in ("doing", "failed"):
            connection.exec_driver_sql(
                "update procrastinate_jobs set status = %s where id = %s", (status, first)
            )
        connection.exec_driver_sql(FAILED)
        connection.exec_driver_sql("update ops.dead_letters set unique_key = 'k'")
        connection.exec_driver_sql(
            "insert into procrastinate_jobs (queue_name, task_name, queueing_lock)"
            " values ('default', 'recording/write', 'k')"
        )
        said = retry(connection, first)
    assert said == f"Task {first} is sent back: a task with its unique key waits already."


def test_a_cancelled_task_frees_its_unique_key_and_its_lock(queue: sa.Engine) -> None:
    rows = [{"number": 1}]
    with queue.begin() as connection:
        [first] = enqueue(connection, recording("write"), rows, unique_key=["number"])
        cancel(connection, first)
        [second] = enqueue(
            connection, recording("write"), rows, unique_key=["number"], lock=["number"]
        )
        assert task_state(connection, second).state == "waiting"


def test_a_payload_is_shown_without_secrets(queue: sa.Engine) -> None:
    [task_id] = put(queue, "write", 1, note="password=hunter22")
    with queue.begin() as connection:
        assert "hunter22" not in str(task_state(connection, task_id).payload)
