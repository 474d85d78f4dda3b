"""Job sessions: the row that says what worked, when, and how it ended.

Opened and closed by the work itself, on the connection that holds its locks.
"""

import datetime as dt
import resource
import sys
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.redaction import redact
from marketing_pipelines.stores import incidents, locks
from marketing_pipelines.stores.tables import job_sessions

# What is a failure of the job once it is not tried again.
FAILURES = ("FAILED", "TIMED_OUT", "ABANDONED")


def open_session(
    connection: sa.Connection,
    *,
    job: str,
    trigger: str,
    tick: dt.datetime,
    partition: str | None,
    run_id: str | None,
) -> int:
    """Writes a RUNNING session and takes its lock; returns its number."""
    session_id: int = connection.execute(
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
    """Writes how the session ended, and in the same transaction what follows for alerts.

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
            duration_ms=sa.cast(
                sa.extract("epoch", sa.func.clock_timestamp() - job_sessions.c.started_at) * 1000,
                sa.BigInteger,
            ),
        )
        .returning(job_sessions.c.job, job_sessions.c.run_id, job_sessions.c.error)
    ).one()
    if status == "COMPLETED":
        incidents.recovered(connection, closed.job)
    elif status in FAILURES and not will_retry:
        incidents.failed(connection, [incidents.Failure(closed.job, closed.error, closed.run_id)])


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
        .returning(
            job_sessions.c.id, job_sessions.c.job, job_sessions.c.error, job_sessions.c.run_id
        )
    ).all()
    incidents.failed(connection, [incidents.Failure(r.job, r.error, r.run_id) for r in closed])
    return [row.id for row in closed]


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


def peak_memory_mb() -> int:
    """Peak resident memory of this process, MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)
