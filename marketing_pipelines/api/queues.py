"""Addresses of queues: their counts, one task, dead letters and sending them back."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.jobs import MAX_NAME_LENGTH
from marketing_pipelines.api.site import Here
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import counts
from marketing_pipelines.queueing import dead_letters as letters
from marketing_pipelines.queueing.counts import QueueCount, TaskState
from marketing_pipelines.queueing.dead_letters import DeadLetter

router = APIRouter(tags=["queues"])
MAX_ID = 2**63 - 1
# Clients must not depend on the queue's own columns.
_UNSHOWN = ("priority", "lock", "unique_key")
Number = Annotated[int, Path(ge=1, le=MAX_ID)]


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
    "/admin/tasks/{number}",
    response_model=models.of_dataclass(TaskState),
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def show_task(site: Here, number: Number) -> TaskState:
    """One task: state, progress, attempts, error."""
    with site.engine.begin() as connection:
        state = counts.task_state(connection, number)
    if state is None:
        raise Refusal(404, f"There is no task {number}, or not any more.")
    return state


@router.get(
    "/admin/dead-letters",
    response_model=list[models.of_dataclass(DeadLetter, without=_UNSHOWN)],  # type: ignore[misc]
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
        return letters.dead_letters(connection, queue=queue, state=state, limit=limit)


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
