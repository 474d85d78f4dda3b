"""Addresses of queues: their counts, tasks, dead letters, and doing them again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.jobs import MAX_NAME_LENGTH
from marketing_pipelines.api.site import Here
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import counts, task_states
from marketing_pipelines.queueing import dead_letters as letters
from marketing_pipelines.queueing.counts import QueueCount
from marketing_pipelines.queueing.dead_letters import DeadLetter, LetterFilter
from marketing_pipelines.queueing.task_states import (
    ListedTask,
    TaskNotFoundError,
    TaskState,
    WrongStateError,
)

router = APIRouter(tags=["queues"])
MAX_ID = 2**63 - 1
# Clients must not depend on the queue's own columns.
_UNSHOWN = ("priority", "lock", "unique_key")
Number = Annotated[int, Path(ge=1, le=MAX_ID)]
QueryName = Annotated[str | None, Query(max_length=MAX_NAME_LENGTH)]
Before = Annotated[int | None, Query(ge=1, le=MAX_ID)]
Limit = Annotated[int, Query(ge=1, le=100)]
State = Literal["waiting", "delayed", "active", "completed", "failed", "cancelled"]


class Redriven(BaseModel):
    """The number of dead letters that went back to their queue."""

    redriven: int = Field(description="0: it went back, or was discarded, before")


@router.get(
    "/admin/queues",
    response_model=list[models.of_dataclass(QueueCount)],  # type: ignore[misc]
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 413, 503),
)
def list_queues(site: Here) -> list[QueueCount]:
    """Every queue with its waiting, active, completed, failed and delayed tasks."""
    with site.engine.begin() as connection:
        return counts.queue_counts(connection)


@router.get(
    "/admin/tasks",
    response_model=list[models.of_dataclass(ListedTask)],  # type: ignore[misc]
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 413, 422, 503),
)
def list_tasks(
    site: Here,
    queue: QueryName = None,
    state: State | None = None,
    task: QueryName = None,
    before: Before = None,
    limit: Limit = 100,
) -> list[ListedTask]:
    """Tasks, newest first; `before` is the smallest number of the page before."""
    with site.engine.begin() as connection:
        return task_states.list_tasks(
            connection, queue=queue, state=state, task=task, before=before, limit=limit
        )


@router.get(
    "/admin/tasks/{number}",
    response_model=models.of_dataclass(TaskState),
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def show_task(site: Here, number: Number) -> TaskState:
    """One task: state, payload, progress, attempts, error."""
    with site.engine.begin() as connection, _refusing():
        return task_states.task_state(connection, number)


@router.post(
    "/admin/tasks/{number}/retry",
    response_model=models.of_dataclass(TaskState),
    dependencies=[require("admin")],
    responses=refusals(400, 401, 403, 404, 409, 413, 422, 503),
)
def retry_task(site: Here, number: Number) -> TaskState:
    """Makes a waiting task due now, or sends the dead letter of a failed one back to its queue."""
    with site.engine.begin() as connection, _refusing():
        task_states.retry(connection, number)
        return task_states.task_state(connection, number)


@router.post(
    "/admin/tasks/{number}/cancel",
    response_model=models.of_dataclass(TaskState),
    dependencies=[require("admin")],
    responses=refusals(400, 401, 403, 404, 409, 413, 422, 503),
)
def cancel_task(site: Here, number: Number) -> TaskState:
    """Ends a task that waits, or discards the dead letter of one that failed."""
    with site.engine.begin() as connection, _refusing():
        task_states.cancel(connection, number)
        return task_states.task_state(connection, number)


@router.get(
    "/admin/dead-letters",
    response_model=list[models.of_dataclass(DeadLetter, without=_UNSHOWN)],  # type: ignore[misc]
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 413, 422, 503),
)
def list_dead_letters(
    site: Here,
    queue: QueryName = None,
    state: Literal["dead", "redriven", "discarded"] = "dead",
    limit: Limit = 100,
) -> list[DeadLetter]:
    """The latest dead letters, newest first."""
    with site.engine.begin() as connection:
        return letters.dead_letters(connection, LetterFilter(queue), state, limit)


@router.post(
    "/admin/dead-letters/{number}/redrive",
    dependencies=[require("admin")],
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def redrive(site: Here, number: Number) -> Redriven:
    """Sends a dead letter back to its queue, once."""
    with site.engine.begin() as connection:
        try:
            letters.dead_letter(connection, number)
        except BadInputError as error:
            raise Refusal(404, str(error)) from error
        return Redriven(redriven=letters.redrive(connection, [number]))


@contextmanager
def _refusing() -> Iterator[None]:
    """Answers 404 for a task that is not there, and 409 for a state that allows no change."""
    try:
        yield
    except TaskNotFoundError as error:
        raise Refusal(404, str(error)) from error
    except WrongStateError as error:
        raise Refusal(409, str(error)) from error
