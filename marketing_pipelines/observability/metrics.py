"""`/metrics` for Prometheus, counted by the database, so that every process gives the same numbers.

Counters come from totals that are kept when sessions are purged. A store that does not answer is
a metric that says so, never an error.
"""

import datetime as dt
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from marketing_pipelines import registry
from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines.freshness.schedules import schedules
from marketing_pipelines.observability import health
from marketing_pipelines.observability.health import dead_letter_counts
from marketing_pipelines.observability.lag import lags
from marketing_pipelines.queueing.counts import queue_counts
from marketing_pipelines.runs.incidents import OF_THE_JOB
from marketing_pipelines.runs.sessions import FAILURES, close_abandoned
from marketing_pipelines.runs.tables import alerts
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines.stores.postgres import connecting
from marketing_pipelines.stores.tables import (
    incidents,
    item_failures,
    job_sessions,
    job_totals,
    stale_partitions,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance

ENDS = ("COMPLETED", *FAILURES)
UNDELIVERED = ("failed", "unknown")
BOUNDS = ("0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "600.0",
          "1800.0", "+Inf")  # fmt: skip
STORES = ("postgresql", "dagster", "lake")
# The metrics that `operations/metrics` keeps for charts over months.
KEPT = (
    "marketing_job_lag_seconds",
    "marketing_queue_depth",
    "marketing_queue_oldest_seconds",
    "marketing_dead_letters",
    "marketing_stale_partitions",
    "marketing_items_failing",
    "marketing_database_size_bytes",
    "marketing_lake_size_bytes",
)
Families = Iterator[Metric]
# A table of the domain `delivery`, which stands above.
_message_events = sa.table(
    "message_events", sa.column("provider", sa.Text), sa.column("type", sa.Text), schema="delivery"
)
_logger = logging.getLogger(__name__)


def scrape(engine: sa.Engine, instance: "DagsterInstance | None", now: dt.datetime) -> bytes:
    """The text of `/metrics`, whether or not the database answers."""
    try:
        with connecting(engine.url), engine.begin() as connection:
            return render(connection, instance, now)
    except (MarketingPipelinesError, sa.exc.SQLAlchemyError):
        return render(None, instance, now)


def render(
    connection: sa.Connection | None, instance: "DagsterInstance | None", now: dt.datetime
) -> bytes:
    """The text of `/metrics`.

    Args:
        connection: None where the database does not answer.
        instance: None where Dagster's storage does not answer.
    """
    return generate_latest(_Families(list(_families(connection, instance, now))))


@dataclass(frozen=True)
class Sample:
    """One value of one metric."""

    metric: str
    labels: str
    value: float


def samples(connection: sa.Connection, now: dt.datetime) -> list[Sample]:
    """The values that are kept: queues, lags, sizes."""
    return [
        Sample(
            sample.name,
            ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items())),
            sample.value,
        )
        for family in [*_of_database(connection, now), *_of_lake()]
        for sample in family.samples
        if sample.name in KEPT
    ]


class _Families(CollectorRegistry):
    """Metrics that were collected already, in the order in which they were."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(
    connection: sa.Connection | None, instance: "DagsterInstance | None", now: dt.datetime
) -> Families:
    answers = dict.fromkeys(STORES, False)
    if connection is not None:
        found = _whole(lambda: list(_of_database(connection, now)))
        answers["postgresql"] = found is not None
        yield from found or ()
    heartbeat = None if instance is None else _whole(lambda: _of_dagster(instance, now))
    answers["dagster"] = heartbeat is not None
    yield from heartbeat or ()
    yield GaugeMetricFamily(
        "marketing_files_left_out",
        "Files of domains that cannot be imported",
        value=len(registry.import_errors),
    )
    lake = _whole(_of_lake)
    answers["lake"] = lake is not None
    yield from lake or ()
    up = GaugeMetricFamily("marketing_store_up", "1 where the store answers", labels=["store"])
    for store, does in answers.items():
        up.add_metric([store], float(does))
    yield up


def _whole(collect: Callable[[], list[Metric]]) -> list[Metric] | None:
    """Collects a part of the metrics, whole; None if its store fails on the way."""
    try:
        return collect()
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        _logger.warning("A part of the metrics is left out: %s", reason)
        return None


def _of_database(connection: sa.Connection, now: dt.datetime) -> Families:
    close_abandoned(connection)
    yield from _totals(connection)
    yield from _now(connection, now)
    yield from _waiting(connection)
    yield from _queues(connection)
    yield _unread(connection)
    size = connection.scalar(sa.select(sa.func.pg_database_size(sa.func.current_database())))
    yield GaugeMetricFamily(
        "marketing_database_size_bytes", "Size of the operational database", value=float(size or 0)
    )


def _totals(connection: sa.Connection) -> Families:
    durations = HistogramMetricFamily(
        "marketing_job_duration_seconds",
        "Durations of sessions, by their status",
        labels=["job", "status"],
    )
    runs = CounterMetricFamily(
        "marketing_job_runs", "Sessions that ended, by how they ended", labels=["job", "status"]
    )
    failed_items = CounterMetricFamily(
        "marketing_job_items_failed", "Items that failed while others were kept", labels=["job"]
    )
    items: dict[str, int] = {}
    counts = _with_zeros(itertools.product(registry.jobs(), ENDS), [])
    rows = connection.execute(sa.select(job_totals).order_by(job_totals.c.job, job_totals.c.status))
    for row in rows:
        labels = [row.job, row.status]
        counts[row.job, row.status] = row.runs
        durations.add_metric(labels, list(zip(BOUNDS, row.buckets, strict=True)), row.seconds)
        items[row.job] = items.get(row.job, 0) + row.items_failed
    for ended, number in counts.items():
        runs.add_metric(ended, number)
    for job, number in items.items():
        failed_items.add_metric([job], number)
    yield from (durations, runs, failed_items)


def _now(connection: sa.Connection, now: dt.datetime) -> Families:
    running = GaugeMetricFamily("marketing_job_running", "Sessions at work", labels=["job"])
    behind = GaugeMetricFamily(
        "marketing_job_lag_seconds",
        "Age of the earliest tick since the last success that is not done",
        labels=["job"],
    )
    overdue = GaugeMetricFamily(
        "marketing_job_overdue", "1 where a tick was not done in ten minutes", labels=["job"]
    )
    age = GaugeMetricFamily(
        "marketing_job_last_success_age_seconds",
        "Time since the latest successful session began",
        labels=["job"],
    )
    at_work: dict[str, int] = dict(
        connection.execute(
            sa.select(job_sessions.c.job, sa.func.count())
            .where(job_sessions.c.status == "RUNNING")
            .group_by(job_sessions.c.job)
        ).all()
    )
    found = lags(connection, schedules(), now, get_settings().zone)
    for job in sorted({lag.job for lag in found} | set(at_work)):
        running.add_metric([job], at_work.get(job, 0))
    for lag in found:
        behind.add_metric([lag.job], lag.seconds(now))
        overdue.add_metric([lag.job], float(lag.is_overdue(now)))
    succeeded = sa.select(job_totals.c.job, job_totals.c.last_started_at).where(
        job_totals.c.status == "COMPLETED"
    )
    for row in connection.execute(succeeded.order_by(job_totals.c.job)):
        age.add_metric([row.job], max(0.0, (now - row.last_started_at).total_seconds()))
    yield from (running, behind, overdue, age)


def _waiting(connection: sa.Connection) -> Families:
    items = GaugeMetricFamily(
        "marketing_items_failing", "Items whose latest attempt failed", labels=["job"]
    )
    for job, number in connection.execute(
        sa.select(item_failures.c.job, sa.func.count()).group_by(item_failures.c.job)
    ):
        items.add_metric([job], number)
    marked = GaugeMetricFamily(
        "marketing_stale_partitions", "Partitions that are marked to be done", labels=["asset"]
    )
    partitions = sa.func.count(stale_partitions.c.partition.distinct())
    for asset, number in connection.execute(
        sa.select(stale_partitions.c.asset, partitions).group_by(stale_partitions.c.asset)
    ):
        marked.add_metric([asset], number)
    lasts = incidents.c.recovered_at.is_(None)
    opened = sa.select(sa.func.count()).where(lasts)
    in_a_row = GaugeMetricFamily(
        "marketing_job_failures_in_a_row",
        "Final failures since the latest success",
        labels=["job"],
    )
    failing = (
        sa.select(incidents.c.subject, sa.func.max(incidents.c.failures))
        .where(lasts, sa.text(OF_THE_JOB), incidents.c.subject.in_(registry.jobs()))
        .group_by(incidents.c.subject)
    )
    for job, number in _with_zeros(registry.jobs(), connection.execute(failing)).items():
        in_a_row.add_metric([job], number)
    told = GaugeMetricFamily("marketing_alerts", "Alerts by their state", labels=["state"])
    by_state = sa.select(alerts.c.state, sa.func.count()).group_by(alerts.c.state)
    for state, number in _with_zeros(UNDELIVERED, connection.execute(by_state)).items():
        told.add_metric([state], number)
    yield from (items, marked, in_a_row, told)
    yield GaugeMetricFamily(
        "marketing_incidents_open",
        "Unbroken rows of failures that last",
        value=connection.scalar(opened) or 0,
    )


def _with_zeros(keys: Iterable[Any], counted: Iterable[Any]) -> dict[Any, int]:
    """Includes events that have not happened yet: a series that begins with 1 never increased."""
    return dict.fromkeys(keys, 0) | dict(tuple(row) for row in counted)


def _queues(connection: sa.Connection) -> Families:
    depth = GaugeMetricFamily(
        "marketing_queue_depth", "Tasks by their state", labels=["queue", "state"]
    )
    oldest = GaugeMetricFamily(
        "marketing_queue_oldest_seconds",
        "Seconds since the longest waiting task was due",
        labels=["queue"],
    )
    paused = GaugeMetricFamily("marketing_queue_paused", "1 where it is paused", labels=["queue"])
    for found in queue_counts(connection):
        for state in ("waiting", "active", "completed", "failed", "delayed"):
            depth.add_metric([found.queue, state], getattr(found, state))
        oldest.add_metric([found.queue], found.oldest_seconds or 0.0)
        paused.add_metric([found.queue], float(found.paused))
    letters = GaugeMetricFamily(
        "marketing_dead_letters",
        "Tasks that failed for good and wait for a decision",
        labels=["queue"],
    )
    for queue, number in dead_letter_counts(connection).items():
        letters.add_metric([queue], number)
    yield from (depth, oldest, paused, letters)


def _unread(connection: sa.Connection) -> Metric:
    """Elements of provider webhooks that say nothing that this release knows."""
    family = CounterMetricFamily(
        "marketing_message_events_unread",
        "Elements of provider webhooks that could not be read",
        labels=["provider"],
    )
    count = sa.select(_message_events.c.provider, sa.func.count()).group_by(
        _message_events.c.provider
    )
    for provider, number in connection.execute(count.where(_message_events.c.type == "unread")):
        family.add_metric([provider], number)
    return family


def _of_dagster(instance: "DagsterInstance", now: dt.datetime) -> list[Metric]:
    age = health.heartbeat_age(instance, now)
    family = GaugeMetricFamily(
        "marketing_scheduler_heartbeat_age_seconds",
        "Time since the scheduler's last sign of life; absent where it never gave one",
    )
    if age is not None:
        family.add_metric([], age)
    return [family]


def _of_lake() -> list[Metric]:
    return [
        GaugeMetricFamily(
            "marketing_lake_size_bytes",
            "Size of the event lake's files",
            value=float(Lake(get_settings().effective_lake_url).size()),
        )
    ]
