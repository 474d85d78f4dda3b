"""The occurrence calendar: the outcome of every instant at which a job was to run."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.freshness.partitions import PartitionedAsset, registered
from marketing_pipelines.freshness.propagation import partition_of_tick
from marketing_pipelines.freshness.schedules import Schedule
from marketing_pipelines.jobs.scheduling import job_name, schedule_name, stopped_instigators
from marketing_pipelines.observability.lag import GRACE
from marketing_pipelines.runs.sessions import DID_NOT_END_WELL, close_abandoned
from marketing_pipelines.stores.tables import (
    finished_partitions,
    installation,
    job_sessions,
    stale_partitions,
)

RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
WAITING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
]
OccurrenceStatus = Literal["ran", "caught up", "running", "failed", "skipped", "missed", "not due"]


@dataclass(frozen=True)
class Occurrence:
    """One instant of one schedule.

    Attributes:
        partition: Partition of the instant; None for a job without partitions.
        reason: Why it did not run, or the run that caught it up.
    """

    job: str
    tick: dt.datetime
    partition: str | None
    status: OccurrenceStatus
    reason: str = ""


@dataclass(frozen=True)
class SessionRecord:
    """A job session, as the calendar needs it."""

    tick: dt.datetime
    status: str
    started_at: dt.datetime
    error: str | None = None
    partition: str | None = None

    def is_of(self, tick: dt.datetime, following: dt.datetime, partition: str | None) -> bool:
        """Returns true if the session worked for the tick, which is for that partition."""
        if partition is not None:
            first, _, last = (self.partition or "").partition("...")
            # Keys of one grain sort like the windows they name.
            if not first <= partition <= (last or first):
                return False
        return self.tick == tick or tick <= self.started_at < following


Span = tuple[str, str]


@dataclass(frozen=True)
class Standing:
    """Dagster's view of jobs that have not started.

    Attributes:
        stopped: Schedules that were stopped in the UI.
        queued: The runs that wait for their turn: first and last partition, by job name.
    """

    stopped: frozenset[str] = frozenset()
    queued: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, instance: dg.DagsterInstance) -> "Standing":
        """Asks Dagster's storage."""
        queued: dict[str, tuple[Span, ...]] = {}
        for run in instance.get_runs(dg.RunsFilter(statuses=WAITING)):
            own = run.tags.get("dagster/partition", "")
            first, last = (run.tags.get(tag, own) for tag in RANGE_TAGS)
            queued[run.job_name] = (*queued.get(run.job_name, ()), (first, last))
        return cls(frozenset(stopped_instigators(instance)), queued)


@dataclass(frozen=True)
class JobRecord:
    """The known facts about one job.

    Attributes:
        finished: When each partition was last done.
        marked: Partitions that wait to be done.
        queued: First and last partition of each run that waits for its turn; empty texts where
            the job has no partitions.
        is_stopped: True if its schedule is stopped in the Dagster UI.
    """

    sessions: Sequence[SessionRecord] = ()
    finished: Mapping[str, dt.datetime] = field(default_factory=dict)
    marked: frozenset[str] = frozenset()
    queued: tuple[Span, ...] = ()
    is_stopped: bool = False

    def waits(self, partition: str | None) -> bool:
        """Returns true if a queued run covers the partition."""
        return any(partition is None or first <= partition <= last for first, last in self.queued)

    def done_since(self, tick: dt.datetime, partition: str | None) -> dt.datetime | None:
        """Returns the instant at which the tick's work was done; None: not since the tick."""
        if partition is not None:
            finished_at = self.finished.get(partition)
            return finished_at if finished_at is not None and finished_at >= tick else None
        ends = [s.started_at for s in self.sessions if s.status == "COMPLETED"]
        return min((end for end in ends if end >= tick), default=None)


def occurrences(
    connection: sa.Connection,
    schedules: Sequence[Schedule],
    *,
    since: dt.datetime,
    until: dt.datetime,
    now: dt.datetime,
    zone: ZoneInfo,
    standing: Standing,
) -> list[Occurrence]:
    """Every instant between `since` (but not before the first start) and `until`, oldest first."""
    close_abandoned(connection)
    started_at = connection.execute(sa.select(installation.c.started_at)).scalar_one()
    since = max(since, started_at.astimezone(dt.UTC))
    found: list[Occurrence] = []
    for schedule in schedules:
        record = _record(connection, schedule.job, since, standing)
        asset = registered().get(schedule.job)
        found += _of_clock(schedule, asset, record, since=since, until=until, now=now, zone=zone)
    return sorted(found, key=lambda o: (o.tick, o.job))


def _of_clock(
    schedule: Schedule,
    asset: PartitionedAsset | None,
    record: JobRecord,
    *,
    since: dt.datetime,
    until: dt.datetime,
    now: dt.datetime,
    zone: ZoneInfo,
) -> Iterator[Occurrence]:
    for tick, following in pairwise(schedule.ticks(since)):
        if tick > until:
            return
        partition = partition_of_tick(asset, tick, zone).key if asset else None
        status, reason = judge(record, tick, following, partition, now)
        yield Occurrence(schedule.job, tick, partition, status, reason)


def judge(
    record: JobRecord,
    tick: dt.datetime,
    following: dt.datetime,
    partition: str | None,
    now: dt.datetime,
) -> tuple[OccurrenceStatus, str]:
    """Returns the status of a tick and the reason; `following` is the next tick."""
    if tick > now:
        return "not due", ""
    own = [s for s in record.sessions if s.is_of(tick, following, partition)]
    statuses = {s.status for s in own}
    if statuses & {"RUNNING", "QUEUED"}:
        return "running", ""
    done_at = record.done_since(tick, partition)
    if done_at is not None and "COMPLETED" in statuses:
        return "ran", ""
    if done_at is not None:
        return "caught up", f"done at {done_at:%Y-%m-%d %H:%M} UTC"
    for session in reversed(own):
        if session.status in DID_NOT_END_WELL:
            return "failed", session.error or session.status
        if session.status == "SKIPPED_OVERLAP":
            return "skipped", session.error or ""
    if (partition is not None or following > now) and record.waits(partition):
        return "running", "its run waits in Dagster's queue"
    if record.is_stopped:
        return "missed", "its schedule is stopped in the Dagster UI: start it there"
    if now - tick <= GRACE:
        return "not due", "late by less than ten minutes"
    if partition in record.marked:
        return "missed", "is marked: waits for partitions that it reads, or for the daemon"
    return (
        "missed",
        "nothing ran: the daemon was off, the schedule was stopped, or its run was lost",
    )


def _record(
    connection: sa.Connection, job: str, since: dt.datetime, standing: Standing
) -> JobRecord:
    session, done, mark = job_sessions.c, finished_partitions.c, stale_partitions.c
    sessions = connection.execute(
        sa.select(
            session.tick, session.status, session.started_at, session.error, session.partition
        )
        .where(session.job == job, session.started_at >= since)
        .order_by(session.id)
    )
    finished = connection.execute(
        sa.select(done.partition, done.finished_at).where(
            done.asset == job, done.finished_at >= since
        )
    )
    marked = connection.execute(sa.select(mark.partition).where(mark.asset == job)).scalars()
    return JobRecord(
        sessions=[SessionRecord(*row) for row in sessions],
        finished={row.partition: row.finished_at for row in finished},
        marked=frozenset(marked),
        queued=standing.queued.get(job_name(job), ()),
        is_stopped=schedule_name(job) in standing.stopped,
    )
