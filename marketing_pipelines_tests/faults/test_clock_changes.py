"""Fault 20: the days on which schedules change; Dagster's rule, pinned.

A time that does not exist fires at the next one that does; a time that exists twice fires once,
at the second. What fires every hour does so with the hours of UTC, whatever the zone.
"""

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.freshness.cron import clock_zone
from marketing_pipelines.freshness.schedules import Schedule
from marketing_pipelines.observability.calendar import JobRecord, judge

pytestmark = pytest.mark.fault

TIMES = ("45 1", "0 2", "15 2", "30 2", "0 3")
# The instants in UTC at which each of TIMES fires.
FIRES = {
    ("Europe/Berlin", "2026-03-29"): ("00:45", "01:00", "01:00", "01:00", "01:00"),
    ("Europe/Berlin", "2026-10-25"): ("23:45", "01:00", "01:15", "01:30", "02:00"),
    ("US/Central", "2026-03-08"): ("07:45", "08:00", "08:00", "08:00", "08:00"),
    ("US/Central", "2026-11-01"): ("07:45", "08:00", "08:15", "08:30", "09:00"),
    ("Australia/Lord_Howe", "2026-10-04"): ("15:15", "15:30", "15:30", "15:30", "16:00"),
    ("Australia/Lord_Howe", "2026-04-05"): ("15:15", "15:30", "15:45", "16:00", "16:30"),
}
HOURS = {
    ("Europe/Berlin", "2026-03-29"): 23,
    ("Europe/Berlin", "2026-10-25"): 25,
    ("US/Central", "2026-03-08"): 23,
    ("US/Central", "2026-11-01"): 25,
    # Half an hour less and half an hour more than 24 hours that begin at half past in UTC.
    ("Australia/Lord_Howe", "2026-10-04"): 23,
    ("Australia/Lord_Howe", "2026-04-05"): 25,
}
CASES = [
    (zone, day, time, fire)
    for (zone, day), fires in FIRES.items()
    for time, fire in zip(TIMES, fires, strict=True)
]


def schedule(cron: str, zone: str) -> Schedule:
    return Schedule(cron, clock_zone(cron, ZoneInfo(zone)).key, "a/b", "team:a", "once", "a.py:1")


def ticks_on(day: str, cron: str, zone: str) -> list[dt.datetime]:
    """Every instant of the local day at which the schedule fires."""
    start = dt.datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    end = start + dt.timedelta(days=1)
    found = []
    for tick in schedule(cron, zone).ticks(start):
        if tick >= end:
            return found
        found.append(tick)
    raise AssertionError("a schedule fires for ever")


def days_of(time: str, day: str) -> dict[str, str]:
    """The crons that fire at the time on this day: daily, weekly, monthly."""
    date = dt.date.fromisoformat(day)
    return {
        "daily": f"{time} * * *",
        "weekly": f"{time} * * {date.isoweekday() % 7}",
        "monthly": f"{time} {date.day} * *",
    }


@pytest.mark.fault(20)
@pytest.mark.parametrize("repeated", ["daily", "weekly", "monthly"])
@pytest.mark.parametrize(("zone", "day", "time", "fire"), CASES)
def test_fault_20_a_time_strikes_once_on_the_day_the_clocks_change(
    zone: str, day: str, time: str, fire: str, repeated: str
) -> None:
    found = ticks_on(day, days_of(time, day)[repeated], zone)
    assert [f"{tick:%H:%M}" for tick in found] == [fire]


@pytest.mark.fault(20)
@pytest.mark.parametrize(("zone", "day"), HOURS)
def test_fault_20_what_strikes_every_hour_strikes_at_every_hour_of_utc(zone: str, day: str) -> None:
    found = ticks_on(day, "0 * * * *", zone)
    assert {tick.minute for tick in found} == {0}
    assert {b - a for a, b in itertools.pairwise(found)} == {dt.timedelta(hours=1)}
    assert len(found) == HOURS[zone, day]


@pytest.mark.fault(20)
@pytest.mark.parametrize(("zone", "day"), FIRES)
def test_fault_20_the_calendar_expects_the_day_before_and_after_as_ever(
    zone: str, day: str
) -> None:
    """Three local days have three fires of 02:30, and the calendar judges each by itself."""
    before = dt.date.fromisoformat(day) - dt.timedelta(days=1)
    ticks = [
        tick
        for n in range(3)
        for tick in ticks_on(f"{before + dt.timedelta(days=n)}", "30 2 * * *", zone)
    ]
    assert len(ticks) == 3
    now = ticks[-1] + dt.timedelta(days=1)
    for tick, following in zip(ticks, [*ticks[1:], now], strict=True):
        assert judge(JobRecord(), tick, following, None, now)[0] == "missed"
        assert judge(JobRecord(), tick, following, None, tick - dt.timedelta(minutes=1)) == (
            "not due",
            "",
        )
