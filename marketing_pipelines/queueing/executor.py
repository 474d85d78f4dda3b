"""One attempt at a task: call the function, then settle the row by how it ended."""

import ctypes
import logging
import random
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.credentials import HIDDEN
from marketing_pipelines.failures import MarketingPipelinesError, PermanentError, TimedOutError
from marketing_pipelines.queueing import outcomes, tasks
from marketing_pipelines.queueing.outcomes import AttemptFailure, Claim, TaskLostError
from marketing_pipelines.queueing.queues import Queue
from marketing_pipelines.queueing.tasks import (
    Clock,
    Snooze,
    Task,
    TaskContext,
    UnknownTaskError,
    system_clock,
)
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs import sentry

# A domain that cannot be imported will be corrected; its tasks wait.
PUT_OFF_SECONDS = 60.0
PAUSES_BETWEEN_TRIES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
# The rest of an attempt's time is for settling.
SHARE_TO_WORK = 0.9
MAX_SENTENCE_LENGTH, MAX_TRACEBACK_LENGTH = 2_000, 20_000

_logger = logging.getLogger(__name__)


class _OutOfTime(BaseException):
    """Raised from outside in the thread whose task takes too long; tasks do not catch it."""


@dataclass
class Attempt:
    """A fetched task, with its declaration.

    Attributes:
        failed_before: Attempts that ended before this one.
        worker_stops: Set when the worker process begins to stop.
        start_by: Until when the first line must run; None: no limit on starts.
        clock: The clock of tasks.
    """

    claim: Claim
    queue: Queue
    task_name: str
    payload: dict[str, Any]
    failed_before: int
    engine: sa.Engine
    worker_stops: threading.Event
    start_by: float | None = None
    clock: Clock = system_clock
    started_late: bool = field(default=False, init=False)
    _thread: int | None = field(default=None, init=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def number(self) -> int:
        """Counts from 1."""
        return self.failed_before + 1

    def perform(self) -> None:
        """The whole attempt, in the thread that calls it."""
        try:
            task = tasks.find(self.task_name)
        except UnknownTaskError as error:
            reason = tasks.import_errors.get(self.task_name.partition("/")[0])
            if reason is None:
                self.settle_failure(error)
            else:
                _logger.error("%s waits: its domain cannot be imported (%s).", self, reason)
                self.release(PUT_OFF_SECONDS)
            return
        if self.start_by is not None and time.monotonic() > self.start_by:
            self.started_late = True
            self.release(0.0)
            return
        now, limit = time.monotonic(), (self.queue.timeout or task.timeout).total_seconds()
        context = TaskContext(
            claim=self.claim,
            queue=self.queue.name,
            attempt=self.number,
            is_last=self.number >= self.queue.retry.attempts,
            engine=self.engine,
            deadline=now + limit,
            worker_stops=self.worker_stops,
            return_by=now + limit * SHARE_TO_WORK,
            clock=self.clock,
        )
        try:
            self._call(task, context)
        except Snooze as snooze:
            self.release(snooze.seconds)
        except TaskLostError as error:
            _logger.warning("%s", error)
        except (Exception, SystemExit) as error:
            self.settle_failure(error)
        except _OutOfTime:
            self.settle_failure(out_of_time(limit, task.name))
        else:
            if not context.finished:
                self._settle(outcomes.finish)

    def interrupt(self) -> None:
        """Stops the function at its next line of Python, if it is still running."""
        with self._guard:
            if self._thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(_OutOfTime)
                )

    def release(self, seconds: float) -> None:
        """The task comes again after `seconds`, with the attempts it had."""
        self._settle(outcomes.release, seconds=seconds)

    def settle_failure(self, error: BaseException) -> None:
        """Another attempt by the ladder, or a dead letter."""
        failure = describe(error)
        delay = self.queue.retry.delay_after(self.number, random.random())  # noqa: S311
        if isinstance(error, PermanentError) or delay is None:
            _logger.error("%s is a dead letter: %s", self, failure.error)
            self._settle(outcomes.bury, failure)
            self._tell_sentry(error)
        else:
            _logger.warning("%s failed, again in %.1f s: %s", self, delay, failure.error)
            self._settle(outcomes.retry, failure, seconds=delay)

    def _tell_sentry(self, error: BaseException) -> None:
        """Reports an unforeseen error to Sentry; a permanent error is the task's own refusal."""
        if not isinstance(error, PermanentError):
            tags = {"queue": self.queue.name, "task": self.task_name}
            sentry.report(error, tags | {"task_id": str(self.claim.task_id)})

    def __str__(self) -> str:
        return f"Task {self.claim.task_id} {self.task_name}, attempt {self.number},"

    def _call(self, task: Task, context: TaskContext) -> None:
        with self._guard:
            self._thread = threading.get_ident()
        try:
            task(context, **self.payload)
        finally:
            with self._guard:
                self._thread = None

    def _settle(self, how: Any, *arguments: Any, **options: Any) -> None:
        """Writes the result, so that a restarted server does not repeat a task that is done."""
        for pause in (*PAUSES_BETWEEN_TRIES, None):
            try:
                with self.engine.begin() as connection:
                    how(connection, self.claim, *arguments, **options)
                return
            except TaskLostError as error:
                _logger.warning("%s", error)
                return
            except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
                if pause is None:
                    raise
                _logger.warning("%s could not be settled: %s", self, describe(error).error)
                time.sleep(pause)


def out_of_time(seconds: float, task: str) -> TimedOutError:
    """Returns the error of an attempt that was stopped."""
    return TimedOutError(f"{task} was stopped after {seconds:g} s, the time it may take.")


def describe(error: BaseException) -> AttemptFailure:
    """One sentence and the traceback, both without secrets."""
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    sentence = lines[0] if lines else "no message"
    if not isinstance(error, MarketingPipelinesError):
        sentence = f"{type(error).__name__}: {sentence}"
    trace = "".join(traceback.format_exception(error))
    return AttemptFailure(
        _storable(sentence)[:MAX_SENTENCE_LENGTH], _storable(trace)[-MAX_TRACEBACK_LENGTH:]
    )


def _storable(text: str) -> str:
    """Without secrets, and without characters that PostgreSQL's text cannot hold."""
    clean: str = redact(text)
    return clean.replace("\0", HIDDEN).encode(errors="replace").decode()
