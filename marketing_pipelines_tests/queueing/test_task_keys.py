"""A key keeps other tasks out until its task ends, or for some time after its completion."""

import datetime as dt
import threading

import pytest
import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import dead_letters, outcomes
from marketing_pipelines.queueing.control import clean
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.outcomes import AttemptFailure, Claim
from marketing_pipelines.queueing.task_states import cancel
from marketing_pipelines_tests.queueing.installed import recording, scalar

HOUR = dt.timedelta(hours=1)
FAILURE = AttemptFailure("No.", None)


def put(queue: sa.Engine, *numbers: int, unique_for: dt.timedelta | None = None) -> list[int]:
    """Enqueues tasks under keys that last until they end, or longer."""
    rows = [{"number": number} for number in numbers]
    with queue.begin() as connection:
        return enqueue(
            connection,
            recording("write"),
            rows,
            unique_key=["number"],
            unique="unended",
            unique_for=unique_for,
        )


def claim(queue: sa.Engine, task_id: int) -> Claim:
    """Claims the task for a new worker."""
    with queue.begin() as connection:
        worker = connection.exec_driver_sql(
            "insert into procrastinate_workers default values returning id"
        ).scalar_one()
        connection.exec_driver_sql(
            "update procrastinate_jobs set status = 'doing', worker_id = %s where id = %s",
            (worker, task_id),
        )
    return Claim(task_id, worker)


def test_a_key_keeps_others_out_while_its_task_waits_and_while_it_works(queue: sa.Engine) -> None:
    [first, _] = put(queue, 1, 2, 1)
    assert put(queue, 1) == []
    claimed = claim(queue, first)
    assert put(queue, 1, 2) == []
    with queue.begin() as connection:
        outcomes.release(connection, claimed, seconds=5)
    assert put(queue, 1) == []
    with queue.begin() as connection:
        outcomes.finish(connection, claim(queue, first))
    assert len(put(queue, 1, 2)) == 1


def test_a_completed_task_keeps_its_key_for_the_time_that_it_was_given(queue: sa.Engine) -> None:
    [first] = put(queue, 1, unique_for=HOUR)
    with queue.begin() as connection:
        outcomes.finish(connection, claim(queue, first))
    assert put(queue, 1, unique_for=HOUR) == []
    with queue.begin() as connection:
        assert clean(connection, "default", dt.timedelta()) == 1
    assert put(queue, 1, unique_for=HOUR) == [], "purging finished tasks changes nothing"
    with queue.begin() as connection:
        connection.exec_driver_sql("update ops.task_keys set until = until - interval '1 hour'")
    assert len(put(queue, 1, unique_for=HOUR)) == 1


def test_a_dead_letter_a_discard_and_a_cancellation_free_the_key(queue: sa.Engine) -> None:
    [first] = put(queue, 1, unique_for=HOUR)
    with queue.begin() as connection:
        outcomes.bury(connection, claim(queue, first), FAILURE)
    [second] = put(queue, 1, unique_for=HOUR)
    with queue.begin() as connection:
        cancel(connection, second)
    assert len(put(queue, 1)) == 1


def test_a_dead_letter_takes_its_key_again_unless_another_task_has_it(queue: sa.Engine) -> None:
    [first] = put(queue, 1)
    with queue.begin() as connection:
        outcomes.bury(connection, claim(queue, first), FAILURE)
        assert dead_letters.redrive(connection, dead_letters.of_task(connection, first)) == 1
    assert put(queue, 1) == [], "the task that repeats the letter has the key"
    again = scalar(queue, "select redriven_task_id from ops.dead_letters")
    with queue.begin() as connection:
        outcomes.bury(connection, claim(queue, again), FAILURE)
    [newer] = put(queue, 1)
    with queue.begin() as connection:
        assert dead_letters.redrive(connection, dead_letters.of_task(connection, again)) == 1
    assert scalar(queue, "select count(*) from procrastinate_jobs where status = 'todo'") == 1
    assert scalar(queue, "select max(redriven_task_id) from ops.dead_letters") < newer


def test_two_callers_at_once_enqueue_one_task(queue: sa.Engine) -> None:
    found: list[int] = []
    ready = threading.Barrier(2)

    def call() -> None:
        ready.wait()
        found.extend(put(queue, *range(50)))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 50


def test_a_time_without_a_key_is_refused(queue: sa.Engine) -> None:
    with queue.begin() as connection, pytest.raises(BadInputError, match="needs a unique_key"):
        enqueue(connection, recording("write"), [{"number": 1}], unique_for=HOUR)
