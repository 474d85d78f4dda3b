"""The lag of each job behind its schedule."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.freshness.partitions import registered
from marketing_pipelines.freshness.propagation import partition_of_tick
from marketing_pipelines.freshness.schedules import Schedule
from marketing_pipelines.stores.tables import installation

GRACE = dt.timedelta(minutes=10)


@dataclass(frozen=True)
class Lag:
    """One schedule against the ticks that were done.

    Attributes:
        since: The earliest tick that is not done since the last success; None: nothing is behind.
        is_running: True if a session of the job works now.
        last_success: When the latest successful session began.
    """

    job: str
    since: dt.datetime | None
    is_running: bool
    last_success: dt.datetime | None

    def seconds(self, now: dt.datetime) -> float:
        """Returns the seconds for which the earliest of the open ticks has waited."""
        return (now - self.since).total_seconds() if self.since else 0.0

    def is_overdue(self, now: dt.datetime) -> bool:
        """Returns true if a tick was not done in ten minutes, and nothing works on it."""
        return self.since is not None and now - self.since > GRACE and not self.is_running


# One row for each schedule: its job, the partition of its last tick, and the state of both.
_KNOWN = sa.text("""
    select schedule.job, total.last_started_at as last_success, done.finished_at,
           exists (
               select from ops.job_sessions as session
               where session.job = schedule.job and session.status in ('RUNNING', 'QUEUED')
           ) as is_running
    from unnest(:jobs, :partitions) as schedule (job, partition)
    left join ops.job_totals as total on total.job = schedule.job and total.status = 'COMPLETED'
    left join analytics.finished_partitions as done
        on done.asset = schedule.job and done.partition = schedule.partition
""").bindparams(
    sa.bindparam("jobs", type_=pg.ARRAY(sa.Text)),
    sa.bindparam("partitions", type_=pg.ARRAY(sa.Text)),
)


def lags(
    connection: sa.Connection, schedules: Sequence[Schedule], now: dt.datetime, zone: ZoneInfo
) -> list[Lag]:
    """Every schedule's lag, in one query."""
    installed = connection.execute(sa.select(installation.c.started_at)).scalar_one()
    latest = {schedule.job: schedule.last_tick(now) for schedule in schedules}
    own = {
        job: partition_of_tick(registered()[job], tick, zone).key if job in registered() else None
        for job, tick in latest.items()
    }
    known = {
        row.job: row
        for row in connection.execute(_KNOWN, {"jobs": list(own), "partitions": list(own.values())})
    }
    return list(_lags(schedules, latest, known, installed))


def _lags(
    schedules: Sequence[Schedule],
    latest: dict[str, dt.datetime],
    known: dict[str, sa.Row[tuple[object, ...]]],
    installed: dt.datetime,
) -> Iterator[Lag]:
    for schedule in schedules:
        row, tick = known[schedule.job], latest[schedule.job]
        done_at = row.finished_at if schedule.job in registered() else row.last_success
        since = None
        if tick >= installed and (done_at is None or done_at < tick):
            begin = max(installed, row.last_success or installed)
            since = min(tick, next(t for t in schedule.ticks(begin) if t > begin))
        yield Lag(schedule.job, since, row.is_running, row.last_success)
