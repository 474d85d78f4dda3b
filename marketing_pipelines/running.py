"""Running jobs in this process, with the partitions that they read and that are not current."""

import datetime as dt
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.analytics import warehouse
from marketing_pipelines.domains.operations.requests import next_requests
from marketing_pipelines.failures import BadInputError, MarketingPipelinesError, PermanentError
from marketing_pipelines.freshness import propagation, stale_partitions
from marketing_pipelines.freshness.partitions import (
    PartitionedAsset,
    Window,
    midnight,
    registered,
    window,
    windows_between,
    windows_over,
)
from marketing_pipelines.jobs.scheduling import job_name
from marketing_pipelines.runs import materializations
from marketing_pipelines.runs.tags import ONLY_MARKED_TAG, TICK_TAG, TRIGGER_TAG
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.tables import job_sessions

WAREHOUSE = "analytics/warehouse"
# Dagster keeps the run's log; the terminal gets the one sentence of `RunFailedError`.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Request:
    """A request to run a job, as the command line makes it."""

    job: str
    first: str | None = None
    last: str | None = None
    at: dt.datetime | None = None
    only: bool = False


@dataclass(frozen=True)
class Outcome:
    """One session that the request led to; `partitions` is None where the job has none."""

    job: str
    partitions: int | None
    rows: int
    seconds: float
    status: str
    error: str | None
    items_failed: int = 0


class RunFailedError(PermanentError):
    """The run ended in failure; the text is its reason."""


class UnknownJobError(BadInputError):
    """No job has this name."""


def run_job(
    request: Request, *, settings: Settings, engine: sa.Engine, instance: dg.DagsterInstance
) -> list[Outcome]:
    """Runs the job; partitions that it reads and that are missing or stale come first.

    Raises:
        BadInputError: no such job or partition.
        RunFailedError: a run failed for good.
    """
    definition = definition_of(request.job)
    at = request.at or dt.datetime.now(dt.UTC)
    at = at.astimezone(dt.UTC) if at.tzinfo else at.replace(tzinfo=dt.UTC)
    if definition.partitions_def is None:
        if request.first or request.last:
            raise BadInputError(
                f"{request.job} has no partitions: leave out --partition, --from and --to."
            )
        return _execute(request.job, [], at, engine, instance)
    asset = registered()[request.job]
    windows = windows_of(
        request.job, request.first, request.last, asset, definition.partitions_def, settings
    )
    outcomes: list[Outcome] = []
    if not request.only:
        outcomes += _bring_upstream(asset, windows, at, settings, engine, instance)
    return outcomes + _execute(request.job, windows, at, engine, instance)


def run_marked(
    *, settings: Settings, engine: sa.Engine, instance: dg.DagsterInstance
) -> Iterator[Outcome]:
    """Does every marked partition, oldest first, then the partitions above them.

    Schedules and sensors do the same while the daemon runs.
    """
    did_something = False
    while True:
        now = dt.datetime.now(dt.UTC)
        with engine.begin() as connection:
            pending = propagation.pending(connection, now=now, zone=settings.zone)
        unasked = {
            asset: stale_partitions.Pending(dict.fromkeys(found.requested), found.never_done)
            for asset, found in pending.items()
        }
        requests = next_requests(
            unasked,
            list(registered().values()),
            now=now,
            zone=settings.zone,
            first_day=settings.first_day,
            is_under_way=lambda _: False,
        )
        if not requests:
            break
        did_something = True
        lowest = requests[0].asset
        for request in (r for r in requests if r.asset == lowest):
            yield from _execute(
                (request.asset.runs_with or request.asset).key,
                request.windows,
                now,
                engine,
                instance,
                only_marked=len(request.windows) > 1,
            )
    if did_something or FileStore.of_warehouse(settings).size(warehouse.PATH) is None:
        yield from _execute(WAREHOUSE, [], dt.datetime.now(dt.UTC), engine, instance)


def mark_all(*, settings: Settings, engine: sa.Engine) -> None:
    """Marks every partition from the first day to the last tick that was never done."""
    now = dt.datetime.now(dt.UTC)
    first = midnight(settings.first_day, settings.zone)
    # Dagster's hours begin on the UTC day before.
    first_hour = dt.datetime.combine(settings.first_day, dt.time(), dt.UTC) - dt.timedelta(days=1)
    with engine.begin() as connection:
        for asset in registered().values():
            tick = asset.last_tick(now, settings.zone)
            since = first_hour if asset.grain == "hour" else first
            # In the first month, the month before is no partition.
            if propagation.partition_of_tick(asset, tick, settings.zone).start >= since:
                propagation.mark_due(connection, asset, tick, settings.zone, since=since)


def _bring_upstream(
    asset: PartitionedAsset,
    windows: Sequence[Window],
    at: dt.datetime,
    settings: Settings,
    engine: sa.Engine,
    instance: dg.DagsterInstance,
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for read in asset.reads:
        below = [w for w in windows_over(read.grain, windows, settings.zone) if w.end <= at]
        outcomes += _bring_upstream(read, below, at, settings, engine, instance)
        needed = _not_current(engine, read, below)
        if needed:
            outcomes += _execute(
                read.key, needed, at, engine, instance, only_marked=len(needed) > 1
            )
    return outcomes


def _not_current(
    engine: sa.Engine, asset: PartitionedAsset, windows: Sequence[Window]
) -> list[Window]:
    """Marks partitions that were never done, and returns all marked ones."""
    keys = [w.key for w in windows]
    with engine.begin() as connection:
        stale_partitions.add(connection, asset.key, keys, unfinished_only=True)
        marked = {mark.partition for mark in stale_partitions.seen(connection, asset.key, keys)}
    return [w for w in windows if w.key in marked]


def _execute(
    key: str,
    windows: Sequence[Window],
    at: dt.datetime,
    engine: sa.Engine,
    instance: dg.DagsterInstance,
    *,
    only_marked: bool = False,
) -> list[Outcome]:
    """One Dagster run in this process."""
    tags = {TICK_TAG: at.isoformat(), TRIGGER_TAG: "manual"}
    options: dict[str, Any] = {"run_config": QUIET}
    if len(windows) == 1:
        options["partition_key"] = windows[0].key
    elif windows:
        tags |= {
            "dagster/asset_partition_range_start": windows[0].key,
            "dagster/asset_partition_range_end": windows[-1].key,
        }
    if only_marked:
        tags[ONLY_MARKED_TAG] = "true"
    if only_marked or len(windows) > materializations.REPORT_EMPTY_UP_TO:
        tags |= materializations.DEFERRED
    own_job = job_name(key)
    if own_job not in _own_jobs():
        options["asset_selection"] = [dg.AssetKey(key.split("/"))]
        job = defs.resolve_implicit_global_asset_job_def()
    else:
        job = defs.resolve_job_def(own_job)
    failure: Exception | None = None
    run_id = None
    try:
        run_id = job.execute_in_process(instance=instance, tags=tags, **options).run_id
    except (dg.Failure, MarketingPipelinesError) as error:
        failure = error
    if failure is not None:
        text = getattr(failure, "description", None) or str(failure)
        raise RunFailedError(f"{key} failed: {text}") from failure
    return _sessions(engine, str(run_id))


def _own_jobs() -> set[str]:
    """Jobs with their own schedule; other assets run in Dagster's implicit job."""
    return {job.name for job in defs.jobs or ()}


def _sessions(engine: sa.Engine, run_id: str) -> list[Outcome]:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(job_sessions).where(job_sessions.c.run_id == run_id).order_by("id")
        ).all()
    return [
        Outcome(
            row.job,
            None if row.partition is None else int(row.metadata.get("partitions", 0)),
            int(row.metadata.get("rows", 0)),
            (row.duration_ms or 0) / 1000,
            row.status,
            row.error,
            row.items_failed or 0,
        )
        for row in rows
    ]


def job_keys() -> list[str]:
    """Every job there is, by name."""
    return sorted(_jobs())


def _jobs() -> dict[str, dg.AssetsDefinition]:
    return {
        asset.key.to_user_string(): asset
        for asset in defs.assets or ()
        if isinstance(asset, dg.AssetsDefinition)
    }


def definition_of(key: str) -> dg.AssetsDefinition:
    """The asset that the job makes.

    Raises:
        UnknownJobError: there is no such job; the text names one that is spelled alike.
    """
    by_key = _jobs()
    if key not in by_key:
        close = difflib.get_close_matches(key, by_key, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UnknownJobError(
            f"There is no job '{key}': {hint}`marketing-pipelines timetable` lists them."
        )
    return by_key[key]


def windows_of(
    job: str,
    first_key: str | None,
    last_key: str | None,
    asset: PartitionedAsset,
    definition: dg.PartitionsDefinition[Any],
    settings: Settings,
) -> list[Window]:
    """The partitions of a job from the first key to the last.

    Raises:
        BadInputError: a key is missing or no partition of the job, or the two are swapped.
    """
    if first_key is None or last_key is None:
        missing = "--from" if last_key else "--to" if first_key else "--partition"
        raise BadInputError(f"{job} has partitions: say which with {missing}.")
    zone = settings.zone
    first, last = (window(asset.grain, key, zone) for key in (first_key, last_key))
    if first.start > last.start:
        raise BadInputError(f"--from {first.key} lies after --to {last.key}: swap them.")
    for bound in (first, last):
        if not definition.has_partition_key(bound.key):
            raise BadInputError(
                f"{bound.key} is not a partition of {job}: they run from "
                f"{definition.get_first_partition_key()} to {definition.get_last_partition_key()}."
            )
    return list(windows_between(asset.grain, first.start, last.end, zone))
