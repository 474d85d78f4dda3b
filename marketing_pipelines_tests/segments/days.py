"""Instants, days and periods of segment rules, in plain Python.

An instant is a whole number of microseconds since 1970 in UTC: unlike `datetime` it has no first
and no last year, so midnight of 0001-01-01 east of Greenwich is an instant like any other.
"""

import calendar
import datetime as dt
import re
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

MICROSECOND = dt.timedelta(microseconds=1)
SECOND = 1_000_000
DAY = 86_400 * SECOND
UNITS = {"s": SECOND, "min": 60 * SECOND, "h": 3_600 * SECOND, "d": DAY, "w": 7 * DAY}
LONGEST = 200 * 366 * DAY
EPOCH = dt.datetime(1970, 1, 1)
DAYS_IN_400_YEARS = 146_097

_WRITTEN = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_DISTANCE = re.compile(r"([+-])([0-9]+)(d|w|mo|y)")
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(s|min|h|d|w)")
_NEIGHBOURS = {"last": -1, "this": 0, "next": 1}
_NAMED_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}


class Written(NamedTuple):
    """A date as it is written: a local time, whether it is a day only, and its offset if any."""

    local: dt.datetime
    is_day: bool
    offset: dt.timedelta | None


class Period(NamedTuple):
    """From an instant to before another; `days` are its first and last local day, if it has any."""

    start: int
    end: int
    days: tuple[dt.date, dt.date] | None


def instant(moment: dt.datetime) -> int:
    """The instant of a datetime with zone."""
    return (moment.astimezone(dt.UTC).replace(tzinfo=None) - EPOCH) // MICROSECOND


def written(text: str) -> Written | None:
    """The date in a text, or None if there is none."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        local = dt.datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "").ljust(6, "0")),
        )
    except ValueError:
        return None
    if zone is None:
        return Written(local, hour is None, None)
    offset = _offset(zone)
    return None if offset is None else Written(local, False, offset)


def _offset(zone: str) -> dt.timedelta | None:
    if zone == "Z":
        return dt.timedelta(0)
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 14 or minutes > 59:
        return None
    size = dt.timedelta(hours=hours, minutes=minutes)
    return -size if zone[0] == "-" else size


def stored_instant(text: str, zone: ZoneInfo) -> int | None:
    """The instant that a contact's text means, or None if it cannot be read as a date."""
    found = written(text)
    if found is None:
        return None
    if found.offset is None:
        return local_instant(found.local, zone)
    return (found.local - EPOCH) // MICROSECOND - found.offset // MICROSECOND


def local_instant(local: dt.datetime, zone: ZoneInfo) -> int:
    """The instant of a local time: the first of two, or by the offset before a gap."""
    # That is what `fold=0` means, for both.
    offset = local.replace(tzinfo=zone, fold=0).utcoffset()
    assert offset is not None
    return (local - EPOCH) // MICROSECOND - offset // MICROSECOND


def first_instant(day: dt.date, zone: ZoneInfo) -> int:
    """The instant when a local day begins."""
    return local_instant(dt.datetime(day.year, day.month, day.day), zone)


def local_day(moment: dt.datetime, zone: ZoneInfo) -> dt.date:
    """The local day of a moment."""
    return moment.astimezone(zone).date()


def month_and_day(at: int, zone: ZoneInfo) -> tuple[int, int]:
    """Month and day of an instant on local calendars."""
    year_2 = (dt.datetime(2, 1, 1) - EPOCH) // MICROSECOND
    year_9998 = (dt.datetime(9998, 1, 1) - EPOCH) // MICROSECOND
    within = dt.timedelta(microseconds=min(max(at, year_2), year_9998))
    offset = (EPOCH.replace(tzinfo=dt.UTC) + within).astimezone(zone).utcoffset()
    assert offset is not None
    ordinal = EPOCH.toordinal() + (at + offset // MICROSECOND) // DAY
    # The calendar repeats, so a day before year 1 has a namesake that `date` can hold.
    day = dt.date.fromordinal((ordinal - 1) % DAYS_IN_400_YEARS + 1)
    return day.month, day.day


def length(text: str) -> int | None:
    """Microseconds in a length such as `30d`, or None if it is none."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        return None
    size = Decimal(found[1]) * UNITS[found[2]]
    return int(size) if 0 < size <= LONGEST else None


def period(text: str, now: dt.datetime, zone: ZoneInfo) -> Period | None:
    """The day, period or instant that a rule's date value means, or None if it is none."""
    today = local_day(now, zone)
    try:
        days = _named(text, today) or _distant(text, today)
    except (OverflowError, ValueError):
        return None
    if days is None:
        found = written(text)
        if found is None:
            return None
        if found.offset is not None:
            at = (found.local - EPOCH) // MICROSECOND - found.offset // MICROSECOND
            return Period(at, at + 1, None)
        if not found.is_day:
            return None
        days = found.local.date(), found.local.date()
    return Period(first_instant(days[0], zone), _end(days[1], zone), days)


def _end(last: dt.date, zone: ZoneInfo) -> int:
    if last == dt.date.max:
        return first_instant(last, zone) + DAY
    return first_instant(last + dt.timedelta(days=1), zone)


def _named(text: str, today: dt.date) -> tuple[dt.date, dt.date] | None:
    if text in _NAMED_DAYS:
        day = today + dt.timedelta(days=_NAMED_DAYS[text])
        return day, day
    neighbour, _, unit = text.partition("_")
    if neighbour not in _NEIGHBOURS:
        return None
    steps = _NEIGHBOURS[neighbour]
    if unit == "week":
        monday = today + dt.timedelta(days=7 * steps - today.weekday())
        return monday, monday + dt.timedelta(days=6)
    months = {"month": 1, "quarter": 3, "year": 12}.get(unit)
    if months is None:
        return None
    this = today.replace(month=(today.month - 1) // months * months + 1, day=1)
    first = shifted(this, months * steps)
    return first, shifted(first, months) - dt.timedelta(days=1)


def _distant(text: str, today: dt.date) -> tuple[dt.date, dt.date] | None:
    found = _DISTANCE.fullmatch(text)
    if found is None:
        return None
    number = int(found[1] + found[2])
    match found[3]:
        case "d":
            day = today + dt.timedelta(days=number)
        case "w":
            day = today + dt.timedelta(weeks=number)
        case "mo":
            day = shifted(today, number)
        case _:
            day = shifted(today, 12 * number)
    return day, day


def shifted(day: dt.date, months: int) -> dt.date:
    """The same day so many months on, or the last of that month if it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, min(day.day, last))
