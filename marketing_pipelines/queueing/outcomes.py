"""Outcomes of an attempt, each one statement: finished, retried, released, or a dead letter.

A worker's number on the row is its fencing token: a worker that was taken for dead finds another
number, or none, and cannot settle the task of its successor.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from marketing_pipelines.failures import MarketingPipelinesError

LOST = "The worker that did this was killed, or lost the database, before it said how it ended."


class TaskLostError(MarketingPipelinesError):
    """The task is no longer claimed by this worker, which must not settle it."""


@dataclass(frozen=True)
class Claim:
    """A task claimed by a worker."""

    task_id: int
    worker_id: int


@dataclass(frozen=True)
class AttemptFailure:
    """The failure of an attempt: one sentence, and the traceback."""

    error: str
    traceback: str | None


def finish(connection: sa.Connection, claim: Claim) -> None:
    """The task is done.

    Raises:
        TaskLostError: it is no longer ours.
    """
    _settle(connection, _FINISH, claim)


def release(connection: sa.Connection, claim: Claim, *, seconds: float) -> None:
    """The task is due again after `seconds`; the attempt does not count.

    Raises:
        TaskLostError: it is no longer ours.
    """
    _settle(connection, _GIVE_BACK, claim, seconds=seconds)


def retry(
    connection: sa.Connection, claim: Claim, failure: AttemptFailure, *, seconds: float
) -> None:
    """The attempt failed; the next one is due after `seconds`.

    Raises:
        TaskLostError: the task is no longer ours.
    """
    _settle(connection, _TRY_AGAIN, claim, seconds=seconds, **vars(failure))


def bury(connection: sa.Connection, claim: Claim, failure: AttemptFailure) -> None:
    """The attempt failed and there is no other: the task ends as a dead letter.

    Raises:
        TaskLostError: the task is no longer ours.
    """
    _settle(connection, _BURY, claim, **vars(failure))


def report_progress(connection: sa.Connection, claim: Claim, fraction: float) -> None:
    """Stores how much of the task is done, 0 to 1."""
    connection.execute(_PROGRESS, {"task_id": claim.task_id, "fraction": fraction})


def rescue_stalled(
    connection: sa.Connection, *, silent_for: dt.timedelta, attempts_of: Mapping[str, int]
) -> tuple[int, int]:
    """Gives back the tasks of workers that are gone, and forgets these workers.

    The attempt counts, so that a task that kills its worker ends as a dead letter. Tasks of other
    queues stay claimed, for a worker that knows their number of attempts.

    Args:
        silent_for: A worker without a sign of life for this long is gone.
        attempts_of: Number of attempts in all, by queue.

    Returns:
        Numbers of released tasks and of dead letters.
    """
    silent = silent_for.total_seconds()
    taken = connection.execute(
        _TAKE_FROM_THE_DEAD,
        {
            "silent": silent,
            "queues": list(attempts_of),
            "attempts": list(attempts_of.values()),
            "error": LOST,
        },
    ).one()
    connection.execute(_FORGET_WORKERS, {"silent": silent})
    return taken.given_back, taken.buried


def _settle(
    connection: sa.Connection, statement: sa.TextClause, claim: Claim, **values: object
) -> None:
    settled = connection.execute(statement, {**vars(claim), **values}).first()
    if settled is None:
        raise TaskLostError(
            f"Task {claim.task_id} no longer belongs to worker {claim.worker_id}, which was "
            "silent for too long: another does it."
        )


# A task that waits again may meet the unique key of a newer one: both are wanted.
_FREE_KEY = """
    case when not exists (
        select from procrastinate_jobs as other
        where other.queueing_lock = job.queueing_lock and other.status = 'todo'
    ) then queueing_lock end
"""
_IN_HAND = "job.id = :task_id and job.status = 'doing' and job.worker_id = :worker_id"
# As an insertion would: every worker of the queue looks when the task is due.
WAKE = """
    select pg_notify(
        'procrastinate_queue_v1#' || queue_name,
        json_build_object('type', 'job_inserted', 'job_id', id)::text
    )
"""
# Tasks that wait for the same lock can be fetched now; nothing else notifies the workers.
WAKE_NEXT = """
    case when lock is not null and exists (
        select from procrastinate_jobs as next
        where next.lock = ended.lock and next.status = 'todo'
    ) then pg_notify(
        'procrastinate_queue_v1#' || queue_name,
        json_build_object('type', 'job_inserted', 'job_id', id)::text
    ) end
"""
# A task that was completed keeps its key for the time that it was enqueued with.
_KEEP_KEY = """
    update ops.task_keys as known
    set until = clock_timestamp() + unique_for
    from ended where known.task_id = ended.id
"""
FREE_KEY = """
    update ops.task_keys as known
    set until = clock_timestamp()
    from ended where known.task_id = ended.id
"""
_NOTE_FAILURE = """
    insert into ops.task_attempts (task_id, error, traceback, first_failed_at, last_failed_at)
    select id, :error, :traceback, clock_timestamp(), clock_timestamp()
"""
_ON_CONFLICT = """
    on conflict (task_id) do update
    set error = excluded.error, traceback = excluded.traceback,
        first_failed_at = coalesce(task_attempts.first_failed_at, excluded.first_failed_at),
        last_failed_at = excluded.last_failed_at
"""
_LETTER = """
    insert into ops.dead_letters (
        task_id, queue, task, payload, priority, lock, unique_key, error, traceback, attempts,
        first_failed_at, last_failed_at
    )
    select job.id, job.queue_name, job.task_name, job.args, job.priority, job.lock,
           coalesce(
               job.queueing_lock, (select key from ops.task_keys where task_id = job.id)
           ),
           :error, :traceback, job.attempts,
           coalesce(earlier.first_failed_at, clock_timestamp()), clock_timestamp()
"""

_FINISH = sa.text(f"""
    with ended as (
        update procrastinate_jobs as job
        set status = 'succeeded', attempts = attempts + 1, abort_requested = false
        where {_IN_HAND}
        returning id, queue_name, lock
    ),
    kept as ({_KEEP_KEY})
    select id, {WAKE_NEXT} from ended
""")
_GIVE_BACK = sa.text(f"""
    with again as (
        update procrastinate_jobs as job
        set status = 'todo', abort_requested = false, queueing_lock = {_FREE_KEY},
            scheduled_at = clock_timestamp() + make_interval(secs => :seconds)
        where {_IN_HAND}
        returning id, queue_name
    )
    {WAKE} from again
""")
_TRY_AGAIN = sa.text(f"""
    with again as (
        update procrastinate_jobs as job
        set status = 'todo', abort_requested = false, queueing_lock = {_FREE_KEY},
            attempts = attempts + 1,
            scheduled_at = clock_timestamp() + make_interval(secs => :seconds)
        where {_IN_HAND}
        returning id, queue_name
    ),
    noted as ({_NOTE_FAILURE} from again {_ON_CONFLICT})
    {WAKE} from again
""")
_BURY = sa.text(f"""
    with ended as (
        update procrastinate_jobs as job
        set status = 'failed', attempts = attempts + 1, abort_requested = false
        where {_IN_HAND}
        returning *
    ),
    noted as ({_NOTE_FAILURE} from ended {_ON_CONFLICT}),
    letter as (
        {_LETTER} from ended as job
        left join ops.task_attempts as earlier on earlier.task_id = job.id
    ),
    freed as ({FREE_KEY})
    select id, {WAKE_NEXT} from ended
""")
_PROGRESS = sa.text("""
    insert into ops.task_attempts (task_id, progress) values (:task_id, :fraction)
    on conflict (task_id) do update set progress = excluded.progress
""")
_TAKE_FROM_THE_DEAD = sa.text(f"""
    with lost as (
        select job.id, job.attempts + 1 >= ladder.attempts as was_last,
               row_number() over (partition by job.queueing_lock order by job.id) as of_its_key
        from (
            select * from procrastinate_jobs as job
            where status = 'doing' and not exists (
                select from procrastinate_workers as worker
                where worker.id = job.worker_id
                    and worker.last_heartbeat >= clock_timestamp() - make_interval(secs => :silent)
            )
            for update skip locked
        ) as job
        join unnest(cast(:queues as text[]), cast(:attempts as integer[]))
            as ladder (queue, attempts) on ladder.queue = job.queue_name
    ),
    again as (
        update procrastinate_jobs as job
        set status = 'todo', attempts = attempts + 1, abort_requested = false, worker_id = null,
            scheduled_at = null,
            queueing_lock = case when lost.of_its_key = 1 then {_FREE_KEY} end
        from lost
        where job.id = lost.id and not lost.was_last
        returning job.id, queue_name
    ),
    noted_again as (
        insert into ops.task_attempts (task_id, error, first_failed_at, last_failed_at)
        select id, :error, clock_timestamp(), clock_timestamp() from again
        {_ON_CONFLICT}
    ),
    ended as (
        update procrastinate_jobs as job
        set status = 'failed', attempts = attempts + 1, abort_requested = false
        from lost
        where job.id = lost.id and lost.was_last
        returning job.*
    ),
    letters as (
        {_LETTER.replace(":traceback", "null")} from ended as job
        left join ops.task_attempts as earlier on earlier.task_id = job.id
        returning id
    ),
    freed as ({FREE_KEY}),
    woken as ({WAKE} from again)
    select (select count(*) from again) as given_back, (select count(*) from letters) as buried,
           (select count(*) from woken) as woken
""")
_FORGET_WORKERS = sa.text("select procrastinate_prune_stalled_workers_v1(:silent)")
