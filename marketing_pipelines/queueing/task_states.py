"""Tasks one by one: their lists and states, cancelling them, and doing them again or sooner."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import dead_letters as letters
from marketing_pipelines.queueing.outcomes import FREE_KEY, WAKE, WAKE_NEXT
from marketing_pipelines.redaction import redact

# The tasks in each state, as a condition on a row of Procrastinate's table.
_IN_STATE = {
    "waiting": "job.status = 'todo' and coalesce(job.scheduled_at <= now(), true)",
    "delayed": "job.status = 'todo' and job.scheduled_at > now()",
    "active": "job.status = 'doing'",
    "completed": "job.status = 'succeeded'",
    "failed": "job.status = 'failed'",
    "cancelled": "job.status in ('cancelled', 'aborting', 'aborted')",
}
STATES = tuple(_IN_STATE)
_STATE = "case " + " ".join(f"when {test} then '{name}'" for name, test in _IN_STATE.items())
_STATE += " end"


class TaskNotFoundError(BadInputError):
    """No task has this number, or not any more."""


class WrongStateError(BadInputError):
    """The state of the task does not allow the change."""


@dataclass(frozen=True)
class ListedTask:
    """A task in a list.

    Attributes:
        state: waiting, delayed, active, completed, failed or cancelled.
        attempts: Attempts that ended.
        error: Why the latest attempt failed, one sentence.
    """

    id: int
    queue: str
    task: str
    state: str
    attempts: int
    due_at: dt.datetime | None
    error: str | None


@dataclass(frozen=True)
class TaskState:
    """The state of one task.

    Attributes:
        state: waiting, delayed, active, completed, failed or cancelled.
        payload: Arguments of the task, without secrets.
        progress: 0 to 1, as the task says; 1 when it is completed.
        attempts: Attempts that ended.
        error: Why the latest attempt failed, one sentence.
        redriven_task_id: The task that repeats this one after its failure.
    """

    id: int
    queue: str
    task: str
    state: str
    payload: dict[str, Any]
    progress: float | None
    attempts: int
    error: str | None
    traceback: str | None
    due_at: dt.datetime | None
    enqueued_at: dt.datetime | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    redriven_task_id: int | None


def list_tasks(
    connection: sa.Connection,
    *,
    queue: str | None = None,
    state: str | None = None,
    task: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[ListedTask]:
    """Tasks, newest first.

    Args:
        state: One of `STATES`; None: any.
        task: Name of a task, `crm/assign_owners`; None: any.
        before: Only tasks with a smaller number, for the next page; None: from the newest.
    """
    conditions = [
        condition
        for condition, value in [
            ("job.queue_name = :queue", queue),
            ("job.task_name = :task", task),
            ("job.id < :before", before),
            (_IN_STATE.get(state or "", "false"), state),
        ]
        if value is not None
    ]
    statement = sa.text(f"""
        select job.id, job.queue_name as queue, job.task_name as task, {_STATE} as state,
               job.attempts, job.scheduled_at as due_at, reported.error
        from procrastinate_jobs as job
        left join ops.task_attempts as reported on reported.task_id = job.id
        where {" and ".join(conditions) or "true"}
        order by job.id desc
        limit :limit
    """)
    given = {"queue": queue, "task": task, "before": before, "limit": limit}
    return [ListedTask(**row._mapping) for row in connection.execute(statement, given)]


def task_state(connection: sa.Connection, task_id: int) -> TaskState:
    """One task.

    Raises:
        TaskNotFoundError: there is none, or not any more.
    """
    row = connection.execute(_ONE, {"task_id": task_id}).first()
    if row is None:
        raise TaskNotFoundError(f"There is no task {task_id}, or not any more.")
    return TaskState(**{**row._mapping, "payload": redact(row.payload)})


def cancel(connection: sa.Connection, task_id: int) -> None:
    """Ends a task that waits, or discards the dead letter of one that failed.

    Raises:
        TaskNotFoundError: there is none, or not any more.
        WrongStateError: a worker does it, or it has ended.
    """
    if connection.execute(_CANCEL, {"task_id": task_id}).first() is not None:
        return
    found = task_state(connection, task_id)
    if found.state != "failed":
        raise WrongStateError(_sentence(found))
    if not letters.discard(connection, letters.of_task(connection, task_id)):
        raise WrongStateError(_settled(found))


def retry(connection: sa.Connection, task_id: int) -> str:
    """Makes a waiting task due now, or sends the dead letter of a failed one back to its queue.

    Returns:
        A sentence that says which of them, with the number of the new task.

    Raises:
        TaskNotFoundError: there is none, or not any more.
        WrongStateError: a worker does it, or it has ended.
    """
    if connection.execute(_MAKE_DUE, {"task_id": task_id}).first() is not None:
        return f"Task {task_id} is due now."
    found = task_state(connection, task_id)
    if found.state != "failed":
        raise WrongStateError(_sentence(found))
    if not letters.redrive(connection, letters.of_task(connection, task_id)):
        raise WrongStateError(_settled(found))
    new = task_state(connection, task_id).redriven_task_id
    if new is None:
        return f"Task {task_id} is sent back: a task with its unique key waits already."
    return f"Task {task_id} is sent back as task {new}."


def _sentence(found: TaskState) -> str:
    if found.state == "active":
        return f"A worker is doing task {found.id} at this moment: wait until it has ended."
    return f"Task {found.id} is {found.state}: it can be neither cancelled nor done again."


def _settled(found: TaskState) -> str:
    if found.redriven_task_id is not None:
        return f"Task {found.id} was sent back before, as task {found.redriven_task_id}."
    return f"The dead letter of task {found.id} was sent back or discarded before."


_ONE = sa.text(f"""
    select job.id, job.queue_name as queue, job.task_name as task, {_STATE} as state,
           job.args as payload,
           case when job.status = 'succeeded' then 1 else reported.progress end as progress,
           job.attempts, reported.error, reported.traceback, job.scheduled_at as due_at,
           event.enqueued_at, event.started_at, event.ended_at, letter.redriven_task_id
    from procrastinate_jobs as job
    left join ops.task_attempts as reported on reported.task_id = job.id
    left join ops.dead_letters as letter on letter.task_id = job.id
    cross join lateral (
        select min(at) filter (where type = 'deferred') as enqueued_at,
               max(at) filter (where type = 'started') as started_at,
               max(at) filter (where type in ('succeeded', 'failed', 'cancelled', 'aborted'))
                   as ended_at
        from procrastinate_events where job_id = job.id
    ) as event
    where job.id = :task_id
""")
_CANCEL = sa.text(f"""
    with ended as (
        update procrastinate_jobs as job
        set status = 'cancelled'
        where id = :task_id and status = 'todo'
        returning id, queue_name, lock
    ),
    freed as ({FREE_KEY})
    select id, {WAKE_NEXT} from ended
""")
_MAKE_DUE = sa.text(f"""
    with again as (
        update procrastinate_jobs as job
        set scheduled_at = null
        where id = :task_id and status = 'todo'
        returning id, queue_name
    )
    {WAKE} from again
""")
