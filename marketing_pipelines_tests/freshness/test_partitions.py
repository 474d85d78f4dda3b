"""Hours, days and months have the bounds that the zone gives them."""

import datetime as dt
import itertools
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness.partitions import (
    Grain,
    PartitionedAsset,
    registered,
    window,
    window_at,
    windows_between,
    windows_over,
)

ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"]
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", "2026-03-01", "2026-03-01T00:00", 24.0),
        ("America/New_York", "2017-03-12", "2017-03-12T05:00", 23.0),
        ("America/New_York", "2017-11-05", "2017-11-05T04:00", 25.0),
        ("Asia/Kolkata", "2026-03-01", "2026-02-28T18:30", 24.0),
        ("Australia/Lord_Howe", "2017-04-02", "2017-04-01T13:00", 24.5),
        ("Australia/Lord_Howe", "2017-10-01", "2017-09-30T13:30", 23.5),
        ("America/Sao_Paulo", "2017-10-15", "2017-10-15T03:00", 23.0),
        ("America/Havana", "2017-11-05", "2017-11-05T04:00", 25.0),
    ],
)
def test_a_day_runs_from_its_first_instant_to_the_next_days(
    zone: str, day: str, start: str, hours: float
) -> None:
    found = window("day", day, ZoneInfo(zone))
    assert found.start == dt.datetime.fromisoformat(f"{start}+00:00")
    assert (found.end - found.start) / HOUR == hours


def test_a_month_ends_where_the_next_begins() -> None:
    december = window("month", "2025-12-01", ZoneInfo("America/New_York"))
    assert december.end == window("month", "2026-01-01", ZoneInfo("America/New_York")).start


@pytest.mark.parametrize(
    ("grain", "key"),
    [
        ("hour", "2026-03-01-25:00"),
        ("hour", "2026-03-01-13:30"),
        ("hour", "2026-03-01"),
        ("day", "2026-02-30"),
        ("day", "2026-3-1"),
        ("month", "2026-03-02"),
        ("month", "2026-13-01"),
    ],
)
def test_a_key_that_is_no_partition_is_refused_with_an_example(grain: Grain, key: str) -> None:
    with pytest.raises(BadInputError, match=f"'{key}' is not a partition: {grain}s look like 2026"):
        window(grain, key, ZoneInfo("UTC"))


instants = st.datetimes(dt.datetime(2015, 1, 2), dt.datetime(2035, 1, 1), timezones=st.just(dt.UTC))
grains = st.sampled_from(["hour", "day", "month"])


@given(instants, grains, st.sampled_from(ZONES))
def test_every_instant_lies_in_exactly_the_partition_of_its_key(
    instant: dt.datetime, grain: Grain, zone: str
) -> None:
    found = window_at(grain, instant, ZoneInfo(zone))
    assert found.start <= instant < found.end
    assert window(grain, found.key, ZoneInfo(zone)) == found


@given(instants, st.integers(1, 90), st.sampled_from(["day", "month"]), st.sampled_from(ZONES))
def test_partitions_follow_each_other_without_gap_or_overlap(
    start: dt.datetime, days: int, grain: Grain, zone: str
) -> None:
    end = start + dt.timedelta(days=days)
    found = list(windows_between(grain, start, end, ZoneInfo(zone)))
    assert found[0].start <= start
    assert found[-1].end >= end
    assert all(one.end == next_one.start for one, next_one in itertools.pairwise(found))
    ordinals = [w.ordinal for w in found]
    assert ordinals == list(range(ordinals[0], ordinals[0] + len(found)))


def test_an_hour_across_a_half_hour_midnight_belongs_to_both_days() -> None:
    hour = window("hour", "2026-03-01-18:00", ZoneInfo("UTC"))
    days = windows_over("day", [hour], ZoneInfo("Asia/Kolkata"))
    assert [day.key for day in days] == ["2026-03-01", "2026-03-02"]


@pytest.fixture
def undeclared() -> Iterator[None]:
    """Takes back the assets that a test declares: other tests run every declared one."""
    before = dict(registered())
    yield
    for key in registered().keys() - before.keys():
        registered().pop(key)


@pytest.mark.usefixtures("undeclared")
def test_hourly_schedules_fire_with_the_utc_hours_in_half_hour_zones() -> None:
    asset = PartitionedAsset("tests/hourly_clock", "day", cron="0 * * * *", running=True)
    now = dt.datetime(2026, 3, 1, 14, 45, tzinfo=dt.UTC)
    assert asset.last_tick(now, ZoneInfo("Asia/Kolkata")) == now.replace(minute=0)


@pytest.mark.usefixtures("undeclared")
def test_daily_schedules_fire_in_the_reporting_zone() -> None:
    asset = PartitionedAsset("tests/daily_clock", "day", cron="0 2 * * *")
    now = dt.datetime(2026, 3, 1, 7, 0, tzinfo=dt.UTC)
    struck = asset.last_tick(now, ZoneInfo("America/New_York"))
    assert struck == dt.datetime(2026, 3, 1, 7, 0, tzinfo=dt.UTC)
