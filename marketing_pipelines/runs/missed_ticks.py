"""Ticks that are late: Dagster fires schedules, and this module decides which ticks count.

Dagster remembers the last tick, not the cron: after an edit it fires for the latest instant of the
new cron, although that was never scheduled. Dagster's ticks and runs are purged; sessions remain.
"""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.runs.sessions import run_that_did
from marketing_pipelines.stores.tables import clocks

PUNCTUAL = dt.timedelta(minutes=1)


def reason_to_skip(
    connection: sa.Connection,
    job: str,
    cron: str,
    tick: dt.datetime,
    *,
    now: dt.datetime,
    skip_after: dt.timedelta | None,
) -> str | None:
    """Returns the reason for which the tick starts nothing, or None; notes the cron.

    Args:
        skip_after: Ticks older than this are not caught up; None: every one is.
    """
    delay = now - tick
    edited = _note(connection, job, cron)
    if edited and delay > PUNCTUAL:
        return f"The cron was edited to '{cron}' after this instant."
    if skip_after is not None and delay > skip_after:
        return f"The tick is {delay // dt.timedelta(minutes=1)} minutes late and is not caught up."
    done_by = run_that_did(connection, job, tick)
    return None if done_by is None else f"Run {done_by} has done this tick."


def _note(connection: sa.Connection, job: str, cron: str) -> bool:
    """Remembers the cron; whether it was another one before."""
    insert = pg.insert(clocks).values(job=job, cron=cron)
    written: sa.CursorResult[Any] = connection.execute(
        insert.on_conflict_do_update(
            index_elements=["job"],
            set_={"cron": insert.excluded.cron},
            where=clocks.c.cron != insert.excluded.cron,
        ).returning(sa.literal_column("xmax <> 0"))
    )
    return bool(written.scalar())
