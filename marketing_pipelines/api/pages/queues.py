"""The pages of queues, tasks and dead letters, with their buttons."""

import datetime as dt
from collections.abc import Callable
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, Response

from marketing_pipelines.api.admission import Visit, refuse_without
from marketing_pipelines.api.answers import Refusal
from marketing_pipelines.api.jobs import MAX_NAME_LENGTH
from marketing_pipelines.api.pages.forms import Fields, refuse_foreign_form
from marketing_pipelines.api.pages.responses import (
    Anyone,
    SignedInReader,
    back,
    page,
)
from marketing_pipelines.api.queues import Before, Number
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here, Site
from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines.queueing import control, counts, task_states
from marketing_pipelines.queueing import dead_letters as letters

router = APIRouter(include_in_schema=False)
QUEUES, TASKS, LETTERS = f"{PAGES}/queues", f"{PAGES}/tasks", f"{PAGES}/dead-letters"
TASKS_OF_A_PAGE = 100
KEPT_BY_CLEAN = dt.timedelta(hours=24)
NamePath = Annotated[str, Path(max_length=MAX_NAME_LENGTH)]
Said = Annotated[str, Query(max_length=500)]


@router.get(QUEUES)
def show_queues(site: Here, visit: SignedInReader, said: Said = "") -> HTMLResponse:
    """Shows the counts of every queue."""
    with site.engine.begin() as connection:
        found = counts.queue_counts(connection)
    return page(site, visit, "queues.html", queues=found, said=said)


@router.post(f"{QUEUES}/{{name}}/pause")
def pause(request: Request, site: Here, visit: Anyone, fields: Fields, name: NamePath) -> Response:
    """Starts nothing more of the queue."""

    def work(connection: sa.Connection) -> str:
        paused = control.pause(connection, name)
        return f"Queue {name} is paused." if paused else f"Queue {name} was paused already."

    return _administer(request, site, visit, fields, QUEUES, work)


@router.post(f"{QUEUES}/{{name}}/resume")
def resume(request: Request, site: Here, visit: Anyone, fields: Fields, name: NamePath) -> Response:
    """Goes on with the queue."""

    def work(connection: sa.Connection) -> str:
        resumed = control.resume(connection, name)
        return f"Queue {name} goes on." if resumed else f"Queue {name} was not paused."

    return _administer(request, site, visit, fields, QUEUES, work)


@router.post(f"{QUEUES}/{{name}}/clean")
def clean(request: Request, site: Here, visit: Anyone, fields: Fields, name: NamePath) -> Response:
    """Removes tasks that ended more than a day ago."""

    def work(connection: sa.Connection) -> str:
        removed = control.clean(connection, name, KEPT_BY_CLEAN)
        return f"{removed} finished tasks of queue {name} are removed."

    return _administer(request, site, visit, fields, QUEUES, work)


@router.get(f"{QUEUES}/{{name}}")
def show_tasks(
    site: Here,
    visit: SignedInReader,
    name: NamePath,
    state: Annotated[str, Query(max_length=MAX_NAME_LENGTH)] = "",
    task: Annotated[str, Query(max_length=MAX_NAME_LENGTH)] = "",
    before: Before = None,
) -> HTMLResponse:
    """Shows the tasks of a queue, newest first."""
    with site.engine.begin() as connection:
        found = task_states.list_tasks(
            connection,
            queue=name,
            state=state or None,
            task=task or None,
            before=before,
            limit=TASKS_OF_A_PAGE,
        )
    return page(
        site,
        visit,
        "tasks.html",
        queue=name,
        tasks=found,
        chosen={"state": state, "task": task},
        states=task_states.STATES,
        has_more=len(found) == TASKS_OF_A_PAGE,
    )


@router.get(f"{TASKS}/{{number}}")
def show_task(site: Here, visit: SignedInReader, number: Number, said: Said = "") -> HTMLResponse:
    """Shows one task."""
    with site.engine.begin() as connection:
        try:
            found = task_states.task_state(connection, number)
        except task_states.TaskNotFoundError as error:
            raise Refusal(404, str(error)) from error
    return page(site, visit, "task.html", task=found, said=said)


@router.post(f"{TASKS}/{{number}}/retry")
def retry(request: Request, site: Here, visit: Anyone, fields: Fields, number: Number) -> Response:
    """Makes a waiting task due now, or sends a failed one back to its queue."""

    def work(connection: sa.Connection) -> str:
        return task_states.retry(connection, number)

    return _administer(request, site, visit, fields, f"{TASKS}/{number}", work)


@router.post(f"{TASKS}/{{number}}/cancel")
def cancel(request: Request, site: Here, visit: Anyone, fields: Fields, number: Number) -> Response:
    """Cancels a task that waits, or discards one that failed."""

    def work(connection: sa.Connection) -> str:
        task_states.cancel(connection, number)
        return f"Task {number} is cancelled."

    return _administer(request, site, visit, fields, f"{TASKS}/{number}", work)


@router.get(LETTERS)
def show_dead_letters(site: Here, visit: SignedInReader, said: Said = "") -> HTMLResponse:
    """The latest 100 that are dead."""
    with site.engine.begin() as connection:
        found = letters.dead_letters(connection)
    return page(site, visit, "dead_letters.html", letters=found, said=said)


@router.post(f"{LETTERS}/{{number}}/redrive")
def redrive(
    request: Request, site: Here, visit: Anyone, fields: Fields, number: Number
) -> Response:
    """Sends a dead letter back to its queue."""

    def work(connection: sa.Connection) -> str:
        sent = letters.redrive(connection, [number])
        return f"Dead letter {number} is back in its queue." if sent else _settled(number)

    return _administer(request, site, visit, fields, LETTERS, work)


@router.post(f"{LETTERS}/{{number}}/discard")
def discard(
    request: Request, site: Here, visit: Anyone, fields: Fields, number: Number
) -> Response:
    """Settles a dead letter without doing its work."""

    def work(connection: sa.Connection) -> str:
        discarded = letters.discard(connection, [number])
        return f"Dead letter {number} is discarded." if discarded else _settled(number)

    return _administer(request, site, visit, fields, LETTERS, work)


def _administer(
    request: Request,
    site: Site,
    visit: Visit,
    fields: dict[str, str],
    path: str,
    work: Callable[[sa.Connection], str],
) -> Response:
    """One change by a user with scope admin, and its result."""
    refuse_foreign_form(request, site, visit, fields)
    refuse_without(visit.token, "admin")
    try:
        with site.engine.begin() as connection:
            said = work(connection)
    except MarketingPipelinesError as error:
        said = str(error)
    return back(path, said)


def _settled(number: int) -> str:
    return f"Dead letter {number} was not dead any more."
