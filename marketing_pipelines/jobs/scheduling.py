"""The jobs and schedules of declared assets, and the run requests of sensors."""

import datetime as dt
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from marketing_pipelines import policies, registry
from marketing_pipelines.freshness import propagation, stale_partitions
from marketing_pipelines.freshness.cron import clock_zone
from marketing_pipelines.freshness.partitions import PartitionedAsset
from marketing_pipelines.jobs.domain import DECLARATIONS, Declaration
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.locations import CODE_LOCATION
from marketing_pipelines.runs.missed_ticks import reason_to_skip
from marketing_pipelines.runs.tags import DOMAIN_TAG, MAX_RUNTIME_TAG, OWNER_TAG
from marketing_pipelines.settings import get_settings

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def job_name(asset_key: str) -> str:
    """`analytics/hourly_events` → `analytics__hourly_events_job`."""
    return asset_key.replace("/", "__") + "_job"


def schedule_name(asset_key: str) -> str:
    """`analytics/hourly_events` → `analytics__hourly_events_schedule`."""
    return job_name(asset_key).removesuffix("_job") + "_schedule"


def stopped_instigators(instance: dg.DagsterInstance) -> set[str]:
    """The schedules and sensors that were stopped in the Dagster UI. Dagster also keeps the states
    of removed ones, and of ones of an earlier code location.
    """
    # Definitions are imported by every process; Dagster's scheduler is not theirs.
    from dagster._core.scheduler.instigation import InstigatorStatus

    if instance.schedule_storage is None:  # an instance in memory, which has no daemon
        return set()
    stopped = instance.all_instigator_state(instigator_statuses={InstigatorStatus.STOPPED})
    return {
        state.instigator_name
        for state in stopped
        if state.origin.location_name == CODE_LOCATION
        and state.instigator_name in registry.instigators
    }


def is_under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Tells if a run of the job waits or works."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY), limit=1))


WHILE_OFF = "while_off"


def sensor(
    *, seconds: int, while_off: str, **options: Any
) -> Callable[[Callable[..., Any]], dg.SensorDefinition]:
    """A sensor that is on by default; its docstring is its description in the UI.

    Args:
        seconds: Seconds between two evaluations.
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
    asset: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
    postgres: Postgres,
    *,
    otherwise: str,
) -> dg.RunRequest | dg.SkipReason:
    """Answers for a sensor: requests a run of the job if one is due and none is under way.

    Args:
        asset: The declared asset.
        otherwise: The reason given where no run is due, a sentence.
    """
    job = asset.key.to_user_string()
    if not policies.policy_of(job).is_on:
        return dg.SkipReason("The job is off: it runs by hand only.")
    with postgres.begin() as connection:
        if not is_due(connection):
            return dg.SkipReason(otherwise)
    if is_under_way(instance, job_name(job)):
        return dg.SkipReason("A run is under way.")
    return dg.RunRequest()


@cache
def job_of(key: str) -> UnresolvedAssetJobDefinition | None:
    """The job of a declared asset, with the assets that run in it; None where it has none.

    Raises:
        KeyError: no asset of this key is declared.
    """
    declaration = DECLARATIONS[key]
    if declaration.runs_with is not None:
        return None
    if declaration.policy.cron is None and not declaration.by_sensor:
        return None
    next_ones = [one.asset for one in DECLARATIONS.values() if one.runs_with == key]
    policy = declaration.policy
    # Dagster's own limit is for the whole run, and stands behind the one of each attempt.
    max_runtime = policy.longest * (1 + len(next_ones))
    return dg.define_asset_job(
        job_name(key),
        selection=dg.AssetSelection.assets(declaration.asset, *next_ones),
        tags={
            "marketing/timeout": f"{policy.timeout.total_seconds():g}",
            "marketing/catch_up": policy.catch_up,
        },
        run_tags={
            MAX_RUNTIME_TAG: f"{max_runtime.total_seconds():g}",
            OWNER_TAG: declaration.owner,
            DOMAIN_TAG: key.split("/")[0],
        },
    )


def instigators_of(modules: Iterable[ModuleType]) -> Iterator[str]:
    """The names of the schedules of declared jobs, and of the schedules and sensors of modules."""
    for key, declaration in DECLARATIONS.items():
        if has_schedule(declaration):
            yield schedule_name(key)
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, dg.ScheduleDefinition | dg.SensorDefinition):
                yield value.name


def partitioned_jobs() -> list[UnresolvedAssetJobDefinition]:
    """The jobs of all partitioned assets; complete once the domains' `jobs.py` are loaded."""
    return [
        job
        for key, declaration in DECLARATIONS.items()
        if declaration.partitions is not None and (job := job_of(key)) is not None
    ]


def jobs_and_schedules() -> tuple[list[Any], list[dg.ScheduleDefinition]]:
    """The jobs of all declared assets, and the schedules that are on here."""
    keys = [key for key in DECLARATIONS if job_of(key) is not None]
    on = [one for one in DECLARATIONS.values() if has_schedule(one)]
    return [job_of(key) for key in keys], [schedule_of(one) for one in on]


def has_schedule(declaration: Declaration) -> bool:
    """Returns true if a schedule of its own starts the job here."""
    policy = declaration.policy
    return job_of(declaration.key) is not None and policy.cron is not None and policy.is_on


def schedule_of(declaration: Declaration) -> dg.ScheduleDefinition:
    """The schedule of a declared asset, in the reporting zone."""
    key, policy, partitions = declaration.key, declaration.policy, declaration.partitions
    cron = str(policy.cron)

    @dg.schedule(
        name=schedule_name(key),
        job=job_of(key),
        cron_schedule=cron,
        execution_timezone=clock_zone(cron, get_settings().zone).key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        metadata={"catch_up": policy.catch_up, "owner": declaration.owner},
        description=f"{_first_sentence(declaration.asset)} {_CAUGHT_UP[policy.catch_up]}",
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
                key,
                cron,
                tick,
                now=dt.datetime.now(dt.UTC),
                skip_after=declaration.skip_after if policy.catch_up == "skip" else None,
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
            now = dt.datetime.now(dt.UTC)
            stale_partitions.set_requested(connection, asset.key, [own.key], now)
            return dg.RunRequest(partition_key=own.key)
    return dg.SkipReason(
        f"{own.key} waits for its upstream partitions; the sensor of stale partitions runs it when "
        "they are done."
    )
