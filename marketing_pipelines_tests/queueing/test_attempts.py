"""The ends of an attempt, in this process, without a worker around it."""

import datetime as dt
import os
import threading
import time
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from marketing_pipelines.queueing import outcomes, queues, tasks
from marketing_pipelines.queueing.dead_letters import dead_letters
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.executor import Attempt, describe
from marketing_pipelines.queueing.outcomes import Claim, TaskLostError
from marketing_pipelines.queueing.task_states import task_state
from marketing_pipelines.queueing.workers import Process, Share
from marketing_pipelines_tests.queueing.installed import calls, put, recording, scalar
from marketing_pipelines_tests.waiting import until

FETCH = sa.text("select (f.task).* from ops.fetch_task(:queue, :worker, null, 0) as f")
SILENT = dt.timedelta(seconds=20)
LADDERS = {"default": 4, "none": 1}


@dataclass
class FakeWorker:
    """A worker as far as the tables know."""

    engine: sa.Engine
    id: int

    def fetch(self, queue: str = "default") -> Attempt:
        with self.engine.begin() as connection:
            row = connection.execute(FETCH, {"queue": queue, "worker": self.id}).one()
        return Attempt(
            Claim(row.id, self.id),
            queues.find(queue),
            row.task_name,
            row.args,
            row.attempts,
            self.engine,
            threading.Event(),
        )

    def fall_silent(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "update procrastinate_workers"
                    " set last_heartbeat = now() - interval '21 seconds' where id = :id"
                ),
                {"id": self.id},
            )


def hired(engine: sa.Engine) -> FakeWorker:
    with engine.begin() as connection:
        statement = "select worker_id from procrastinate_register_worker_v1()"
        return FakeWorker(engine, connection.exec_driver_sql(statement).scalar_one())


def look_for_the_dead(engine: sa.Engine) -> tuple[int, int]:
    with engine.begin() as connection:
        return outcomes.rescue_stalled(connection, silent_for=SILENT, attempts_of=LADDERS)


def state_of(engine: sa.Engine, task_id: int) -> tuple[str, int]:
    with engine.connect() as connection:
        state = task_state(connection, task_id)
    assert state is not None
    return state.state, state.attempts


def test_a_silent_worker_loses_its_tasks_and_cannot_settle_them(queue: sa.Engine) -> None:
    [task_id] = put(queue, "write")
    paused, other = hired(queue), hired(queue)
    attempt = paused.fetch()
    assert look_for_the_dead(queue) == (0, 0)
    paused.fall_silent()
    assert look_for_the_dead(queue) == (1, 0)
    assert state_of(queue, task_id) == ("waiting", 1)
    again = other.fetch()
    attempt.perform()
    assert state_of(queue, task_id) == ("active", 1)
    with queue.begin() as connection, pytest.raises(TaskLostError, match="another does it"):
        outcomes.finish(connection, attempt.claim)
    again.perform()
    assert state_of(queue, task_id) == ("completed", 2)
    assert calls(queue) == [(task_id, 1), (task_id, 2)]


def test_what_a_lost_worker_writes_in_the_task_s_own_transaction_is_undone(
    queue: sa.Engine,
) -> None:
    [task_id] = put(queue, "write_once")
    paused, other = hired(queue), hired(queue)
    attempt = paused.fetch()
    paused.fall_silent()
    look_for_the_dead(queue)
    again = other.fetch()
    attempt.perform()
    assert calls(queue) == []
    again.perform()
    assert calls(queue) == [(task_id, 2)]


def test_a_task_that_kills_its_workers_ends_as_a_dead_letter(queue: sa.Engine) -> None:
    [task_id] = put(queue, "write")
    for attempt in range(1, 5):
        worker = hired(queue)
        assert worker.fetch().number == attempt
        worker.fall_silent()
        assert look_for_the_dead(queue) == ((1, 0) if attempt < 4 else (0, 1))
    assert look_for_the_dead(queue) == (0, 0)
    assert state_of(queue, task_id) == ("failed", 4)
    with queue.connect() as connection:
        [letter] = dead_letters(connection)
    assert (letter.task_id, letter.attempts, letter.error) == (task_id, 4, outcomes.LOST)
    assert letter.first_failed_at < letter.last_failed_at
    assert scalar(queue, "select count(*) from procrastinate_workers") == 0


def test_a_lost_task_waits_for_a_worker_that_knows_its_queue(queue: sa.Engine) -> None:
    [task_id] = put(queue, "write")
    worker = hired(queue)
    worker.fetch()
    worker.fall_silent()
    with queue.begin() as connection:
        ladders = {"none": 1}
        taken = outcomes.rescue_stalled(connection, silent_for=SILENT, attempts_of=ladders)
    assert taken == (0, 0)
    assert state_of(queue, task_id) == ("active", 0)
    assert look_for_the_dead(queue) == (1, 0)
    assert state_of(queue, task_id) == ("waiting", 1)


def test_lost_tasks_of_one_key_both_come_back(queue: sa.Engine) -> None:
    worker = hired(queue)
    for _ in range(2):
        with queue.begin() as connection:
            enqueue(connection, recording("write"), [{"number": 1}], unique_key=["number"])
        worker.fetch()
    with queue.begin() as connection:
        enqueue(connection, recording("write"), [{"number": 1}], unique_key=["number"])
    worker.fall_silent()
    assert look_for_the_dead(queue) == (2, 0)
    waiting = "select count(*), count(queueing_lock) from procrastinate_jobs where status = 'todo'"
    with queue.connect() as connection:
        assert tuple(connection.exec_driver_sql(waiting).one()) == (3, 1)


def test_a_retry_gives_way_to_a_newer_task_with_its_key(queue: sa.Engine) -> None:
    worker = hired(queue)
    row = [{"number": 1}]
    with queue.begin() as connection:
        enqueue(connection, recording("fail_seconds"), row, unique_key=["number"])
    attempt = worker.fetch("seconds")
    with queue.begin() as connection:
        enqueue(connection, recording("fail_seconds"), row, unique_key=["number"])
    attempt.perform()
    waiting = "select count(*), count(queueing_lock) from procrastinate_jobs where status = 'todo'"
    with queue.connect() as connection:
        assert tuple(connection.exec_driver_sql(waiting).one()) == (2, 1)


def test_a_task_that_takes_too_long_is_stopped_and_has_failed(queue: sa.Engine) -> None:
    [task_id] = put(queue, "sleep_in_steps")
    attempt = hired(queue).fetch()
    thread = threading.Thread(target=attempt.perform)
    thread.start()
    until(lambda: calls(queue), what="it to start")
    attempt.interrupt()
    thread.join(10)
    assert not thread.is_alive()
    assert state_of(queue, task_id) == ("delayed", 1)
    with queue.connect() as connection:
        state = task_state(connection, task_id)
    assert state is not None
    assert state.error == "recording/sleep_in_steps was stopped after 1 s, the time it may take."
    assert state.progress == 0.5


def test_a_task_sees_that_its_time_is_nearly_over(queue: sa.Engine) -> None:
    [task_id] = put(queue, "return_in_time")
    hired(queue).fetch().perform()
    assert calls(queue) == [(task_id, 1)]


def test_a_task_sees_that_its_worker_stops(queue: sa.Engine) -> None:
    [task_id] = put(queue, "stop_worker")
    Process(queue, [Share(queues.DEFAULT, concurrency=1, per_second=None)]).run()
    assert calls(queue, "task_id, attempt, pid") == [(task_id, 1, os.getpid())]
    assert state_of(queue, task_id) == ("completed", 1)


def test_a_statement_ends_with_the_task_s_time(queue: sa.Engine) -> None:
    put(queue, "sleep_in_sql")
    started = time.monotonic()
    hired(queue).fetch().perform()
    assert time.monotonic() - started < 10
    assert "statement timeout" in scalar(queue, "select error from ops.task_attempts")


def test_a_start_that_is_later_than_its_slot_is_given_back(queue: sa.Engine) -> None:
    [task_id] = put(queue, "tell")
    attempt = hired(queue).fetch("crm-events")
    attempt.start_by = time.monotonic() - 0.001
    attempt.perform()
    assert attempt.started_late
    assert calls(queue) == []
    assert state_of(queue, task_id) == ("waiting", 0)


def test_a_task_of_a_domain_that_cannot_be_imported_waits(
    queue: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    [task_id] = put(queue, "write")
    attempt = hired(queue).fetch()
    monkeypatch.setitem(tasks.import_errors, "broken", "SyntaxError: invalid syntax")
    attempt.task_name = "broken/send"
    attempt.perform()
    assert state_of(queue, task_id) == ("delayed", 0)


def test_no_secret_gets_into_a_dead_letter(
    queue: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(queue, "refuse", message="postgresql://me:hunter2-secret@db/x said no, token=abcdef123")
    hired(queue).fetch("none").perform()
    with queue.connect() as connection:
        [letter] = dead_letters(connection)
    assert "said no" in letter.error
    for text in (letter.error, str(letter.traceback)):
        assert "hunter2" not in text
        assert "abcdef123" not in text


def test_what_a_database_cannot_hold_is_left_out_of_an_error(queue: sa.Engine) -> None:
    put(queue, "refuse", message="")
    attempt = hired(queue).fetch("none")
    attempt.payload["message"] = "zero \0 and half a pair \ud800, " + "long " * 10_000
    attempt.perform()
    with queue.connect() as connection:
        [letter] = dead_letters(connection)
    assert letter.error.startswith("zero … and half a pair ?, long")
    assert len(letter.error) == 2_000
    assert len(str(letter.traceback)) == 20_000


def test_a_task_that_wants_to_end_the_process_has_failed(queue: sa.Engine) -> None:
    [task_id] = put(queue, "leave")
    hired(queue).fetch().perform()
    assert state_of(queue, task_id) == ("delayed", 1)
    assert scalar(queue, "select error from ops.task_attempts") == "SystemExit: 3"


def test_an_error_is_told_in_one_sentence() -> None:
    assert describe(RuntimeError("first\nsecond")).error == "RuntimeError: first"
    assert describe(ValueError()).error == "ValueError: no message"
    assert describe(TaskLostError("It is lost.")).error == "It is lost."
