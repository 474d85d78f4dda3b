"""Each task records its call as its first act, at the instant it has on its own clock."""

import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tasks import CRM_EVENTS
from marketing_pipelines.failures import PermanentError
from marketing_pipelines.queueing.bus import BusEvent, consumer
from marketing_pipelines.queueing.queues import DEFAULT, Queue, declare
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.queueing.tasks import Snooze, TaskContext, task

LADDERS = {
    "seconds": declare(Queue("seconds", 20, retry=Retry.listed(1, 2, 4))),
    "long": declare(Queue("long", 20, retry=Retry.listed(1, 5, 30))),
    "fixed": declare(Queue("fixed", 20, retry=Retry.fixed(5, times=2))),
    "linear": declare(Queue("linear", 20, retry=Retry.linear(2, times=3))),
    "none": declare(Queue("none", 20, retry=Retry.listed())),
}
_RECORD = sa.text(
    "insert into ops.recorded (task_id, attempt, number, started_at, pid)"
    " values (:task_id, :attempt, :number, :started_at, :pid)"
)


def record(context: TaskContext, number: int) -> None:
    """Writes down the call in a transaction of its own."""
    with context.engine.begin() as connection:
        write_call(connection, context, number)


def write_call(connection: sa.Connection, context: TaskContext, number: int) -> None:
    """Writes down the call."""
    values = {
        "task_id": context.task_id,
        "attempt": context.attempt,
        "number": number,
        "started_at": datetime.now(UTC),
        "pid": os.getpid(),
    }
    connection.execute(_RECORD, values)


@task(queue=DEFAULT)
def do_nothing(context: TaskContext, number: int) -> None:
    """Costs only what every task costs."""


@task(queue=DEFAULT)
def write(context: TaskContext, number: int) -> None:
    """Writes down the call, and is done."""
    record(context, number)


@task(queue=DEFAULT)
def write_once(context: TaskContext, number: int, after: float = 0.0) -> None:
    """Writes in the transaction that ends the task, and says before that it is at it."""
    if after:
        context.progress(0.5)
        time.sleep(after)
    with context.finishing() as connection:
        write_call(connection, context, number)


@task(queue=CRM_EVENTS)
def tell(context: TaskContext, number: int) -> None:
    """The same on the queue whose starts are limited."""
    record(context, number)


@task(queue=DEFAULT)
def sleep(context: TaskContext, number: int, seconds: float) -> None:
    """Takes its time."""
    record(context, number)
    context.progress(0.5)
    time.sleep(seconds)


@task(queue=DEFAULT)
def stop_worker(context: TaskContext, number: int) -> None:
    """Stops the process that calls it, as an operator does, and returns when it should."""
    assert not context.should_return()
    os.kill(os.getpid(), signal.SIGTERM)
    assert context.worker_stops.wait(60)
    if context.should_return():
        record(context, number)


@task(queue=DEFAULT, timeout=timedelta(seconds=0.2))
def return_in_time(context: TaskContext, number: int) -> None:
    """Works until its time is nearly over."""
    while not context.should_return():
        time.sleep(0.005)
    record(context, number)


@task(queue=DEFAULT)
def kill_worker(context: TaskContext, number: int) -> None:
    """Ends the process that calls it."""
    record(context, number)
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue=LADDERS["none"])
def refuse(context: TaskContext, number: int, message: str) -> None:
    """Cannot ever be done."""
    record(context, number)
    raise PermanentError(message)


@task(queue=DEFAULT)
def leave(context: TaskContext, number: int) -> None:
    """Believes that it is alone."""
    sys.exit(3)


@task(queue=DEFAULT)
def refuse_early(context: TaskContext, number: int) -> None:
    """Cannot ever be done, on a queue that tries again."""
    record(context, number)
    raise PermanentError("The address is suppressed.")


@task(queue=LADDERS["none"])
def put_off(context: TaskContext, number: int, times: int, path: str) -> None:
    """Snoozes so many times, then is done; the file remembers."""
    record(context, number)
    with open(path, "a+") as file:
        file.write("x")
        file.seek(0)
        so_far = len(file.read())
    if so_far <= times:
        raise Snooze(0.3)


def _failing(name: str, queue: Queue) -> None:
    def fail(context: TaskContext, number: int) -> None:
        record(context, number)
        raise RuntimeError(f"attempt {context.attempt} failed")

    task(queue=queue, name=f"recording/fail_{name}")(fail)


for _name, _queue in LADDERS.items():
    _failing(_name, _queue)


@task(queue=DEFAULT, timeout=timedelta(seconds=1))
def sleep_in_steps(context: TaskContext, number: int) -> None:
    """Never ends by itself."""
    context.progress(0.5)
    record(context, number)
    while True:
        time.sleep(0.01)


@task(queue=LADDERS["none"], timeout=timedelta(seconds=1))
def sleep_in_one_piece(context: TaskContext, number: int) -> None:
    """Sits in one call of the system."""
    time.sleep(120)


@task(queue=DEFAULT, timeout=timedelta(seconds=1))
def sleep_in_sql(context: TaskContext, number: int) -> None:
    """Waits for the server."""
    with context.begin() as connection:
        connection.exec_driver_sql("select pg_sleep(60)")


class Counted(BusEvent):
    """A number was counted."""

    type: ClassVar[str] = "recording.counted"
    number: int


@consumer(Counted, queue=DEFAULT)
def count(context: TaskContext, event: Counted) -> None:
    """Writes down the number."""
    record(context, event.number)


@consumer(Counted, queue=declare(Queue("unsteady", retry=Retry.fixed(1, times=3))))
def count_unsteadily(context: TaskContext, event: Counted) -> None:
    """Fails with a contact's first number, once."""
    record(context, event.number)
    if event.number < 3 and context.attempt == 1:
        raise RuntimeError("not yet")
