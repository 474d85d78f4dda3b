"""Job sessions: one row per run of a job, with its times and its end.

Opened and closed by the work itself, on the connection that holds its locks.
"""

import contextlib
import datetime as dt
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.redaction import redact
from marketing_pipelines.runs import incidents
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.tables import job_sessions

GHOST_PATIENCE_MS = 5_000
# The lag of the server's clock behind the scheduler's that is tolerated.
MAX_SKEW = dt.timedelta(hours=1)
MILLISECONDS_SO_FAR = sa.cast(
    sa.extract("epoch", sa.func.clock_timestamp() - job_sessions.c.started_at) * 1000,
    sa.BigInteger,
)
LATEST, LATEST_OF_JOB = 100, 50
# Statuses that are a failure of the job unless it is retried.
FAILURES = ("FAILED", "TIMED_OUT", "ABANDONED")
DID_NOT_END_WELL = (*FAILURES, "CANCELED")


def open_session(
    connection: sa.Connection,
    *,
    job: str,
    trigger: str,
    tick: dt.datetime,
    partition: str | None,
    run_id: str | None,
    queued: int | None = None,
) -> int:
    """Writes a RUNNING session and takes its lock; returns its number.

    Args:
        queued: The QUEUED session that was written when the run was asked for. It is taken over
            if it is this job's and still waits; a second attempt is a session of its own.
    """
    session_id = _take_over(connection, queued, job, run_id)
    if session_id is None:
        session_id = connection.execute(
            sa.insert(job_sessions)
            .values(
                job=job,
                trigger=trigger,
                tick=tick,
                partition=partition,
                run_id=run_id,
                status="RUNNING",
                backend_pid=sa.func.pg_backend_pid(),
            )
            .returning(job_sessions.c.id)
        ).scalar_one()
    locks.lock_session(connection, session_id)
    return session_id


def _take_over(
    connection: sa.Connection, queued: int | None, job: str, run_id: str | None
) -> int | None:
    session = job_sessions.c
    return connection.execute(
        sa.update(job_sessions)
        .where(session.id == queued, session.job == job, session.status == "QUEUED")
        .values(
            status="RUNNING",
            run_id=run_id,
            backend_pid=sa.func.pg_backend_pid(),
            started_at=sa.func.clock_timestamp(),
        )
        .returning(session.id)
    ).scalar()


def queue_session(
    connection: sa.Connection,
    *,
    job: str,
    trigger: str,
    tick: dt.datetime,
    partition: str | None,
    run_id: str,
) -> int:
    """Writes a QUEUED session for a run that waits for its turn; returns its number."""
    session_id: int = connection.execute(
        sa.insert(job_sessions)
        .values(
            job=job,
            trigger=trigger,
            tick=tick,
            partition=partition,
            run_id=run_id,
            status="QUEUED",
        )
        .returning(job_sessions.c.id)
    ).scalar_one()
    return session_id


def session_of_run(connection: sa.Connection, run_id: str) -> int | None:
    """The first session of a run; None: the run has none."""
    session_id: int | None = connection.execute(
        sa.select(sa.func.min(job_sessions.c.id)).where(job_sessions.c.run_id == run_id)
    ).scalar_one()
    return session_id


def close_session(
    connection: sa.Connection,
    session_id: int,
    *,
    status: str,
    error: str | None = None,
    will_retry: bool = False,
    cpu_seconds: float | None = None,
    items_ok: int | None = None,
    items_failed: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes the end of the session, and in the same transaction its alerts.

    Args:
        will_retry: The run tries again, so that this failure is none of the job's.
    """
    closed = connection.execute(
        sa.update(job_sessions)
        .where(job_sessions.c.id == session_id)
        .values(
            status=status,
            error=redact(error),
            will_retry=will_retry,
            items_ok=items_ok,
            items_failed=items_failed,
            metadata=redact(dict(metadata or {})),
            rss_peak_mb=peak_memory_mb(),
            cpu_seconds=cpu_seconds,
            ended_at=sa.func.clock_timestamp(),
            duration_ms=MILLISECONDS_SO_FAR,
        )
        .returning(*_OF_A_FAILURE)
    ).one()
    if status == "COMPLETED":
        incidents.succeeded(connection, closed.job, closed.partition)
    elif status in FAILURES and not will_retry:
        incidents.failed(connection, [_failure(closed)])


_OF_A_FAILURE = (
    job_sessions.c.job,
    job_sessions.c.error,
    job_sessions.c.run_id,
    job_sessions.c.partition,
)


def _failure(closed: sa.Row[Any]) -> incidents.SubjectFailure:
    return incidents.SubjectFailure(closed.job, closed.error, closed.run_id, closed.partition)


def close_abandoned(connection: sa.Connection) -> list[int]:
    """Closes RUNNING sessions whose process is gone; returns their numbers."""
    closed = connection.execute(
        sa.update(job_sessions)
        .where(job_sessions.c.status == "RUNNING", locks.SESSION_IS_GONE)
        .values(
            status="ABANDONED",
            ended_at=sa.func.clock_timestamp(),
            error="The process ended without closing its session.",
        )
        .returning(job_sessions.c.id, *_OF_A_FAILURE)
    ).all()
    incidents.failed(connection, [_failure(row) for row in closed])
    return [row.id for row in closed]


def latest(
    connection: sa.Connection, *, job: str | None = None, running: bool = False, limit: int = LATEST
) -> Sequence[sa.Row[Any]]:
    """The latest sessions, newest first: at most 100, of one job at most 50.

    Args:
        running: Only running sessions.
    """
    session = job_sessions.c
    query = sa.select(job_sessions).order_by(session.id.desc())
    query = query.limit(min(limit, LATEST if job is None else LATEST_OF_JOB))
    if job is not None:
        query = query.where(session.job == job)
    if running:
        query = query.where(session.status == "RUNNING")
    return connection.execute(query).all()


def failed_since(connection: sa.Connection, since: dt.datetime) -> Sequence[sa.Row[Any]]:
    """Returns the failures that ended after the instant, newest first. Each run of a job counts
    once, by its last session, unless that one is tried again."""
    session = job_sessions.c
    run = sa.func.coalesce(session.run_id, sa.cast(session.id, sa.Text))
    last = (
        sa.select(sa.func.max(session.id))
        .where(session.status.in_(FAILURES), ~session.will_retry, session.ended_at > since)
        .group_by(session.job, run)
    )
    return connection.execute(
        sa.select(job_sessions).where(session.id.in_(last)).order_by(session.id.desc())
    ).all()


def under_way(connection: sa.Connection, job: str, partition: str | None) -> sa.Row[Any] | None:
    """The session that works on the job, or on this partition of it, or waits to do so."""
    session = job_sessions.c
    return connection.execute(
        sa.select(job_sessions)
        .where(
            session.job == job,
            session.partition.is_not_distinct_from(partition),
            session.status.in_(("RUNNING", "QUEUED")),
        )
        .order_by(session.id)
        .limit(1)
    ).first()


def queued(connection: sa.Connection, before: dt.datetime) -> dict[str, int]:
    """Sessions that have waited for their run since before the instant, by run id."""
    session = job_sessions.c
    rows = connection.execute(
        sa.select(session.run_id, session.id).where(
            session.status == "QUEUED", session.started_at < before
        )
    )
    return {row.run_id: row.id for row in rows}


def close_queued(connection: sa.Connection, ends: Mapping[int, str]) -> None:
    """Closes QUEUED sessions whose run will not begin; `ends` are their statuses by number."""
    if not ends:
        return
    session = job_sessions.c
    end = (
        sa.func.jsonb_each_text(sa.cast(ends, pg.JSONB))
        .table_valued("key", "value")
        .render_derived(name="ends")
    )
    closed = connection.execute(
        sa.update(job_sessions)
        .where(session.id == sa.cast(end.c.key, sa.BigInteger), session.status == "QUEUED")
        .values(
            status=end.c.value,
            ended_at=sa.func.clock_timestamp(),
            error="Its run ended before it began to work.",
        )
        .returning(session.status, *_OF_A_FAILURE)
    ).all()
    incidents.failed(connection, [_failure(row) for row in closed if row.status in FAILURES])


def end_earlier_attempts(connection: sa.Connection, job: str, run_id: str) -> None:
    """Ends statements that the run's earlier attempts left on the server with a lost connection.

    A process tries again only when its attempt has ended, so a session of the run that still works
    is a ghost: it would hold the job's lock until the server notices. Before a first attempt such a
    session is that of a second process, which two daemons started for one run; its lock holds.
    """
    session = job_sessions.c
    own = (session.job == job, session.run_id == run_id)
    connection.execute(
        sa.select(sa.func.pg_terminate_backend(session.backend_pid, GHOST_PATIENCE_MS)).where(
            *own, locks.SESSION_WORKS
        )
    ).all()
    connection.execute(
        sa.update(job_sessions)
        .where(*own, session.status == "RUNNING")
        .values(
            status="FAILED",
            will_retry=True,
            ended_at=sa.func.clock_timestamp(),
            duration_ms=MILLISECONDS_SO_FAR,
            error="The connection to PostgreSQL was lost.",
        )
    )
    earlier = connection.execute(sa.select(session.id).where(*own)).scalars()
    locks.end_extra_connections(connection, earlier.all(), GHOST_PATIENCE_MS)


def run_that_did(connection: sa.Connection, job: str, tick: dt.datetime) -> str | None:
    """The run that completed this instant of the job's schedule."""
    session = job_sessions.c
    return connection.execute(
        sa.select(session.run_id)
        .where(
            session.job == job,
            session.started_at >= tick - MAX_SKEW,
            session.tick == tick,
            session.trigger == "schedule",
            session.status == "COMPLETED",
        )
        .limit(1)
    ).scalar()


def last_tick_done(connection: sa.Connection, job: str) -> dt.datetime | None:
    """The tick of the job's latest session that completed; None: it never did."""
    session = job_sessions.c
    return connection.execute(
        sa.select(session.tick)
        .where(session.job == job, session.status == "COMPLETED")
        .order_by(session.started_at.desc())
        .limit(1)
    ).scalar()


def run_of_backend(connection: sa.Connection, pid: int | None) -> str | None:
    """The Dagster run whose session works on this server process."""
    if pid is None:
        return None
    return connection.execute(
        sa.select(job_sessions.c.run_id).where(
            job_sessions.c.status == "RUNNING", job_sessions.c.backend_pid == pid
        )
    ).scalar()


def cpu_seconds() -> float:
    """CPU time of this process and of the children it has waited for, user and system."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def reset_peak_memory() -> None:
    """Resets the peak, where the system can."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")


def peak_memory_mb() -> int:
    """Peak resident memory of this process since it was last reset, MB."""
    # Linux begins the usage of a process with the memory of the one that started it.
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)
