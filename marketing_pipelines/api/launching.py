"""Starting a job by name and partition, as the API's callers ask for it."""

import datetime as dt

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.definitions import LAUNCHER
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness.partitions import Window, registered
from marketing_pipelines.freshness.propagation import partition_of_tick
from marketing_pipelines.jobs.launching import AlreadyRunningError, Started
from marketing_pipelines.running import definition_of, windows_of
from marketing_pipelines.settings import Settings

__all__ = ["AlreadyRunningError", "Started", "launch"]


def launch(
    job: str,
    partition: str | None = None,
    *,
    settings: Settings,
    engine: sa.Engine,
    instance: dg.DagsterInstance,
    now: dt.datetime,
) -> Started:
    """Puts a run of the job into Dagster's queue.

    Args:
        job: Asset key, e.g. `analytics/event_aggregates`.
        partition: Partition key; None: the partition of the schedule's latest tick.
        now: The instant of the request; it becomes the session's tick.

    Raises:
        UnknownJobError: there is no such job.
        BadInputError: there is no such partition.
        AlreadyRunningError: it is known to be running or to wait for its turn.
    """
    window = _window(job, partition, settings, now)
    return LAUNCHER.launch(job, window, engine=engine, instance=instance, now=now)


def _window(job: str, partition: str | None, settings: Settings, now: dt.datetime) -> Window | None:
    definition = definition_of(job)
    if definition.partitions_def is None:
        if partition is not None:
            raise BadInputError(f"{job} has no partitions: leave out the partition.")
        return None
    asset = registered()[job]
    if partition is None:
        tick = asset.last_tick(now, settings.zone)
        partition = partition_of_tick(asset, tick, settings.zone).key
    [window] = windows_of(job, partition, partition, asset, definition.partitions_def, settings)
    return window
