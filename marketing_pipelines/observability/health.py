"""Health: whether the machinery does its work, in one word, with the numbers and the reasons."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from marketing_pipelines import registry
from marketing_pipelines.freshness.schedules import schedules
from marketing_pipelines.jobs.scheduling import stopped_instigators
from marketing_pipelines.observability.lag import lags
from marketing_pipelines.queueing.counts import queue_counts
from marketing_pipelines.queueing.tables import dead_letters
from marketing_pipelines.runs.sessions import close_abandoned, failed_since
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.tables import job_sessions

if TYPE_CHECKING:
    from dagster import DagsterInstance

HealthStatus = Literal["healthy", "degraded", "unhealthy"]
FAILURES_ALLOWED = 5
HEARTBEAT_WITHIN = dt.timedelta(minutes=5)
SCHEDULER = "SCHEDULER"
WAITED = dt.timedelta(hours=1)
# The first message of each channel by its index: one look, however many wait.
_WAITING = sa.text("""
    select name
    from unnest(cast(:channels as text[])) as unset (name)
    where delivery.waiting_since(name) < :before
    order by name
""")


_OVERDUE_SYNCS = sa.text("""
    select sync.what, connection.provider, connection.external_id,
           organization.external_id as organization
    from integrations.syncs as sync
    join integrations.connections as connection on connection.id = sync.connection_id
    join crm.organizations as organization on organization.id = connection.organization_id
    where sync.overdue_at < :now
    order by organization.external_id, connection.provider, connection.external_id, sync.what
    limit 20
""")
_RUNNING = (
    sa.select(sa.func.count()).select_from(job_sessions).where(job_sessions.c.status == "RUNNING")
)


@dataclass(frozen=True)
class Health:
    """The verdict on the work of the machinery.

    Attributes:
        running: Sessions at work.
        failures_24h: Runs of jobs that failed for good in the last 24 hours, by any end.
        abandoned_24h: Failures among them whose process died.
        overdue: Jobs whose tick was not done ten minutes later and that nothing works on.
        stopped: Schedules and sensors that were stopped in the Dagster UI.
        queue_age_seconds: Waiting time of the oldest waiting task.
        heartbeat_seconds: Age of the scheduler's last heartbeat; None: there is none.
        reasons: Why it is not healthy, one sentence each.
    """

    status: HealthStatus
    running: int = 0
    failures_24h: int = 0
    abandoned_24h: int = 0
    overdue: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    queue_age_seconds: float = 0.0
    heartbeat_seconds: float | None = None
    reasons: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


def ready(connection: sa.Connection) -> dict[str, str]:
    """The database answers and holds the tables."""
    connection.execute(sa.select(job_sessions.c.id).limit(1)).all()
    return {"status": "ready"}


def unreachable(sentence: str) -> Health:
    """The verdict where the database does not answer."""
    return Health("unhealthy", reasons=[sentence])


def report(
    connection: sa.Connection, instance: "DagsterInstance | None", now: dt.datetime
) -> Health:
    """The verdict at `now`.

    Unhealthy: the scheduler shows no sign of life, or files of a domain cannot be imported.
    Degraded: more than five runs failed in 24 hours, a job is overdue, a schedule or sensor is
    stopped, messages have waited an hour for the setting of their channel, a connection to
    another system has made no progress for ten ticks of its job, or production has no backups.

    Args:
        instance: Dagster's storage; None where it does not answer.
    """
    close_abandoned(connection)
    running = connection.scalar(_RUNNING) or 0
    failed = failed_since(connection, now - dt.timedelta(hours=24))
    abandoned = sum(session.status == "ABANDONED" for session in failed)
    overdue = [
        lag.job
        for lag in lags(connection, schedules(), now, get_settings().zone)
        if lag.is_overdue(now)
    ]
    try:
        heartbeat = heartbeat_age(instance, now)
        stopped = sorted(stopped_instigators(instance)) if instance is not None else []
    except Exception:  # Dagster's storage raises errors of any class while it does not answer
        heartbeat, stopped = None, []
    wrong = _wrong(heartbeat)
    worrying = _worrying(len(failed), overdue, stopped) + _waiting(connection, now)
    worrying += _overdue_syncs(connection, now) + _unset()
    return Health(
        status="unhealthy" if wrong else "degraded" if worrying else "healthy",
        running=running,
        failures_24h=len(failed),
        abandoned_24h=abandoned,
        overdue=overdue,
        stopped=stopped,
        queue_age_seconds=max(
            (q.oldest_seconds or 0.0 for q in queue_counts(connection)), default=0
        ),
        heartbeat_seconds=heartbeat,
        reasons=wrong + worrying,
    )


def dead_letter_counts(connection: sa.Connection) -> dict[str, int]:
    """Tasks that failed permanently and are neither redriven nor discarded, by queue."""
    rows = connection.execute(
        sa.select(dead_letters.c.queue, sa.func.count())
        .where(dead_letters.c.state == "dead")
        .group_by(dead_letters.c.queue)
        .order_by(dead_letters.c.queue)
    )
    return dict(rows.all())


def heartbeat_age(instance: "DagsterInstance | None", now: dt.datetime) -> float | None:
    """Seconds since the scheduler's last sign of life; None: there is none."""
    if instance is None:
        return None
    beat = instance.get_daemon_heartbeats().get(SCHEDULER)
    return None if beat is None else max(0.0, now.timestamp() - beat.timestamp)


def _wrong(heartbeat: float | None) -> list[str]:
    found = []
    if heartbeat is None or heartbeat > HEARTBEAT_WITHIN.total_seconds():
        found.append(
            "The scheduler shows no sign of life: start `marketing-pipelines up` or look at its "
            "daemon."
        )
    found += [
        f"{module} cannot be imported and is left out: {reason}."
        for module, reason in registry.import_errors.items()
    ]
    return found


def _waiting(connection: sa.Connection, now: dt.datetime) -> list[str]:
    """The channels whose messages have waited an hour for a setting; in development none waits."""
    settings = get_settings()
    unset = {
        channel: variable
        for channel, variable, value in (
            ("email", "MARKETING_SMTP_URL", settings.smtp_url),
            ("sms", "MARKETING_SMS_URL", settings.sms_url),
            ("push", "MARKETING_PUSH_URL", settings.push_url),
        )
        if value is None
    }
    if settings.env == "development" or not unset:
        return []
    values = {"channels": list(unset), "before": now - WAITED}
    channels = connection.execute(_WAITING, values).scalars()
    return [
        f"Messages of the channel {channel} have waited for an hour: set {unset[channel]}."
        for channel in channels
    ]


def _overdue_syncs(connection: sa.Connection, now: dt.datetime) -> list[str]:
    """The synchronizations without a success for ten ticks, at least an hour; the first twenty."""
    return [
        f"The {row.what} of {' '.join(filter(None, [row.provider, row.external_id]))} of "
        f"{row.organization} make no progress: look at "
        "`marketing-pipelines connection list`."
        for row in connection.execute(_OVERDUE_SYNCS, {"now": now})
    ]


def _unset() -> list[str]:
    """The settings that production must not do without."""
    settings = get_settings()
    if settings.env == "production" and settings.backup_url is None:
        return ["No backup is configured: set MARKETING_BACKUP_URL."]
    return []


def _worrying(failed: int, overdue: Sequence[str], stopped: Sequence[str]) -> list[str]:
    found = []
    if failed > FAILURES_ALLOWED:
        found.append(f"{failed} runs failed in 24 hours.")
    if overdue:
        found.append(f"Overdue: {', '.join(overdue)}.")
    if stopped:
        found.append(f"Stopped in the Dagster UI: {', '.join(stopped)}.")
    return found
