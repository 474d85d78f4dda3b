"""Hours, days and months: partition keys, their real bounds, and which asset reads which.

Hours are UTC hours. Days and months follow the reporting zone; their keys are labels, and `window`
computes the real bounds, once, in Python, so that every engine works with instants.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness.cron import clock_zone, last_tick
from marketing_pipelines.policies import policy_of

Grain = Literal["hour", "day", "month"]

HOUR = dt.timedelta(hours=1)
_SHAPES: dict[Grain, re.Pattern[str]] = {
    "hour": re.compile(r"\d{4}-\d\d-\d\d-\d\d:00"),
    "day": re.compile(r"\d{4}-\d\d-\d\d"),
    "month": re.compile(r"\d{4}-\d\d-01"),
}
_EXAMPLES: dict[Grain, str] = {
    "hour": "2026-03-01-13:00 (UTC)",
    "day": "2026-03-01",
    "month": "2026-03-01 (its first day)",
}


@dataclass(frozen=True, order=True)
class Window:
    """One partition: its key and the half-open span of instants `[start, end)`, in UTC."""

    start: dt.datetime
    end: dt.datetime
    key: str
    grain: Grain

    @property
    def ordinal(self) -> int:
        """The partition's number, counted from 1970; fits 32 bits."""
        if self.grain == "hour":
            return int(self.start.timestamp()) // 3600
        label = dt.date.fromisoformat(self.key)
        if self.grain == "day":
            return label.toordinal()
        return label.year * 12 + label.month

    @property
    def date(self) -> dt.date:
        """The label of a day or month as a date."""
        return dt.date.fromisoformat(self.key[:10])


@dataclass(frozen=True)
class PartitionedAsset:
    """An asset with partitions, as schedules and marks need it.

    Declaring one is registering it.

    Attributes:
        key: Asset key, e.g. `analytics/event_aggregates`.
        grain: Its partitions.
        cron: Its cron, in the reporting zone, unless its policy has another.
        reads: Partitioned assets whose windows it reads.
        running: True if the partition in progress is computed too, over the hours closed so far.
        runs_with: The asset in whose job it runs, when it has no job of its own.
    """

    key: str
    grain: Grain
    cron: str
    reads: tuple["PartitionedAsset", ...] = ()
    running: bool = False
    runs_with: "PartitionedAsset | None" = None

    def __post_init__(self) -> None:
        _REGISTERED[self.key] = self

    @property
    def upstream(self) -> list[str]:
        """The keys of all partitioned assets that it reads, directly or through others."""
        keys = dict.fromkeys(asset.key for asset in self.reads)
        for asset in self.reads:
            keys |= dict.fromkeys(asset.upstream)
        return list(keys)

    def last_tick(self, now: dt.datetime, zone: ZoneInfo) -> dt.datetime:
        """The latest tick of its schedule that is not after `now`."""
        cron = policy_of((self.runs_with or self).key).cron or self.cron
        return last_tick(cron, clock_zone(cron, zone).key, now)


_REGISTERED: dict[str, PartitionedAsset] = {}


def registered() -> dict[str, PartitionedAsset]:
    """Every partitioned asset of the loaded domains, by key."""
    return _REGISTERED


def labelled_assets(domain: str) -> list[PartitionedAsset]:
    """The assets of a domain whose days and months are labels of the reporting zone."""
    return [
        asset
        for asset in _REGISTERED.values()
        if asset.key.startswith(f"{domain}/") and asset.grain != "hour"
    ]


def window(grain: Grain, key: str, zone: ZoneInfo) -> Window:
    """The bounds of a partition.

    Raises:
        BadInputError: the key is not one of this grain.
    """
    try:
        if not _SHAPES[grain].fullmatch(key):
            raise ValueError
        day = dt.date.fromisoformat(key[:10])
        if grain == "hour":
            return _hour(dt.datetime.combine(day, dt.time(int(key[11:13])), dt.UTC))
        return _labelled(grain, day, zone)
    # A zone moves the first and the last days of the calendar out of it.
    except (ValueError, OverflowError):
        raise BadInputError(
            f"'{key}' is not a partition: {grain}s look like {_EXAMPLES[grain]}."
        ) from None


def _hour(start: dt.datetime) -> Window:
    return Window(start, start + HOUR, f"{start:%Y-%m-%d-%H}:00", "hour")


def _labelled(grain: Grain, day: dt.date, zone: ZoneInfo) -> Window:
    return Window(
        midnight(day, zone), midnight(_next_label(grain, day), zone), day.isoformat(), grain
    )


def midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """The first instant of a local day, in UTC (where midnight is skipped: the first after it)."""
    return dt.datetime.combine(day, dt.time(), tzinfo=zone).astimezone(dt.UTC)


def window_at(grain: Grain, instant: dt.datetime, zone: ZoneInfo) -> Window:
    """The partition that contains the instant."""
    if grain == "hour":
        return _hour(instant.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0))
    day = instant.astimezone(zone).date()
    return _labelled(grain, day if grain == "day" else day.replace(day=1), zone)


def windows_between(
    grain: Grain, start: dt.datetime, end: dt.datetime, zone: ZoneInfo
) -> Iterator[Window]:
    """The partitions that overlap `[start, end)`, oldest first."""
    if start >= end:
        return
    current = window_at(grain, start, zone)
    while current.start < end:
        yield current
        current = _following(current, zone)


def closed_windows_between(
    grain: Grain, start: dt.datetime, end: dt.datetime, now: dt.datetime, zone: ZoneInfo
) -> list[Window]:
    """The partitions that overlap `[start, end)` and are over at `now`."""
    return [w for w in windows_between(grain, start, min(end, now), zone) if w.end <= now]


def windows_over(grain: Grain, spans: Iterable[Window], zone: ZoneInfo) -> list[Window]:
    """The partitions of `grain` that overlap any of the spans, oldest first, each once."""
    found: dict[str, Window] = {}
    covered_until: dt.datetime | None = None
    for span in sorted(spans):
        start = span.start if covered_until is None else max(span.start, covered_until)
        for over in windows_between(grain, start, span.end, zone):
            found[over.key] = over
            covered_until = over.end
    return sorted(found.values())


def _following(current: Window, zone: ZoneInfo) -> Window:
    if current.grain == "hour":
        return _hour(current.end)
    return _labelled(current.grain, _next_label(current.grain, current.date), zone)


def _next_label(grain: Grain, day: dt.date) -> dt.date:
    if grain == "day":
        return day + dt.timedelta(days=1)
    return (day + dt.timedelta(days=32)).replace(day=1)
