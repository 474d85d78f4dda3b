"""Counts of the queues."""

from dataclasses import dataclass

import sqlalchemy as sa

from marketing_pipelines.queueing.queues import declared


@dataclass(frozen=True)
class QueueCount:
    """Counts of one queue.

    Attributes:
        waiting: Due and not claimed.
        active: Claimed by a worker.
        completed: Done, as long as they are kept.
        failed: Failed permanently, as long as they are kept.
        delayed: Due later: enqueued so, snoozed, or between two attempts.
        oldest_seconds: Seconds since the longest waiting one was due; None if none waits.
    """

    queue: str
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    oldest_seconds: float | None
    paused: bool


def queue_counts(connection: sa.Connection) -> list[QueueCount]:
    """Every queue that is declared or holds tasks, by name."""
    rows = connection.execute(_COUNTS, {"declared": list(declared())})
    return [QueueCount(**row._mapping) for row in rows]


def any_due(connection: sa.Connection, queues: list[str]) -> bool:
    """Returns true if a task of these queues is active, or due in a queue that is not paused."""
    return bool(connection.execute(_ANY_DUE, {"queues": queues}).scalar_one())


_COUNTS = sa.text("""
    with counted as (
        select queue_name as queue,
               count(*) filter (where status = 'todo' and is_due) as waiting,
               count(*) filter (where status = 'doing') as active,
               count(*) filter (where status = 'succeeded') as completed,
               count(*) filter (where status = 'failed') as failed,
               count(*) filter (where status = 'todo' and not is_due) as delayed,
               min(scheduled_at) filter (where status = 'todo' and is_due) as oldest_due_at,
               min(id) filter (where status = 'todo' and scheduled_at is null) as oldest_id
        from (
            select *, coalesce(scheduled_at <= now(), true) as is_due from procrastinate_jobs
        ) as job
        group by queue_name
    )
    select queue, coalesce(waiting, 0) as waiting, coalesce(active, 0) as active,
           coalesce(completed, 0) as completed, coalesce(failed, 0) as failed,
           coalesce(delayed, 0) as delayed,
           cast(extract(epoch from now() - least(oldest_due_at, oldest.at)) as double precision)
               as oldest_seconds,
           paused_at is not null as paused
    from counted
    full join unnest(cast(:declared as text[])) as declared (queue) using (queue)
    left join ops.queue_states using (queue)
    left join lateral (
        select at from procrastinate_events where job_id = oldest_id and type = 'deferred'
        order by id limit 1
    ) as oldest on true
    order by queue
""")
_ANY_DUE = sa.text("""
    select exists (
        select from procrastinate_jobs
        left join ops.queue_states on queue = queue_name
        where queue_name = any(cast(:queues as text[]))
            and (
                status = 'doing'
                or status = 'todo' and coalesce(scheduled_at <= now(), true) and paused_at is null
            )
    )
""")
