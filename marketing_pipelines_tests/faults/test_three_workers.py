"""Three worker processes share one PostgreSQL while one after the other is killed."""

import time
from collections import Counter
from contextlib import ExitStack
from statistics import quantiles

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.queueing.installed import calls, put, scalar, workers
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault

# Seconds of load, between two kills, and tasks a second.
LOAD, BETWEEN, RATE = 90, 15, 20
DONE = "select count(*) from procrastinate_jobs where status = 'succeeded'"


@pytest.mark.soak
@soak_only
@pytest.mark.fault(11)
def test_nothing_is_lost_and_only_tasks_of_killed_workers_begin_again(queue: sa.Engine) -> None:
    expected: set[int] = set()
    killed: set[int] = set()
    began = time.monotonic()
    next_kill = began + BETWEEN
    with ExitStack() as stack:
        processes = stack.enter_context(workers(3))
        while (now := time.monotonic()) < began + LOAD:
            expected.update(put(queue, "write_once", RATE // 2))
            expected.update(put(queue, "write", RATE - RATE // 2))
            if now >= next_kill:
                next_kill += BETWEEN
                victim = processes.pop(0)
                victim.kill()
                victim.wait(30)
                killed.add(victim.pid)
                processes += stack.enter_context(workers(1))
            time.sleep(max(0.0, now + 1 - time.monotonic()))
        until(lambda: scalar(queue, DONE) == len(expected), seconds=300, what="the tasks")
    recorded = Counter(task for task, _ in calls(queue))
    assert set(recorded) == expected, "no task is lost, none is invented"
    assert len(killed) == (LOAD - 1) // BETWEEN
    doubled = {task for task, count in recorded.items() if count > 1}
    with queue.connect() as connection:
        # A task whose effect is in its own transaction is never doubled.
        names = connection.execute(
            sa.text("select distinct task_name from procrastinate_jobs where id = any(:ids)"),
            {"ids": list(doubled)},
        ).scalars()
        assert set(names) <= {"recording/write"}
    holders = {task: pid for task, pid in calls(queue, "task_id, pid") if pid in killed}
    assert doubled <= holders.keys(), "only a killed worker's task begins again"
    print(percentiles(queue))


def percentiles(engine: sa.Engine) -> str:
    """The time between a task's entry into the queue and its first start."""
    with engine.connect() as connection:
        waits = connection.exec_driver_sql(
            "select extract(epoch from min(r.started_at) - min(e.at)) from ops.recorded r"
            " join procrastinate_events e on e.job_id = r.task_id and e.type = 'deferred'"
            " group by r.task_id"
        ).scalars()
        cuts = quantiles([float(wait) for wait in waits], n=100)
    return "wait in the queue: " + ", ".join(f"p{at} {cuts[at - 1]:.3f} s" for at in (50, 95, 99))
