"""`scheduled()`: an asset's clock. Derives the names, defines the job and the schedule, attaches
policy as tags; nothing more. Also the partition definitions that all assets share."""

import datetime as dt
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)
from dagster._core.scheduler.instigation import InstigatorStatus

from marketing_pipelines import policies, registry
from marketing_pipelines.freshness import propagation, stale_partitions
from marketing_pipelines.freshness.partitions import PartitionedAsset, clock_zone
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.policies import (
    ALL_ENVIRONMENTS,
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT,
    CatchUp,
    Policy,
)
from marketing_pipelines.runs.missed_ticks import reason_to_skip
from marketing_pipelines.runs.tags import MAX_RUNTIME_TAG
from marketing_pipelines.settings import get_settings

# The name in workspace.yaml and pyproject.toml.
CODE_LOCATION = "marketing_pipelines"
DEFAULT_SKIP_AFTER = dt.timedelta(hours=1)
SINGLE_RUN = dg.BackfillPolicy.single_run()
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def hourly() -> dg.HourlyPartitionsDefinition:
    """UTC hours that are over; the first day may begin on the UTC day before."""
    return dg.HourlyPartitionsDefinition(
        start_date=_first_day() - dt.timedelta(days=1), timezone="UTC"
    )


def daily() -> dg.DailyPartitionsDefinition:
    """Labels of days of the reporting zone, the running day included."""
    return dg.DailyPartitionsDefinition(
        start_date=_first_day(), timezone="UTC", end_offset=1 + _ahead_of_utc()
    )


def monthly() -> dg.MonthlyPartitionsDefinition:
    """Labels of months of the reporting zone that are over."""
    return dg.MonthlyPartitionsDefinition(
        start_date=_first_day(), timezone="UTC", end_offset=_ahead_of_utc()
    )


def over(asset: Any) -> dg.AssetDep:
    """A dependency on finer partitions: those of the window and one window to each side, since a
    day of the reporting zone is not a UTC day."""
    return dg.AssetDep(
        asset,
        partition_mapping=dg.TimeWindowPartitionMapping(
            start_offset=-1, end_offset=1, allow_nonexistent_upstream_partitions=True
        ),
    )


_PARTITIONED_JOBS: list[Any] = []


def partitioned_jobs() -> list[Any]:
    """The jobs of all partitioned assets; complete once every `jobs.py` is loaded."""
    return _PARTITIONED_JOBS


def job_name(asset_key: str) -> str:
    """`analytics/hourly_events` → `analytics__hourly_events_job`."""
    return asset_key.replace("/", "__") + "_job"


def schedule_name(asset_key: str) -> str:
    """`analytics/hourly_events` → `analytics__hourly_events_schedule`."""
    return job_name(asset_key).removesuffix("_job") + "_schedule"


def stopped_clocks(instance: dg.DagsterInstance) -> set[str]:
    """The schedules and sensors that somebody stopped in the Dagster UI.

    Dagster also keeps the states of removed ones, and of those of an earlier code location.
    """
    if instance.schedule_storage is None:  # an instance in memory, which has no daemon
        return set()
    stopped = instance.all_instigator_state(instigator_statuses={InstigatorStatus.STOPPED})
    return {
        state.instigator_name
        for state in stopped
        if state.origin.location_name == CODE_LOCATION
        and state.instigator_name in registry.instigators()
    }


def is_under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job waits or works."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY), limit=1))


WHILE_OFF = "while_off"


def sensor(
    *, seconds: int, while_off: str, **options: Any
) -> Callable[[Callable[..., Any]], dg.SensorDefinition]:
    """A sensor that is on unless somebody stops it; its docstring is its description in the UI.

    Args:
        seconds: How long it rests between two looks.
        while_off: The consequence of stopping it, in a sentence.
    """

    def declare(function: Callable[..., Any]) -> dg.SensorDefinition:
        return dg.sensor(
            minimum_interval_seconds=seconds,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=inspect.getdoc(function),
            metadata={WHILE_OFF: while_off},
            **options,
        )(function)

    return declare


def request_if(
    is_due: Callable[[sa.Connection], bool],
    job: str,
    instance: dg.DagsterInstance,
    postgres: Postgres,
    *,
    otherwise: str,
) -> dg.RunRequest | dg.SkipReason:
    """What a sensor answers: a run of a job, if one is due and none is under way.

    Args:
        job: Its asset key.
        otherwise: Why there is none, in a sentence, where none is due.
    """
    if not policies.policy_of(job).is_on:
        return dg.SkipReason("The job is off: it is run by hand only.")
    with postgres.begin() as connection:
        if not is_due(connection):
            return dg.SkipReason(otherwise)
    if is_under_way(instance, job_name(job)):
        return dg.SkipReason("A run is under way.")
    return dg.RunRequest()


def scheduled(
    asset: dg.AssetsDefinition,
    *,
    cron: str,
    catch_up: CatchUp = "once",
    partitions: PartitionedAsset | None = None,
    together_with: Sequence[dg.AssetsDefinition] = (),
    skip_after: dt.timedelta = DEFAULT_SKIP_AFTER,
    timeout: dt.timedelta = DEFAULT_TIMEOUT,
    retries: Sequence[float] = DEFAULT_RETRIES,
    alert: bool = True,
    environments: Sequence[str] = ALL_ENVIRONMENTS,
) -> dg.ScheduleDefinition | UnresolvedAssetJobDefinition:
    """The asset's schedule in the reporting zone; its bare job where its clock stands still.

    `jobs.toml` may change what is said here.

    Args:
        catch_up: What happens to ticks that were missed: every one, one run for all, or nothing.
        partitions: What a partitioned asset declares of itself; the tick then marks what is due,
            and runs the tick's own partition as soon as what it reads is there.
        together_with: Assets of the same partitions that the job does next.
        skip_after: A missed tick older than this is left out, where missed ticks are skipped.
        timeout: After this the work is stopped.
        retries: Seconds to wait before each retry: listed, or `policies.fixed(…)`,
            `policies.exponential(…)`.
        alert: Whether its owner is told of failures.
        environments: Where it is on the clock.
    """
    settings = get_settings()
    name = asset.key.to_user_string()
    policy = policies.declare(
        name,
        Policy(
            cron=policies.five_fields(cron),
            catch_up=catch_up,
            timeout=timeout,
            retries=tuple(retries),
            alert=alert,
            environments=tuple(environments),
        ),
    )
    # Dagster's own limit is for the whole run, and stands behind the one of each attempt.
    max_runtime = policy.longest * (1 + len(together_with))
    job = dg.define_asset_job(
        job_name(name),
        selection=dg.AssetSelection.assets(asset, *together_with),
        tags={
            "marketing/timeout": f"{policy.timeout.total_seconds():g}",
            "marketing/catch_up": policy.catch_up,
        },
        run_tags={MAX_RUNTIME_TAG: f"{max_runtime.total_seconds():g}"},
    )
    if partitions is not None:
        _PARTITIONED_JOBS.append(job)
    if not policy.is_on:
        return job
    own_cron = str(policy.cron)

    @dg.schedule(
        name=schedule_name(name),
        job=job,
        cron_schedule=own_cron,
        execution_timezone=clock_zone(own_cron, settings.zone).key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        metadata={"catch_up": policy.catch_up},
        description=f"{_first_sentence(asset)} {_CAUGHT_UP[policy.catch_up]}",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, postgres: Postgres
    ) -> dg.RunRequest | dg.SkipReason:
        tick = context.scheduled_execution_time.astimezone(dt.UTC)
        if partitions is not None:
            return _own_partition(postgres, partitions, tick)
        with postgres.begin() as connection:
            reason = reason_to_skip(
                connection,
                name,
                own_cron,
                tick,
                now=dt.datetime.now(dt.UTC),
                skip_after=skip_after if policy.catch_up == "skip" else None,
            )
        return dg.RunRequest() if reason is None else dg.SkipReason(reason)

    return schedule


_CAUGHT_UP = {
    "all": "Of ticks that were missed, every partition is done.",
    "once": "Ticks that were missed are covered by one run.",
    "skip": "Ticks that were missed are left out.",
}


def _first_sentence(asset: dg.AssetsDefinition) -> str:
    described = asset.descriptions_by_key.get(asset.key) or ""
    return " ".join(described.partition("\n\n")[0].split())


def _own_partition(
    postgres: Postgres, asset: PartitionedAsset, tick: dt.datetime
) -> dg.RunRequest | dg.SkipReason:
    zone = postgres.settings.zone
    with postgres.begin() as connection:
        own = propagation.mark_due(connection, asset, tick, zone)
        ready = propagation.ready_windows(stale_partitions.pending(connection), asset, zone)
        if own in ready:
            stale_partitions.set_requested(
                connection, asset.key, [own.key], dt.datetime.now(dt.UTC)
            )
            return dg.RunRequest(partition_key=own.key)
    return dg.SkipReason(
        f"{own.key} waits for partitions that it reads; the marks sensor runs it when they are "
        "done."
    )


def _first_day() -> dt.datetime:
    return dt.datetime.combine(get_settings().first_day, dt.time())


def _ahead_of_utc() -> int:
    """1 where the reporting zone's day begins before the UTC day of the same name."""
    zone = get_settings().zone
    offsets = [dt.datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in range(1, 13)]
    return int(any(offset and offset > dt.timedelta() for offset in offsets))
