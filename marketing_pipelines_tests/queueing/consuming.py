"""The due tasks of queues, done in this process."""

import threading

import sqlalchemy as sa

from marketing_pipelines.domains import load_tasks
from marketing_pipelines.queueing import tasks
from marketing_pipelines.queueing.executor import Attempt
from marketing_pipelines.queueing.outcomes import Claim
from marketing_pipelines.queueing.tasks import Clock, system_clock

_HIRE = sa.text("select worker_id from procrastinate_register_worker_v1()")
_FETCH = sa.text("select (f.task).* from ops.fetch_task(:queue, :worker, null, 0) as f")


def consume(engine: sa.Engine, *queues: str, clock: Clock = system_clock) -> list[str]:
    """Does what is due in the queues, one task after the other; returns the names of the tasks."""
    load_tasks()
    with engine.begin() as connection:
        worker = connection.execute(_HIRE).scalar_one()
    done: list[str] = []
    while attempt := _next(engine, worker, queues, clock):
        attempt.perform()
        done.append(attempt.task_name)
    return done


def _next(engine: sa.Engine, worker: int, queues: tuple[str, ...], clock: Clock) -> Attempt | None:
    for queue in queues:
        with engine.begin() as connection:
            row = connection.execute(_FETCH, {"queue": queue, "worker": worker}).one()
        if row.id is not None:
            return Attempt(
                Claim(row.id, worker),
                tasks.find(row.task_name).queue,
                row.task_name,
                row.args,
                row.attempts,
                engine,
                threading.Event(),
                clock=clock,
            )
    return None
