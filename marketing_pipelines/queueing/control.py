"""Pausing and resuming queues, and removing finished tasks."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.queueing.queues import Queue, declared, find
from marketing_pipelines.queueing.tables import queue_states
from marketing_pipelines.stores.postgres import Begin

BATCH = 10_000


def pause(connection: sa.Connection, queue: str) -> bool:
    """Starts no more tasks of the queue, active ones continue; False: it was paused already.

    Raises:
        BadInputError: there is no such queue.
    """
    row = pg.insert(queue_states).values(queue=find(queue).name)
    connection.execute(row.on_conflict_do_nothing())
    paused = connection.execute(
        sa.update(queue_states)
        .where(queue_states.c.queue == queue, queue_states.c.paused_at.is_(None))
        .values(paused_at=sa.func.clock_timestamp())
    )
    return paused.rowcount == 1


def resume(connection: sa.Connection, queue: str) -> bool:
    """Goes on with the queue; False: it was not paused.

    Raises:
        BadInputError: there is no such queue.
    """
    find(queue)
    resumed = connection.execute(
        sa.update(queue_states)
        .where(queue_states.c.queue == queue, queue_states.c.paused_at.is_not(None))
        .values(paused_at=None)
    )
    connection.execute(_WAKE, {"queue": queue})
    return resumed.rowcount == 1


def clean(connection: sa.Connection, queue: str, older_than: dt.timedelta) -> int:
    """Removes the queue's tasks that ended before `older_than` ago; dead letters stay.

    Returns:
        Number of removed tasks.

    Raises:
        BadInputError: there is no such queue.
    """
    values = {"queue": find(queue).name, "seconds": older_than.total_seconds()}
    return connection.execute(_CLEAN, values).rowcount


def remove_history(connection: sa.Connection, queue: Queue, now: dt.datetime) -> int:
    """Removes finished tasks that the queue no longer keeps, at most 10,000.

    Returns:
        Number of removed tasks; less than 10,000: no more are left.
    """
    failed = queue.keep_failed
    return connection.execute(
        _REMOVE_HISTORY,
        {
            "queue": queue.name,
            "completed_before": now - queue.keep_completed.age,
            "completed_rows": queue.keep_completed.rows,
            "failed_before": None if failed is None else now - failed.age,
            "failed_rows": None if failed is None else failed.rows,
            "batch": BATCH,
        },
    ).rowcount


def remove_all_history(begin: Begin, now: dt.datetime) -> dict[str, int]:
    """Removes the finished tasks of every queue that it no longer keeps.

    Args:
        begin: Opens a transaction; each batch has one of its own.

    Returns:
        The number of removed tasks by queue.
    """
    removed = dict.fromkeys(declared(), 0)
    for queue in declared().values():
        batch = BATCH
        while batch == BATCH:
            with begin() as connection:
                batch = remove_history(connection, queue, now)
            removed[queue.name] += batch
    return removed


_WAKE = sa.text(
    "select pg_notify('procrastinate_queue_v1#' || :queue,"
    " json_build_object('type', 'job_inserted', 'job_id', 0)::text)"
)
_ENDED = """
    select job.id, job.status, event.at
    from procrastinate_jobs as job
    cross join lateral (
        select max(at) as at from procrastinate_events where job_id = job.id
    ) as event
    where job.queue_name = :queue and job.status not in ('todo', 'doing')
"""
_CLEAN = sa.text(f"""
    delete from procrastinate_jobs
    where id in (
        select id from ({_ENDED}) as ended
        where at < clock_timestamp() - make_interval(secs => :seconds)
    )
""")
_REMOVE_HISTORY = sa.text(f"""
    delete from procrastinate_jobs
    where id in (
        select id
        from (
            select *, row_number() over (
                partition by status = 'succeeded' order by at desc, id desc
            ) as place
            from ({_ENDED}) as ended
        ) as ended
        where case
            when status = 'succeeded' then at < :completed_before or place > :completed_rows
            else at < cast(:failed_before as timestamptz) or place > cast(:failed_rows as bigint)
        end
        limit :batch
    )
""")
