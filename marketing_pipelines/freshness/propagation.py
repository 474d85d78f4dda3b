"""Propagation: partitions that become stale when others change, and due partitions.

A run marks the partitions that read the changed ones. A schedule marks every past partition that
was never done. Every mark also marks the partition's sources, where those were never done. So a
partition is ready as soon as nothing it reads is marked.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.freshness.partitions import (
    PartitionedAsset,
    Window,
    closed_windows_between,
    registered,
    window,
    window_at,
    windows_between,
    windows_over,
)
from marketing_pipelines.stores.tables import installation


def mark_above(
    connection: sa.Connection,
    changed: PartitionedAsset,
    windows: Iterable[Window],
    *,
    now: dt.datetime,
    zone: ZoneInfo,
    never_done_too: bool = True,
    in_this_run: Sequence[str] = (),
    cause: stale_partitions.Cause = "rebuild",
) -> None:
    """Marks the partitions that read the changed ones. A partition that was never done and whose
    tick is still to come is left to its schedule.

    Args:
        never_done_too: Mark partitions that were never done, too.
        in_this_run: Keys of assets that the same run does next.
        cause: Why the partitions changed.
    """
    spans = sorted(windows)
    for asset in registered().values():
        if changed not in asset.reads or not spans:
            continue
        above = windows_over(asset.grain, spans, zone)
        done = stale_partitions.finished(connection, asset.key, [w.key for w in above])
        last_tick = asset.last_tick(now, zone)
        stale = [
            w
            for w in above
            if w.key in done
            or (never_done_too and (w.start < last_tick if asset.running else w.end <= last_tick))
        ]
        requested_at = now if asset.key in in_this_run else None
        mark(connection, asset, stale, now=now, zone=zone, requested_at=requested_at, cause=cause)


def mark(
    connection: sa.Connection,
    asset: PartitionedAsset,
    windows: Sequence[Window],
    *,
    now: dt.datetime,
    zone: ZoneInfo,
    requested_at: dt.datetime | None = None,
    unfinished_only: bool = False,
    cause: stale_partitions.Cause = "rebuild",
) -> None:
    """Marks partitions, and those of their sources that were never done."""
    keys = [w.key for w in windows]
    stale_partitions.add(
        connection,
        asset.key,
        keys,
        requested_at=requested_at,
        unfinished_only=unfinished_only,
        cause=cause,
    )
    _mark_below(connection, asset, windows, now=now, zone=zone)


def _mark_below(
    connection: sa.Connection,
    asset: PartitionedAsset,
    windows: Sequence[Window],
    *,
    now: dt.datetime,
    zone: ZoneInfo,
) -> None:
    for read in asset.reads:
        if read.runs_with is not None:
            continue
        if read.grain == "hour":
            stale_partitions.add_unfinished_hours(connection, read.key, windows, until=now)
        else:
            below = [w for w in windows_over(read.grain, windows, zone) if w.end <= now]
            mark(connection, read, below, now=now, zone=zone, unfinished_only=True)


def pending(
    connection: sa.Connection, *, now: dt.datetime, zone: ZoneInfo
) -> dict[str, stale_partitions.Pending]:
    """Everything that is marked, by asset.

    Triggers and people mark a partition alone; before a run is requested for it, its sources that
    were never done are marked here.
    """
    found = stale_partitions.pending(connection)
    changed = False
    for key, marked in found.items():
        asset = registered()[key]
        alone = [k for k, requested_at in marked.requested.items() if requested_at is None]
        if asset.reads and alone:
            windows = [window(asset.grain, k, zone) for k in alone]
            _mark_below(connection, asset, windows, now=now, zone=zone)
            changed = True
    return stale_partitions.pending(connection) if changed else found


def mark_due(
    connection: sa.Connection,
    asset: PartitionedAsset,
    tick: dt.datetime,
    zone: ZoneInfo,
    *,
    since: dt.datetime | None = None,
) -> Window:
    """Marks every partition whose tick has passed and that was never done, the tick's own too.

    Args:
        since: Instant from which partitions are considered; None: the installation's start.

    Returns:
        The partition of this very tick.
    """
    if since is None:
        since = connection.execute(sa.select(installation.c.started_at)).scalar_one()
    own = partition_of_tick(asset, tick, zone)
    since = min(since.astimezone(dt.UTC), own.start)
    if asset.grain == "hour":
        span = Window(since, tick, own.key, asset.grain)
        stale_partitions.add_unfinished_hours(connection, asset.key, [span], until=tick)
    else:
        due = closed_windows_between(asset.grain, since, tick, tick, zone)
        mark(connection, asset, due, now=tick, zone=zone, unfinished_only=True)
    mark(connection, asset, [own], now=tick, zone=zone)
    return own


def partition_of_tick(asset: PartitionedAsset, tick: dt.datetime, zone: ZoneInfo) -> Window:
    """Returns the partition that a tick of the asset's schedule is for. It is the latest one that
    is over or, if the running one counts, the one with the hour just over."""
    before = tick - dt.timedelta(microseconds=1)
    containing = window_at(asset.grain, before, zone)
    if asset.running or containing.end <= tick:
        return containing
    return window_at(asset.grain, containing.start - dt.timedelta(microseconds=1), zone)


def ready_windows(
    pending: Mapping[str, stale_partitions.Pending], asset: PartitionedAsset, zone: ZoneInfo
) -> list[Window]:
    """The asset's marked partitions whose sources are there, oldest first.

    Days and months wait for hours that were never exported, not for hours that are restated: late
    events may arrive without end, and each restated hour marks its day again. Months wait for
    days that are restated too.
    """
    if asset.key not in pending:
        return []
    marked = sorted(window(asset.grain, key, zone) for key in pending[asset.key].requested)
    awaited = {read: _awaited(pending, read) for read in asset.reads}
    return [
        candidate
        for candidate in marked
        if not any(
            below.key in keys
            for read, keys in awaited.items()
            if keys
            for below in windows_between(read.grain, candidate.start, candidate.end, zone)
        )
    ]


def _awaited(
    pending: Mapping[str, stale_partitions.Pending], read: PartitionedAsset
) -> Collection[str]:
    found = pending.get(read.key, stale_partitions.Pending())
    return found.never_done if read.grain == "hour" else found.requested
