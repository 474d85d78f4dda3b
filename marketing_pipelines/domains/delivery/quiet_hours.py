"""Quiet hours: the zones in which it is quiet at an instant, and until when."""

import bisect
import datetime as dt
import itertools
from functools import lru_cache
from zoneinfo import available_timezones

from marketing_pipelines.zones import Offset, offsets

_DAY = dt.timedelta(days=1)
_EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)
_LATEST = dt.datetime.max.replace(tzinfo=dt.UTC)


def quiet_zones(hours: str, now: dt.datetime) -> dict[str, dt.datetime]:
    """Returns the zones in which it is quiet now, each with the instant at which that ends.

    Args:
        hours: `22:00-07:00`; the start belongs to the quiet hours, the end does not.
    """
    # Clocks and offsets change at whole minutes: within one, every zone stays as it is.
    now = now.astimezone(dt.UTC)
    return _quiet_zones(hours, now.replace(second=0, microsecond=0))


@lru_cache(maxsize=256)
def _quiet_zones(hours: str, now: dt.datetime) -> dict[str, dt.datetime]:
    found = {name: quiet_until(hours, name, now) for name in available_timezones()}
    return {name: until for name, until in found.items() if until is not None}


def quiet_until(hours: str, zone: str, now: dt.datetime) -> dt.datetime | None:
    """Returns the instant at which the quiet hours of a zone end; None: it is not quiet."""
    start, end = (dt.time.fromisoformat(text) for text in hours.split("-"))
    known = offsets(zone)
    place = bisect.bisect(known, now, key=_begins) - 1
    near = known[max(place - 2, 0) : place + 3]
    today = (now + known[place].utc_offset).date()
    for day in (today - _DAY, today, today + _DAY):
        last = day + _DAY if end <= start else day
        begins = _instant(dt.datetime.combine(day, start), near, is_end=False)
        ends = _instant(dt.datetime.combine(last, end), near, is_end=True)
        if begins <= now < ends:
            return ends
    return None


def _instant(local: dt.datetime, near: tuple[Offset, ...], *, is_end: bool) -> dt.datetime:
    """Returns the instant of a local time.

    Of a time that comes twice the first is meant, for an end the second; one that a day leaves out
    is the instant at which the clock is set.
    """
    at = local.replace(tzinfo=dt.UTC)
    ends = [*(_begins(one) for one in near[1:]), _LATEST]
    begins = [_EARLIEST, *ends[:-1]]
    instants = [at - one.utc_offset for one in near]
    shown = [
        instant
        for instant, first, last in zip(instants, begins, ends, strict=True)
        if first <= instant < last
    ]
    if shown:
        return max(shown) if is_end else min(shown)
    # Read with the offset before, it is later than the change; with the one after, earlier.
    return next(
        change
        for (before, after), change in zip(itertools.pairwise(instants), ends, strict=False)
        if after < change <= before
    )


def _begins(one: Offset) -> dt.datetime:
    return _EARLIEST if one.starts_at is None else one.starts_at
