"""Queues survive failing tasks, killed and stopped workers, and share one limit."""

import signal
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
import sqlalchemy as sa

from marketing_pipelines.queueing import control, dead_letters, queues
from marketing_pipelines.queueing.counts import QueueCount, queue_counts
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.task_states import task_state
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines_tests.faults.proxy import Proxy
from marketing_pipelines_tests.queueing.installed import (
    calls,
    drain,
    put,
    recording,
    scalar,
    workers,
)
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault

LIMITED, SECONDS_AT_LEAST = (300, 59) if SOAK else (15, 2)
MANY = 20_000 if SOAK else 60
LADDERS = ("seconds", "long", "fixed", "linear", "none") if SOAK else ("seconds", "none")
# From the instant a task is due until its first line: most tasks, and any on a busy machine.
LATENCY, WORST_LATENCY = 1.5, 10.0


def counted(engine: sa.Engine, queue: str) -> QueueCount:
    with engine.connect() as connection:
        [found] = [count for count in queue_counts(connection) if count.queue == queue]
    return found


def letters(engine: sa.Engine, state: str | None = "dead") -> list[dead_letters.DeadLetter]:
    with engine.connect() as connection:
        return dead_letters.dead_letters(connection, state=state)


@pytest.mark.fault(13)
def test_every_ladder_waits_as_listed_and_ends_in_one_dead_letter(queue: sa.Engine) -> None:
    tasks = {name: put(queue, f"fail_{name}", 3) for name in LADDERS}
    options = [word for name in LADDERS for word in ("--queue", name)]
    with workers(2, *options) as processes:
        until(lambda: len(letters(queue)) == 3 * len(LADDERS), seconds=200, what="dead letters")
        for process in processes:
            process.terminate()
            process.communicate(timeout=60)
    for name, ids in tasks.items():
        ladder = queues.find(name).retry
        late: list[float] = []
        for task_id in ids:
            starts = calls(queue, "started_at, task_id, attempt")
            own = [(start, attempt) for start, task, attempt in starts if task == task_id]
            assert [attempt for _, attempt in own] == list(range(1, ladder.attempts + 1))
            waits = [(after - before).total_seconds() for (before, _), (after, _) in pairwise(own)]
            for listed, waited in zip(ladder.delays, waits, strict=True):
                assert waited >= listed, (name, waits)
                late.append(waited - listed * (1 + ladder.jitter))
        assert max(late, default=0) <= WORST_LATENCY, (name, late)
        assert median(late or [0]) <= LATENCY, (name, late)
    found = {letter.task_id: letter for letter in letters(queue, None)}
    assert set(found) == {task_id for ids in tasks.values() for task_id in ids}
    for name, ids in tasks.items():
        for task_id in ids:
            letter, ladder = found[task_id], queues.find(name).retry
            assert (letter.queue, letter.attempts, letter.state) == (
                name,
                ladder.attempts,
                "dead",
            )
            assert letter.error == f"RuntimeError: attempt {ladder.attempts} failed"
            assert 'raise RuntimeError(f"attempt' in str(letter.traceback)
            waited = (letter.last_failed_at - letter.first_failed_at).total_seconds()
            assert waited >= sum(ladder.delays)


@pytest.mark.fault(14)
def test_a_permanent_error_is_a_dead_letter_at_once(queue: sa.Engine) -> None:
    [task_id] = put(queue, "refuse_early")
    drain("--queue", "default")
    assert calls(queue) == [(task_id, 1)]
    [letter] = letters(queue)
    assert (letter.error, letter.attempts) == ("The address is suppressed.", 1)
    with queue.connect() as connection:
        state = task_state(connection, task_id)
    assert state is not None
    assert (state.state, state.attempts, state.error) == ("failed", 1, letter.error)


@pytest.mark.fault(14)
def test_a_task_that_nothing_declares_is_a_dead_letter_and_not_a_crash(queue: sa.Engine) -> None:
    put(queue, "write")
    with queue.begin() as connection:
        connection.exec_driver_sql("update procrastinate_jobs set task_name = 'gone/away'")
    put(queue, "write")
    drain("--queue", "default")
    [letter] = letters(queue)
    assert letter.error.startswith("No domain of this release declares the task gone/away: ")
    assert len(calls(queue)) == 1


@pytest.mark.fault(15)
def test_snoozing_consumes_no_attempt(queue: sa.Engine, tmp_path: Path) -> None:
    [task_id] = put(queue, "put_off", times=3, path=str(tmp_path / "calls"))
    with workers(1, "--queue", "none"):
        until(lambda: counted(queue, "none").completed == 1, what="the task to be done")
    assert calls(queue) == [(task_id, 1)] * 4
    assert scalar(queue, "select attempts from procrastinate_jobs") == 1
    starts = [start for (start,) in calls(queue, "started_at")]
    assert all((after - before).total_seconds() >= 0.3 for before, after in pairwise(starts))


@pytest.mark.fault(15, 31)
@pytest.mark.soak
def test_three_workers_never_start_more_in_any_second_than_the_limit_says(
    queue: sa.Engine,
) -> None:
    put(queue, "tell", LIMITED)
    with workers(3, "--queue", "crm-events", "--concurrency", "5"):
        until(
            lambda: counted(queue, "crm-events").completed == LIMITED,
            seconds=LIMITED * 3,
            what="the tasks to be done",
        )
    starts = [start.timestamp() for (start,) in calls(queue, "started_at")]
    assert len(starts) == LIMITED
    assert starts[-1] - starts[0] >= SECONDS_AT_LEAST
    assert most_in_any_second(starts) <= 5
    assert len({pid for (pid,) in calls(queue, "pid")}) > 1
    assert {attempt for (attempt,) in calls(queue, "attempt")} == {1}


def most_in_any_second(starts: list[float]) -> int:
    return max(sum(first <= start < first + 1 for start in starts) for first in starts)


@pytest.mark.fault(7)
def test_workers_listen_again_when_the_server_is_back_and_stop_without_tracebacks(
    queue: sa.Engine, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy.before(server.socket_dir) as proxy:
        monkeypatch.setenv("MARKETING_DATABASE_URL", proxy.url(str(queue.url.database)))
        with workers(1, "--queue", "none", "--queue", "default") as [process]:
            until(lambda: len(listening(queue)) == 2, what="the worker to listen")
            proxy.cut(and_refuse=True)
            until(lambda: not listening(queue), what="the server to notice")
            proxy.accept_again()
            until(lambda: len(listening(queue)) == 2, seconds=30, what="it to listen again")
            [task_id] = put(queue, "write")
            until(lambda: calls(queue) == [(task_id, 1)], what="the task to be done")
            process.terminate()
            printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in printed


def listening(engine: sa.Engine) -> list[int]:
    """The server processes over which workers of this database listen."""
    query = sa.text(
        "select pid from pg_stat_activity where datname = current_database()"
        " and application_name = 'marketing-pipelines worker' and query ilike 'listen%'"
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


@pytest.mark.fault(16)
def test_dead_letters_go_back_once_and_a_second_time_is_nothing(queue: sa.Engine) -> None:
    rows = [{"number": number, "message": f"number {number}"} for number in range(6)]
    with queue.begin() as connection:
        enqueue(connection, recording("refuse"), rows, unique_key=["number"])
    drain("--queue", "none")
    oldest_first = sorted(letters(queue), key=lambda letter: letter.id)
    assert len(oldest_first) == 6
    of_queue = dead_letters.LetterFilter
    with queue.begin() as connection:
        assert dead_letters.redrive(connection, wanted=of_queue("default")) == 0
        assert dead_letters.redrive(connection, wanted=of_queue("none"), limit=2) == 2
        ids = [letter.id for letter in oldest_first[:3]]
        assert dead_letters.redrive(connection, ids) == 1
        assert dead_letters.redrive(connection, ids) == 0
        assert dead_letters.discard(connection, [oldest_first[3].id, ids[0]]) == 1
        # One waits under the key of the fifth: that one does the work.
        enqueue(connection, recording("refuse"), [oldest_first[4].payload], unique_key=["number"])
        assert dead_letters.redrive(connection) == 2
        assert dead_letters.redrive(connection) == 0
    states = Counter(letter.state for letter in letters(queue, None))
    assert states == {"redriven": 5, "discarded": 1}
    assert [letter.redriven_task_id is None for letter in sorted_by_id(queue)] == [
        False, False, False, True, True, False,
    ]  # fmt: skip
    drain("--queue", "none")
    discarded = oldest_first[3].payload["number"]
    assert Counter(number for (number,) in calls(queue, "number")) == {
        number: 1 if number == discarded else 2 for number in range(6)
    }
    assert {attempt for (attempt,) in calls(queue, "attempt")} == {1}


def sorted_by_id(engine: sa.Engine) -> list[dead_letters.DeadLetter]:
    return sorted(letters(engine, None), key=lambda letter: letter.id)


@pytest.mark.soak
def test_a_killed_worker_loses_nothing_and_only_what_it_held_is_repeated(
    queue: sa.Engine,
) -> None:
    ids = put(queue, "write", MANY)
    with workers(3, "--queue", "default") as processes:
        until(
            lambda: counted(queue, "default").completed > MANY // 2,
            seconds=300,
            what="half of them",
        )
        busy = {pid for (pid,) in calls(queue, "pid")}
        victim = next(process for process in processes if process.pid in busy)
        victim.send_signal(signal.SIGKILL)
        victim.wait(30)
        until(
            lambda: counted(queue, "default").completed == MANY,
            seconds=300,
            what="all of them to be done",
        )
    made = calls(queue, "task_id, pid")
    assert {task_id for task_id, _ in made} == set(ids)
    repeated = {task_id for task_id, times in Counter(t for t, _ in made).items() if times > 1}
    by_victim = {task_id for task_id, pid in made if pid == victim.pid}
    assert repeated <= by_victim
    assert len(repeated) <= 3
    assert letters(queue) == []
    assert scalar(queue, "select count(*) from procrastinate_jobs where attempts > 2") == 0


def waiting_workers(engine: sa.Engine) -> int:
    """The number of workers that have registered."""
    return int(scalar(engine, "select count(*) from procrastinate_workers"))


def done_by_any(engine: sa.Engine, processes: list["subprocess.Popen[str]"]) -> int:
    """The number of tasks done; 0 until every worker has done one."""
    if {pid for (pid,) in calls(engine, "pid")} != {process.pid for process in processes}:
        return 0
    return counted(engine, "default").completed


@pytest.mark.soak
@soak_only
def test_a_task_that_ends_in_its_own_transaction_is_done_once_whoever_is_killed(
    queue: sa.Engine,
) -> None:
    with workers(2, "--queue", "default") as processes:
        # One alone could do all of them before the other has started.
        until(lambda: waiting_workers(queue) == 2, what="the workers to start")
        ids = put(queue, "write_once", MANY // 4)
        until(lambda: done_by_any(queue, processes) > MANY // 16, what="a quarter")
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait(30)
        until(
            lambda: counted(queue, "default").completed == len(ids),
            seconds=120,
            what="all of them to be done",
        )
    assert sorted(task_id for (task_id,) in calls(queue, "task_id")) == sorted(ids)


@pytest.mark.fault(5)
def test_a_worker_that_was_frozen_cannot_settle_what_another_did_and_works_on(
    queue: sa.Engine,
) -> None:
    [task_id] = put(queue, "write_once", after=2.0)
    reported = "select count(*) from ops.task_attempts where progress = 0.5"
    with workers(1, "--queue", "default") as [frozen], workers(1, "--queue", "none"):
        until(lambda: scalar(queue, reported), what="it to be in hand")
        frozen.send_signal(signal.SIGSTOP)
        # The other worker serves another queue, and keeps house for all.
        until(lambda: counted(queue, "default").waiting == 1, what="it to be taken away")
        with workers(1, "--queue", "default") as [other]:
            until(lambda: counted(queue, "default").completed == 1, what="another to do it")
            other.terminate()
            other.communicate(timeout=60)
        frozen.send_signal(signal.SIGCONT)
        more = put(queue, "write", 3)
        until(lambda: counted(queue, "default").completed == 4, what="it to work on")
        frozen.terminate()
        printed, _ = frozen.communicate(timeout=60)
    assert f"Task {task_id} no longer belongs to worker" in printed
    assert sorted(calls(queue)) == [(task_id, 2), *((one, 1) for one in more)]
    assert {pid for pid, task in calls(queue, "pid, task_id") if task != task_id} == {frozen.pid}


@pytest.mark.fault(43)
def test_a_stopped_worker_finishes_what_it_has_in_hand_and_takes_no_more(
    queue: sa.Engine,
) -> None:
    put(queue, "sleep", 6, seconds=2.0)
    with workers(1, "--queue", "default") as [process]:
        until(lambda: len(calls(queue)) >= 3, what="three to be in hand")
        process.terminate()
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    count = counted(queue, "default")
    assert (count.completed, count.waiting, count.active) == (3, 3, 0)
    assert len(calls(queue)) == 3


@pytest.mark.soak
@soak_only
@pytest.mark.fault(43)
def test_what_outlasts_the_grace_is_given_back_without_an_attempt(queue: sa.Engine) -> None:
    [task_id] = put(queue, "sleep", seconds=60.0)
    with workers(1, "--queue", "default") as [process]:
        until(lambda: len(calls(queue)) == 1, what="it to be in hand")
        process.terminate()
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    with queue.begin() as connection:
        state = task_state(connection, task_id)
        assert state is not None
        assert (state.state in ("waiting", "delayed"), state.attempts) == (True, 0)
        connection.exec_driver_sql(
            """update procrastinate_jobs set args = '{"number": 0, "seconds": 0}'"""
        )
    with workers(1, "--queue", "default"):
        until(lambda: counted(queue, "default").completed == 1, what="another to do it")
    assert calls(queue) == [(task_id, 1), (task_id, 1)]


def test_a_paused_queue_starts_nothing_and_goes_on_after_resume(queue: sa.Engine) -> None:
    with queue.begin() as connection:
        assert control.pause(connection, "default")
        assert not control.pause(connection, "default")
    put(queue, "write", 5)
    put(queue, "fail_none", 1)
    with workers(1, "--queue", "default", "--queue", "none"):
        until(lambda: letters(queue), what="the other queue to work")
        assert (counted(queue, "default").waiting, counted(queue, "default").paused) == (5, True)
        with queue.begin() as connection:
            assert control.resume(connection, "default")
            assert not control.resume(connection, "default")
        until(lambda: counted(queue, "default").completed == 5, what="it to go on")


def test_a_worker_whose_connections_are_cut_settles_what_it_has_and_goes_on(
    queue: sa.Engine,
) -> None:
    [slow] = put(queue, "sleep", seconds=2.0)
    with workers(1, "--queue", "default") as [process]:
        reported = "select count(*) from ops.task_attempts where progress = 0.5"
        until(lambda: scalar(queue, reported), what="one to be in hand")
        with queue.begin() as connection:
            cut = connection.exec_driver_sql(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where application_name = 'marketing-pipelines worker'"
                " and datname = current_database()"
            ).scalar_one()
        assert cut >= 2
        put(queue, "write", 5)
        until(lambda: counted(queue, "default").completed == 6, what="all to be done")
        assert process.poll() is None
    assert Counter(calls(queue))[(slow, 1)] == 1
    assert scalar(queue, "select max(attempts) from procrastinate_jobs") == 1


def test_a_worker_that_drains_ends_although_it_could_not_look_for_a_while(
    queue: sa.Engine,
) -> None:
    put(queue, "sleep", seconds=1.0)
    with workers(1, "--queue", "default", "--concurrency", "1", "--drain") as [process]:
        until(lambda: calls(queue), what="it to be in hand")
        for old, new in (("queue_states", "away"), ("away", "queue_states")):
            with queue.begin() as connection:
                connection.exec_driver_sql(f"alter table ops.{old} rename to {new}")
            # It looks every fifth of a second.
            time.sleep(0.5)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert "Looking for due tasks failed" in printed
    assert counted(queue, "default").completed == 1


@pytest.mark.soak
@soak_only
def test_a_task_that_nothing_interrupts_fails_and_ends_its_worker(queue: sa.Engine) -> None:
    [task_id] = put(queue, "sleep_in_one_piece")
    with workers(1, "--queue", "none") as [process]:
        printed, _ = process.communicate(timeout=100)
    assert process.returncode == 1, printed
    assert "does not stop: the worker ends." in printed
    [letter] = letters(queue)
    assert (letter.task_id, letter.attempts) == (task_id, 1)
    assert letter.error.endswith("was stopped after 1 s, the time it may take.")
