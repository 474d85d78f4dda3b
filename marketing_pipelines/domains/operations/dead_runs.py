"""Finds Dagster runs whose process is gone.

A run is one process. Its session proves it alive: the session's lock is free as soon as the
process is gone. A run between two sessions is given a minute.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.runs.sessions import close_abandoned
from marketing_pipelines.stores.tables import job_sessions

PATIENCE = dt.timedelta(minutes=1)


def close_and_find_dead(
    connection: sa.Connection, started: Mapping[str, dt.datetime], now: dt.datetime
) -> list[str]:
    """Closes sessions that were abandoned; returns the runs that no process works on.

    Args:
        started: When each run that counts as started began, by run id.
    """
    close_abandoned(connection)
    session = job_sessions.c
    rows = connection.execute(
        sa.select(
            session.run_id,
            sa.func.bool_or(session.status == "ABANDONED").label("abandoned"),
            sa.func.bool_or(session.status == "RUNNING").label("running"),
            sa.func.max(session.ended_at).label("ended_at"),
        )
        .where(session.run_id.in_(list(started)), session.status != "QUEUED")
        .group_by(session.run_id)
    )
    sessions = {row.run_id: row._mapping for row in rows}
    return [
        run_id
        for run_id, began in started.items()
        if _is_dead(sessions.get(run_id), began, now - PATIENCE)
    ]


def _is_dead(
    session: Mapping[Any, Any] | None,
    began: dt.datetime,
    before: dt.datetime,
) -> bool:
    if session is None:
        return began < before
    return bool(session["abandoned"] or (not session["running"] and session["ended_at"] < before))
