"""Addresses of queues: their counts, one task, dead letters and sending them back."""

import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from marketing_pipelines.api.admission import require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.jobs import MAX_NAME_LENGTH
from marketing_pipelines.api.site import Here
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import counts
from marketing_pipelines.queueing import dead_letters as letters

router = APIRouter(tags=["queues"])
MAX_ID = 2**63 - 1
Number = Annotated[int, Path(ge=1, le=MAX_ID)]


class QueueCount(BaseModel):
    """How much is in a queue."""

    model_config = ConfigDict(from_attributes=True)

    queue: str
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    oldest_seconds: float | None = Field(description="How long the longest waiting one is due")
    paused: bool


class TaskState(BaseModel):
    """What became of a task."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    queue: str
    task: str
    state: str
    progress: float | None = Field(description="0 to 1, as the task says")
    attempts: int
    error: str | None
    traceback: str | None
    due_at: dt.datetime | None
    enqueued_at: dt.datetime | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None


class DeadLetter(BaseModel):
    """A task that failed for good."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    task_id: int
    queue: str
    task: str
    payload: dict[str, Any]
    error: str
    traceback: str | None
    attempts: int
    first_failed_at: dt.datetime
    last_failed_at: dt.datetime
    state: str
    settled_at: dt.datetime | None
    redriven_task_id: int | None


class Redriven(BaseModel):
    """How many dead letters went back to their queue."""

    redriven: int = Field(description="0: it went back, or was discarded, before")


@router.get(
    "/admin/queues",
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 413, 503),
)
def list_queues(site: Here) -> list[QueueCount]:
    """Every queue with what waits, works, is done, has failed and is delayed."""
    with site.engine.begin() as connection:
        return [QueueCount.model_validate(count) for count in counts.queue_counts(connection)]


@router.get(
    "/admin/tasks/{number}",
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def show_task(site: Here, number: Number) -> TaskState:
    """One task: state, progress, attempts, error."""
    with site.engine.begin() as connection:
        state = counts.task_state(connection, number)
    if state is None:
        raise Refusal(404, f"There is no task {number}, or not any more.")
    return TaskState.model_validate(state)


@router.get(
    "/admin/dead-letters",
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 413, 422, 503),
)
def list_dead_letters(
    site: Here,
    queue: Annotated[str | None, Query(max_length=MAX_NAME_LENGTH)] = None,
    state: Literal["dead", "redriven", "discarded"] = "dead",
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
) -> list[DeadLetter]:
    """The latest dead letters, newest first."""
    with site.engine.begin() as connection:
        found = letters.dead_letters(connection, queue=queue, state=state, limit=limit)
    return [DeadLetter.model_validate(letter) for letter in found]


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
