"""The runs that stale partitions need: pure arithmetic over the marks."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from marketing_pipelines.freshness.partitions import PartitionedAsset, Window
from marketing_pipelines.freshness.propagation import ready_windows
from marketing_pipelines.freshness.stale_partitions import Pending

ASK_AGAIN_AFTER = dt.timedelta(minutes=15)
RANGES_AT_ONCE = 5
# Wider gaps cost a run little; a run of its own costs seconds.
MAX_GAP = dt.timedelta(days=31)


@dataclass(frozen=True)
class RangeRequest:
    """One run to ask for: the asset whose job it is, and the partitions that are marked."""

    asset: PartitionedAsset
    windows: tuple[Window, ...]


def next_requests(
    pending: Mapping[str, Pending],
    assets: Sequence[PartitionedAsset],
    *,
    now: dt.datetime,
    zone: ZoneInfo,
    first_day: dt.date,
    is_under_way: Callable[[PartitionedAsset], bool],
) -> list[RangeRequest]:
    """The oldest ranges of marked partitions that are ready, a few per asset.

    A requested partition is requested again only after 15 minutes, and only if no run of the
    asset's job is under way. Marked partitions that are close together share a run, which does the
    marked ones only. Marks before the first day are not partitions: `doctor` reports them.
    """
    requests: list[RangeRequest] = []
    for asset in assets:
        asked = pending.get(asset.key, Pending()).requested
        ready = [w for w in ready_windows(pending, asset, zone) if is_partition(w, first_day)]
        fresh = [w for w in ready if asked[w.key] is None]
        overdue = [
            w for w in ready if (at := asked[w.key]) is not None and at <= now - ASK_AGAIN_AFTER
        ]
        if overdue and not is_under_way(asset):
            fresh = sorted(fresh + overdue)
        ranges = _close_together(fresh)
        requests += [RangeRequest(asset, tuple(r)) for r in ranges[:RANGES_AT_ONCE]]
    return requests


def is_partition(window: Window, first_day: dt.date) -> bool:
    """Returns true if the window is a partition. Hours begin on the UTC day before the first
    day."""
    first = first_day - dt.timedelta(days=1) if window.grain == "hour" else first_day
    return window.date >= first


def _close_together(windows: Sequence[Window]) -> list[list[Window]]:
    ranges: list[list[Window]] = []
    for window in windows:
        if ranges and window.start - ranges[-1][-1].end <= MAX_GAP:
            ranges[-1].append(window)
        else:
            ranges.append([window])
    return ranges
