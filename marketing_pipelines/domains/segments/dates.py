"""Dates and lengths as rules write them: `yesterday`, `-1mo`, `2026-03-01`, `30d`."""

import calendar
import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from marketing_pipelines.freshness.partitions import midnight

LONGEST = dt.timedelta(days=200 * 366)
INSTANT = dt.timedelta(microseconds=1)
_EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)
_LATEST = dt.datetime.max.replace(tzinfo=dt.UTC)
_UNITS = {
    "s": dt.timedelta(seconds=1),
    "min": dt.timedelta(minutes=1),
    "h": dt.timedelta(hours=1),
    "d": dt.timedelta(days=1),
    "w": dt.timedelta(weeks=1),
}
_LENGTH = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(s|min|h|d|w)")
_ZERO = re.compile(r"0(s|min|h|d|w)?")
_SHIFT = re.compile(r"([+-])([0-9]{1,6})(d|w|mo|y)")
_SHIFTED_AT_MOST = {"d": 200 * 366, "w": 200 * 52, "mo": 200 * 12, "y": 200}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])"
)
_NEAR = {"yesterday": -1, "today": 0, "tomorrow": 1}
_PERIOD = re.compile(r"(this|last|next)_(week|month|quarter|year)")
_STEPS = {"last": -1, "this": 0, "next": 1}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class Period:
    """A half-open span of instants; `first_day` and `next_day` where it is one of local days."""

    start: dt.datetime
    end: dt.datetime
    first_day: dt.date | None = None
    next_day: dt.date | None = None


def length(text: str) -> dt.timedelta:
    """`30d`, `90min`, `1.5h` as a span of time.

    Raises:
        ValueError: it is none.
    """
    matched = _LENGTH.fullmatch(text)
    if matched is None:
        raise ValueError(f"'{text}' is no length: write a number and s, min, h, d or w, e.g. 30d")
    microseconds = Decimal(matched[1]) * (_UNITS[matched[2]] // INSTANT)
    if not 0 < microseconds <= LONGEST // INSTANT:
        raise ValueError(f"'{text}' is no length between an instant and 200 years")
    return int(microseconds) * INSTANT


def length_or_zero(text: str) -> dt.timedelta:
    """A span of time, which may be none: `0` or `0d`.

    Raises:
        ValueError: it is neither.
    """
    return dt.timedelta() if _ZERO.fullmatch(text) else length(text)


def require_date(text: str) -> None:
    """Refuses values that are not dates.

    Raises:
        ValueError: it is not a date; the text shows the form of one.
    """
    _reader(text)


def is_instant(text: str) -> bool:
    """Returns true for an instant, false for a day or a period."""
    return _INSTANT.fullmatch(text) is not None


def moves(text: str) -> bool:
    """Returns true if the meaning of the text depends on the day."""
    return not (is_instant(text) or _DAY.fullmatch(text))


def period(text: str, now: dt.datetime, zone: ZoneInfo) -> Period:
    """Returns the period that a date value means at an instant in a zone.

    Raises:
        ValueError: it is none.
    """
    return _reader(text)(now, zone)


def next_midnight(now: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """Returns the end of an instant's local day."""
    return _midnight(now.astimezone(zone).date() + dt.timedelta(days=1), zone)


def month_days(span: Period) -> list[str]:
    """Returns the days of the year in a period, as MMDD. The 29th of February counts as the 28th in
    years without it."""
    assert span.first_day is not None
    assert span.next_day is not None
    count = min((span.next_day - span.first_day).days, 366)
    found = set()
    for day in (span.first_day + dt.timedelta(days=n) for n in range(count)):
        found.add(f"{day:%m%d}")
        if (day.month, day.day) == (2, 28) and not calendar.isleap(day.year):
            found.add("0229")
    return sorted(found)


PeriodReader = Callable[[dt.datetime, ZoneInfo], Period]


def _reader(text: str) -> PeriodReader:
    if _DAY.fullmatch(text):
        day = _written_day(text)
        return lambda now, zone: _one_day(day, zone)
    if is_instant(text):
        instant = _written_instant(text)
        return lambda now, zone: Period(instant, instant + INSTANT)
    if text in _NEAR:
        return lambda now, zone: _day_at(now, zone, lambda d: d + dt.timedelta(days=_NEAR[text]))
    if matched := _PERIOD.fullmatch(text):
        step, unit = _STEPS[matched[1]], matched[2]
        return lambda now, zone: _unit_around(now.astimezone(zone).date(), unit, step, zone)
    if matched := _SHIFT.fullmatch(text):
        number = int(matched[1] + matched[2])
        unit = matched[3]
        if abs(number) > _SHIFTED_AT_MOST[unit]:
            raise ValueError(f"'{text}' is more than 200 years away")
        return lambda now, zone: _day_at(now, zone, lambda d: _shifted(d, number, unit))
    raise ValueError(
        f"'{text}' is no date: write a day such as 2026-03-01, an instant with its zone, today, "
        "yesterday, tomorrow, this_week, last_month, next_year and so on, or -3d, +1mo"
    )


def _written_day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is no day of the calendar") from None


def _written_instant(text: str) -> dt.datetime:
    try:
        instant = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"'{text}' is no instant of the calendar") from None
    if instant > _LATEST - INSTANT:
        raise ValueError(f"'{text}' is too far away")
    return instant


def _day_at(now: dt.datetime, zone: ZoneInfo, shift: Callable[[dt.date], dt.date]) -> Period:
    return _one_day(shift(now.astimezone(zone).date()), zone)


def _unit_around(day: dt.date, unit: str, step: int, zone: ZoneInfo) -> Period:
    if unit == "week":
        first = day + dt.timedelta(weeks=step, days=-day.weekday())
        return _days(first, first + dt.timedelta(weeks=1), zone)
    months = _MONTHS[unit]
    number = (day.year * 12 + day.month - 1) // months + step
    return _days(_month(number * months), _month((number + 1) * months), zone)


def _month(number: int) -> dt.date:
    return dt.date(number // 12, number % 12 + 1, 1)


def _shifted(day: dt.date, number: int, unit: str) -> dt.date:
    if unit == "d":
        return day + dt.timedelta(days=number)
    if unit == "w":
        return day + dt.timedelta(weeks=number)
    months = day.year * 12 + day.month - 1 + number * (12 if unit == "y" else 1)
    first = _month(months)
    return first.replace(day=min(day.day, calendar.monthrange(first.year, first.month)[1]))


def _one_day(day: dt.date, zone: ZoneInfo) -> Period:
    if day == dt.date.max:
        return Period(_midnight(day, zone), _LATEST, day, day)
    return _days(day, day + dt.timedelta(days=1), zone)


def _days(first: dt.date, following: dt.date, zone: ZoneInfo) -> Period:
    return Period(_midnight(first, zone), _midnight(following, zone), first, following)


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    try:
        return midnight(day, zone)
    except OverflowError:
        return _EARLIEST if day.year < 5_000 else _LATEST
