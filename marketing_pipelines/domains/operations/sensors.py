"""The sensors that serve every domain."""

import datetime as dt

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason

from marketing_pipelines import addresses, registry
from marketing_pipelines.domains.operations.dead_runs import PATIENCE, close_and_find_dead
from marketing_pipelines.domains.operations.requests import next_requests
from marketing_pipelines.freshness import propagation, stale_partitions
from marketing_pipelines.freshness.partitions import PartitionedAsset, registered
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import (
    UNDER_WAY,
    WHILE_OFF,
    is_under_way,
    job_name,
    partitioned_jobs,
    sensor,
)
from marketing_pipelines.observability import alerts
from marketing_pipelines.policies import policy_of
from marketing_pipelines.runs import materializations, sessions
from marketing_pipelines.runs.tags import ONLY_MARKED_TAG

_ENDS = {dg.DagsterRunStatus.CANCELED: "CANCELED", dg.DagsterRunStatus.FAILURE: "FAILED"}


@sensor(
    jobs=partitioned_jobs(),
    seconds=5,
    while_off="Marked partitions stay stale; late events are not counted.",
)
def stale_partitions_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> list[dg.RunRequest] | dg.SkipReason:
    """Requests one run per range of marked partitions, oldest first, as soon as they are ready.

    It has no cursor to lose: the marks are the whole state. A partition that is still marked 15
    minutes after its request, with no active run of its job, is requested again.
    """
    now = dt.datetime.now(dt.UTC)
    with postgres.begin() as connection:
        requests = next_requests(
            propagation.pending(connection, now=now, zone=postgres.settings.zone),
            [asset for asset in registered().values() if _is_on(asset)],
            now=now,
            zone=postgres.settings.zone,
            first_day=postgres.settings.first_day,
            is_under_way=lambda asset: is_under_way(context.instance, job_of(asset)),
        )
        requests = [r for r in requests if not _is_queued(context.instance, job_of(r.asset))]
        for request in requests:
            keys = [w.key for w in request.windows]
            stale_partitions.set_requested(connection, request.asset.key, keys, now)
    if not requests:
        return dg.SkipReason("No partition is stale and ready.")
    return [
        dg.RunRequest(
            job_name=job_of(request.asset),
            tags={
                "dagster/asset_partition_range_start": request.windows[0].key,
                "dagster/asset_partition_range_end": request.windows[-1].key,
                ONLY_MARKED_TAG: "true",
                **materializations.DEFERRED,
            },
        )
        for request in requests
    ]


@sensor(
    seconds=15,
    while_off="A run whose process was killed stays STARTED until its time is up.",
)
def dead_runs_sensor(context: dg.SensorEvaluationContext, postgres: Postgres) -> dg.SkipReason:
    """Fails runs whose process was killed, so that Dagster starts them again.

    Dagster itself waits for such a run until its time is up.
    """
    records = context.instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    )
    started = {r.dagster_run.run_id: _instant(r.start_time or 0) for r in records}
    with postgres.begin() as connection:
        dead = close_and_find_dead(connection, started, dt.datetime.now(dt.UTC))
    for record in records:
        if record.dagster_run.run_id in dead:
            context.instance.report_run_failed(
                record.dagster_run,
                "The process of this run is gone.",
                JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION),
            )
    _close_queued_sessions(context.instance, postgres)
    return dg.SkipReason(f"{len(dead)} of {len(records)} runs had lost their process.")


def _close_queued_sessions(instance: dg.DagsterInstance, postgres: Postgres) -> None:
    """Closes sessions of runs that ended before they began. A run that was never put into the queue
    is canceled with its session."""
    with postgres.begin() as connection:
        waiting = sessions.queued(connection, before=dt.datetime.now(dt.UTC) - PATIENCE)
    if not waiting:
        return
    runs = {r.run_id: r for r in instance.get_runs(dg.RunsFilter(run_ids=list(waiting)))}
    ends: dict[int, str] = {}
    for run_id, session_id in waiting.items():
        run = runs.get(run_id)
        if run is not None and run.status is dg.DagsterRunStatus.NOT_STARTED:
            instance.report_run_canceled(run, "It was never put into the queue.")
            ends[session_id] = "CANCELED"
        elif run is None or run.status not in UNDER_WAY:
            ends[session_id] = _ENDS.get(run.status, "ABANDONED") if run else "ABANDONED"
    with postgres.begin() as connection:
        sessions.close_queued(connection, ends)


def job_of(asset: PartitionedAsset) -> str:
    """The job that does the asset's partitions."""
    return job_name((asset.runs_with or asset).key)


def _is_on(asset: PartitionedAsset) -> bool:
    """Returns true if the asset's job is on; the marks of a disabled job wait for a run by hand."""
    return policy_of((asset.runs_with or asset).key).is_on


def _instant(timestamp: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC)


def _is_queued(instance: dg.DagsterInstance, job: str) -> bool:
    """A run that waits for its turn will see marks that are newer than its request."""
    queued = [dg.DagsterRunStatus.QUEUED]
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=queued), limit=1))


@sensor(
    seconds=15,
    while_off="Alerts stay in `ops.alerts`, undelivered.",
)
def alerts_sensor(postgres: Postgres) -> dg.SkipReason:
    """Delivers due alerts to the owners of the failing jobs."""
    recipients = alerts.Recipients(
        addresses=addresses.read(postgres.settings.alert_urls),
        owner_of=registry.owner_of,
        is_muted=lambda subject: not policy_of(subject.split()[-1]).alert,
    )
    sent = alerts.deliver(postgres.begin, recipients, dt.datetime.now(dt.UTC))
    return dg.SkipReason(f"{sent} alerts were delivered.")


automation_sensor = dg.AutomationConditionSensorDefinition(
    "automation_sensor",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Requests a run of each asset whose automation condition holds: "
    "`analytics/warehouse` when its sources have changed.",
    metadata={WHILE_OFF: "The warehouse file keeps its last state until it is run by hand."},
)
