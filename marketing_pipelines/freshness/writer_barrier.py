"""Waiting for transactions that still write rows of a time that is over.

Triggers leave the running hour or day to its schedule, and its run cannot see uncommitted rows.
"""

import datetime as dt
import time
from collections.abc import Sequence

import sqlalchemy as sa

from marketing_pipelines.failures import UpstreamNotReadyError

CLOCK_DIFFERENCE = dt.timedelta(seconds=90)
OPEN_WRITERS = sa.text(
    "select virtualtransaction from pg_locks left join pg_stat_activity using (pid)"
    " where database = (select oid from pg_database where datname = current_database())"
    " and locktype = 'relation' and mode = 'RowExclusiveLock' and granted"
    " and relation in (select cast(name as regclass) from unnest(cast(:tables as text[])) as name)"
    " and pg_locks.pid is distinct from pg_backend_pid()"
    " and coalesce(xact_start, '-infinity') < :end"
)


def require_over(connection: sa.Connection, end: dt.datetime) -> None:
    """Refuses a time that is not over by PostgreSQL's clock, with a tolerance for different clocks.

    Rows of such a time make no marks when they arrive, so it must not count as done.

    Raises:
        UpstreamNotReadyError: this machine's clock is ahead.
    """
    ahead = end - connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    connection.rollback()
    if ahead > CLOCK_DIFFERENCE:
        raise UpstreamNotReadyError(
            f"By PostgreSQL's clock {end:%Y-%m-%d %H:%M} UTC is {ahead.total_seconds():.0f} s "
            "ahead: set both clocks by NTP; the work is done when the time is over."
        )


def wait_for_writers(
    connection: sa.Connection,
    tables: Sequence[str],
    end: dt.datetime,
    *,
    patience: dt.timedelta,
) -> None:
    """Waits until no transaction that began before `end` and wrote to the tables is open.

    It waits for PostgreSQL's clock, too, where `end` is near: ours may go ahead by a little, and
    the triggers judge by PostgreSQL's. A time that is far from over is taken as it stands.

    Raises:
        UpstreamNotReadyError: one is still open when patience ends.
    """
    ahead = end - connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    connection.rollback()
    if dt.timedelta() < ahead <= CLOCK_DIFFERENCE:
        time.sleep(ahead.total_seconds())
    deadline = time.monotonic() + patience.total_seconds()
    asked = {"tables": list(tables), "end": end}
    writers = set(connection.execute(OPEN_WRITERS, asked).scalars())
    while writers:
        connection.rollback()
        if time.monotonic() > deadline:
            raise UpstreamNotReadyError(
                f"A transaction has been writing to {' or '.join(tables)} since before "
                f"{end:%Y-%m-%d %H:%M} UTC and has not committed: end it, then the work goes on."
            )
        time.sleep(0.05)
        writers &= set(connection.execute(OPEN_WRITERS, asked).scalars())
    connection.rollback()
