"""Tasks: plain functions that workers find by name and call, and the context of a call."""

import contextlib
import datetime as dt
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from marketing_pipelines.failures import PermanentError
from marketing_pipelines.queueing import outcomes
from marketing_pipelines.queueing.outcomes import Claim
from marketing_pipelines.queueing.queues import Queue
from marketing_pipelines.stores.postgres import committing_each

DEFAULT_TIMEOUT = dt.timedelta(minutes=5)
# Parameters of callable tasks that no payload has: the number of the organization, and a key that
# is the same each time that the task is called for one due time of an action.
GIVEN = ("organization_id", "action_key")


Clock = Callable[[], dt.datetime]


def system_clock() -> dt.datetime:
    """The present instant, in UTC."""
    return dt.datetime.now(dt.UTC)


class Snooze(Exception):  # noqa: N818
    """Raised by a task that cannot be done yet: it comes again, and the attempt does not count."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Not before {seconds:g} s have passed.")
        self.seconds = seconds


class UnknownTaskError(PermanentError):
    """A queue holds a task that no domain of this release declares."""


@dataclass
class TaskContext:
    """The attempt, as the task sees it.

    Attributes:
        attempt: Counts from 1.
        is_last: True if a failure now makes it a dead letter.
        deadline: Monotonic time at which the attempt is stopped.
        worker_stops: Set when the worker process begins to stop.
        return_by: Monotonic time from which the attempt is nearly out of time.
        clock: Returns the instant as of which the task works.
    """

    claim: Claim
    queue: str
    attempt: int
    is_last: bool
    engine: sa.Engine
    deadline: float
    worker_stops: threading.Event
    return_by: float
    clock: Clock = system_clock
    finished: bool = field(default=False, init=False)

    @property
    def task_id(self) -> int:
        """The task's number."""
        return self.claim.task_id

    def should_return(self) -> bool:
        """Returns true once the worker stops or nine tenths of the attempt's time are over.

        A task that works through a list looks at it between two entries and leaves the rest for
        the next task: the process ends seconds later, whatever is under way.
        """
        return self.worker_stops.is_set() or time.monotonic() >= self.return_by

    def progress(self, fraction: float) -> None:
        """Shows how much is done, 0 to 1; the task's state has it at once.

        Raises:
            ValueError: it is not between 0 and 1.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"Progress is between 0 and 1, not {fraction}.")
        with self.engine.begin() as connection:
            outcomes.report_progress(connection, self.claim, fraction)

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction whose statements end with the task's time."""
        with self.engine.begin() as connection:
            left = max(self.deadline - time.monotonic(), 0.001)
            connection.execute(_set_timeout(f"{left * 1000:.0f}", is_local=True))
            yield connection

    @contextlib.contextmanager
    def committing_each(self) -> Iterator[sa.Connection]:
        """A connection each of whose statements commits by itself and ends with the task's time."""
        with committing_each(self.engine) as connection:
            left = max(self.deadline - time.monotonic(), 0.001)
            connection.execute(_set_timeout(f"{left * 1000:.0f}", is_local=False))
            try:
                yield connection
            finally:
                if not connection.invalidated:
                    with contextlib.suppress(sa.exc.DBAPIError):
                        connection.execute(sa.text("reset statement_timeout"))

    @contextlib.contextmanager
    def finishing(self) -> Iterator[sa.Connection]:
        """Opens the task's last transaction, which also finishes the task. Both are one commit: a
        killed worker has done all of it or nothing."""
        with self.begin() as connection:
            yield connection
            outcomes.finish(connection, self.claim)
        self.finished = True


def _set_timeout(milliseconds: str, *, is_local: bool) -> sa.Select[Any]:
    return sa.select(sa.func.set_config("statement_timeout", milliseconds, is_local))


@dataclass(frozen=True)
class Task:
    """A declared task.

    Attributes:
        payload: The model of payloads that come from outside; None: it is called from within alone.
    """

    name: str
    queue: Queue
    timeout: dt.timedelta
    function: Callable[..., None]
    payload: type[BaseModel] | None = None

    @property
    def parameters(self) -> frozenset[str]:
        """The names that a payload may have, and those of `GIVEN` that the function takes."""
        return frozenset(list(inspect.signature(self.function).parameters)[1:])

    def problem_of(self, payload: Mapping[str, Any]) -> str | None:
        """Returns the first fault of a payload that comes from outside; None: it is right."""
        assert self.payload is not None
        try:
            self.payload.model_validate(payload)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            message = str(first["msg"]).removeprefix("Value error, ")
            return f"payload.{path}: {message}" if path else f"payload: {message}"
        return None

    def __call__(self, context: TaskContext, **payload: Any) -> None:
        """Calls the function as a worker does.

        Raises:
            PermanentError: a payload from outside is not right.
        """
        if self.payload is not None:
            problem = self.problem_of({k: v for k, v in payload.items() if k not in GIVEN})
            if problem is not None:
                raise PermanentError(f"{problem}.")
        self.function(context, **payload)


_tasks: dict[str, Task] = {}
# The reason why a domain's tasks cannot be imported, by domain.
import_errors: dict[str, str] = {}


def task(
    *,
    queue: Queue,
    timeout: dt.timedelta = DEFAULT_TIMEOUT,
    name: str | None = None,
    callable: bool = False,
) -> Callable[[Callable[..., None]], Task]:
    """Declares a function `def send(context: TaskContext, **payload) -> None` as a task.

    It may be called more than once for a payload: a worker can be killed after the work and before
    the row that says so. Effects that must not happen twice are written in `context.finishing()` or
    under a unique key.

    Args:
        timeout: After this the attempt is stopped and has failed.
        name: `domain/function` where none is given.
        callable: True if scheduled actions may call it. Its parameters then are the fields that a
            payload may have, by their types; `GIVEN` ones come from the action.
    """

    def declare(function: Callable[..., None]) -> Task:
        domain = function.__module__.removesuffix(".tasks").rpartition(".")[2]
        model = _payload_of(function) if callable else None
        declared = Task(name or f"{domain}/{function.__name__}", queue, timeout, function, model)
        if declared.name in _tasks:
            raise ValueError(f"The task {declared.name} is declared twice.")
        _tasks[declared.name] = declared
        return declared

    return declare


def _payload_of(function: Callable[..., None]) -> type[BaseModel]:
    """The model of the keys that a payload from outside may have."""
    fields: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(function, eval_str=True).parameters.items())[1:]:
        if name not in GIVEN:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (parameter.annotation, default)
    strict = ConfigDict(extra="forbid", strict=True, frozen=True)
    return create_model(f"Payload of {function.__name__}", __config__=strict, **fields)


def declared() -> Mapping[str, Task]:
    """The tasks by name; complete once every `tasks.py` is loaded."""
    return _tasks


def find(name: str) -> Task:
    """The task of this name.

    Raises:
        UnknownTaskError: nothing declares it.
    """
    if name not in _tasks:
        raise UnknownTaskError(
            f"No domain of this release declares the task {name}: run the release that does and "
            "send the dead letter back, or discard it."
        )
    return _tasks[name]
