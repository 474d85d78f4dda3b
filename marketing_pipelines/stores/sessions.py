"""Job sessions: the row that says what worked, when, and how it ended.

Opened and closed by the work itself, on the connection that holds its locks.
"""

import datetime as dt
import resource
import sys
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.stores import locks
from marketing_pipelines.stores.tables import job_sessions

GHOST_PATIENCE_MS = 5_000
# How far the server's clock may be behind the one that strikes.
LARGEST_SKEW = dt.timedelta(hours=1)
MILLISECONDS_SO_FAR = sa.cast(
    sa.extract("epoch", sa.func.clock_timestamp() - job_sessions.c.started_at) * 1000,
    sa.BigInteger,
)


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
    items_ok: int | None = None,
    items_failed: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes how the session ended."""
    connection.execute(
        sa.update(job_sessions)
        .where(job_sessions.c.id == session_id)
        .values(
            status=status,
            error=error,
            items_ok=items_ok,
            items_failed=items_failed,
            metadata=dict(metadata or {}),
            rss_peak_mb=peak_memory_mb(),
            ended_at=sa.func.clock_timestamp(),
            duration_ms=MILLISECONDS_SO_FAR,
        )
    )


def close_abandoned(connection: sa.Connection) -> list[int]:
    """Closes RUNNING sessions whose process is gone; returns their numbers."""
    return list(
        connection.execute(
            sa.update(job_sessions)
            .where(job_sessions.c.status == "RUNNING", locks.SESSION_IS_GONE)
            .values(
                status="ABANDONED",
                ended_at=sa.func.clock_timestamp(),
                error="The process ended without closing its session.",
            )
            .returning(job_sessions.c.id)
        ).scalars()
    )


def end_earlier_attempts(connection: sa.Connection, job: str, run_id: str) -> None:
    """Ends what the run's earlier attempts left on the server when their connection was lost.

    A run is one process and tries again only when an attempt has ended, so a session of its own
    that still works is a ghost: it would hold the job's lock until the server notices.
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
            ended_at=sa.func.clock_timestamp(),
            duration_ms=MILLISECONDS_SO_FAR,
            error="The connection to PostgreSQL was lost.",
        )
    )


def run_that_did(connection: sa.Connection, job: str, tick: dt.datetime) -> str | None:
    """The run that completed this instant of the job's clock."""
    session = job_sessions.c
    return connection.execute(
        sa.select(session.run_id)
        .where(
            session.job == job,
            session.started_at >= tick - LARGEST_SKEW,
            session.tick == tick,
            session.trigger == "schedule",
            session.status == "COMPLETED",
        )
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


def peak_memory_mb() -> int:
    """Peak resident memory of this process, MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)
