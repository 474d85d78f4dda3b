"""Dagster's memory of runs: old operational ones are removed, partition history never.

Dagster itself purges ticks only, and keeps about 26 KB of events for every run. Only the events of
its runs show which partitions of an asset are done, so those stay; so does the run that
materialized an asset last.
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

KEPT = dt.timedelta(days=7)
PAGE = 500
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
PARTITION_TAGS = {"dagster/partition", "dagster/asset_partition_range_start"}


def purge_runs(instance: dg.DagsterInstance, before: dt.datetime) -> int:
    """Removes operational runs that were created before the instant and have ended.

    Returns:
        Number of removed runs; their events and output are removed too.
    """
    needed = _latest_of_each_asset(instance)
    # Listed before the first is removed: a run that is gone cannot be the place to read on from.
    old = [run_id for run_id in _operational_runs(instance, before) if run_id not in needed]
    for run_id in old:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    return len(old)


def _latest_of_each_asset(instance: dg.DagsterInstance) -> set[str]:
    latest = instance.get_latest_materialization_events(instance.get_asset_keys())
    return {event.run_id for event in latest.values() if event is not None}


def _operational_runs(instance: dg.DagsterInstance, before: dt.datetime) -> Iterator[str]:
    ended = dg.RunsFilter(statuses=ENDED, created_before=before)
    cursor: str | None = None
    while runs := instance.get_runs(ended, cursor=cursor, limit=PAGE, ascending=True):
        cursor = runs[-1].run_id
        yield from (run.run_id for run in runs if not PARTITION_TAGS & run.tags.keys())
