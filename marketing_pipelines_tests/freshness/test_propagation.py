"""Assets follow from each other's changes, and changed ones are due."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

import marketing_pipelines.definitions  # noqa: F401  (registers the partitioned assets)
from marketing_pipelines.domains.analytics import jobs as analytics
from marketing_pipelines.freshness import propagation, stale_partitions
from marketing_pipelines.freshness.partitions import PartitionedAsset, registered, window
from marketing_pipelines.jobs.domain import partitions_of
from marketing_pipelines.stores import locks
from marketing_pipelines_tests.installation import instant

CONTACT_ACTIVITY, HOURLY_EVENTS, EVENT_AGGREGATES, CAMPAIGN_DAILY_STATS, MONTHLY_USAGE = map(
    partitions_of,
    (
        analytics.contact_activity,
        analytics.hourly_events,
        analytics.event_aggregates,
        analytics.campaign_daily_stats,
        analytics.monthly_usage,
    ),
)
UTC = ZoneInfo("UTC")
NEW_YORK = ZoneInfo("America/New_York")
KOLKATA = ZoneInfo("Asia/Kolkata")


def hours(*keys: str) -> list[str]:
    return [f"2026-03-{key}:00" for key in keys]


def pending(engine: sa.Engine) -> dict[str, list[str]]:
    with engine.connect() as connection:
        found = stale_partitions.pending(connection)
    return {asset.partition("/")[2]: sorted(of.requested) for asset, of in found.items()}


def set_started(engine: sa.Engine, at: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("update ops.installation set started_at = :at"), {"at": at})


@pytest.mark.parametrize(
    ("asset", "zone", "tick", "key"),
    [
        (CONTACT_ACTIVITY, UTC, "2026-03-01T14:00Z", "2026-03-01-13:00"),
        (CONTACT_ACTIVITY, UTC, "2026-03-01T00:00Z", "2026-02-28-23:00"),
        (CONTACT_ACTIVITY, KOLKATA, "2026-03-01T14:00Z", "2026-03-01-13:00"),
        (EVENT_AGGREGATES, UTC, "2026-03-01T14:00Z", "2026-03-01"),
        (EVENT_AGGREGATES, UTC, "2026-03-02T00:00Z", "2026-03-01"),
        (EVENT_AGGREGATES, NEW_YORK, "2026-03-02T04:00Z", "2026-03-01"),
        (EVENT_AGGREGATES, NEW_YORK, "2026-03-02T05:00Z", "2026-03-01"),
        (EVENT_AGGREGATES, NEW_YORK, "2026-03-02T06:00Z", "2026-03-02"),
        (CAMPAIGN_DAILY_STATS, UTC, "2026-03-02T02:00Z", "2026-03-01"),
        (CAMPAIGN_DAILY_STATS, NEW_YORK, "2026-03-08T07:00Z", "2026-03-07"),
        (CAMPAIGN_DAILY_STATS, KOLKATA, "2026-03-01T20:30Z", "2026-03-01"),
        (MONTHLY_USAGE, UTC, "2026-03-01T03:00Z", "2026-02-01"),
        (MONTHLY_USAGE, NEW_YORK, "2026-03-01T08:00Z", "2026-02-01"),
        (MONTHLY_USAGE, KOLKATA, "2025-12-31T21:30Z", "2025-12-01"),
    ],
)
def test_a_tick_is_for_the_partition_that_is_over_or_running(
    asset: PartitionedAsset, zone: ZoneInfo, tick: str, key: str
) -> None:
    assert propagation.partition_of_tick(asset, instant(tick), zone).key == key


def test_no_two_jobs_share_a_lock() -> None:
    jobs = [*registered(), "ops.job_sessions", "analytics/warehouse"]
    assert len({locks.lock_class(job) for job in jobs}) == len(jobs)


def test_a_changed_hour_makes_stale_what_reads_it(engine: sa.Engine) -> None:
    changed = [window("hour", key, UTC) for key in hours("01-23", "02-00")]
    with engine.begin() as connection:
        propagation.mark_above(
            connection, CONTACT_ACTIVITY, changed, now=instant("2026-03-03T12:00Z"), zone=UTC
        )
    marked = pending(engine)
    assert marked["hourly_events"] == hours("01-23", "02-00")
    assert marked["event_aggregates"] == ["2026-03-01", "2026-03-02"]
    assert marked["campaign_daily_stats"] == ["2026-03-01", "2026-03-02"]
    assert len(marked["contact_activity"]) == 48
    assert "monthly_usage" not in marked


def test_a_changed_hour_of_a_past_month_brings_the_whole_month(engine: sa.Engine) -> None:
    changed = [window("hour", "2026-02-10-10:00", UTC)]
    with engine.begin() as connection:
        propagation.mark_above(
            connection, CONTACT_ACTIVITY, changed, now=instant("2026-03-03T12:00Z"), zone=UTC
        )
    marked = pending(engine)
    assert marked["monthly_usage"] == ["2026-02-01"]
    assert len(marked["event_aggregates"]) == 28
    assert len(marked["contact_activity"]) == 28 * 24
    assert marked["campaign_daily_stats"] == ["2026-02-10"]


def test_what_stale_partitions_read_is_marked_too_where_it_was_never_done(
    engine: sa.Engine,
) -> None:
    with engine.begin() as connection:
        stale_partitions.finish(
            connection, CONTACT_ACTIVITY.key, dict.fromkeys(hours("01-05", "01-06"), 0)
        )
        day = window("day", "2026-03-01", UTC)
        propagation.mark(
            connection, EVENT_AGGREGATES, [day], now=instant("2026-03-01T10:30Z"), zone=UTC
        )
    assert pending(engine) == {
        "event_aggregates": ["2026-03-01"],
        "contact_activity": hours(*(f"01-{h:02}" for h in (0, 1, 2, 3, 4, 7, 8, 9))),
    }


def test_a_day_whose_clock_is_still_to_come_is_left_to_it(engine: sa.Engine) -> None:
    changed = [window("hour", "2026-03-01-23:00", UTC)]
    with engine.begin() as connection:
        propagation.mark_above(
            connection, CONTACT_ACTIVITY, changed, now=instant("2026-03-02T01:00Z"), zone=UTC
        )
    marked = pending(engine)
    assert "campaign_daily_stats" not in marked
    assert "monthly_usage" not in marked
    assert marked["event_aggregates"] == ["2026-03-01"]


def test_a_day_that_was_done_becomes_stale_at_once(engine: sa.Engine) -> None:
    changed = [window("hour", "2026-03-01-23:00", UTC)]
    with engine.begin() as connection:
        stale_partitions.finish(connection, CAMPAIGN_DAILY_STATS.key, {"2026-03-01": 3})
        propagation.mark_above(
            connection, CONTACT_ACTIVITY, changed, now=instant("2026-03-02T01:00Z"), zone=UTC
        )
    assert pending(engine)["campaign_daily_stats"] == ["2026-03-01"]


def test_an_hour_touches_two_days_where_the_zone_is_half_an_hour_off(engine: sa.Engine) -> None:
    changed = [window("hour", "2026-03-01-18:00", KOLKATA)]
    with engine.begin() as connection:
        propagation.mark_above(
            connection, CONTACT_ACTIVITY, changed, now=instant("2026-03-03T12:00Z"), zone=KOLKATA
        )
    assert pending(engine)["event_aggregates"] == ["2026-03-01", "2026-03-02"]


def test_every_hour_since_the_start_that_was_never_done_is_due(engine: sa.Engine) -> None:
    set_started(engine, "2026-03-01T09:30Z")
    with engine.begin() as connection:
        stale_partitions.finish(connection, CONTACT_ACTIVITY.key, dict.fromkeys(hours("01-10"), 0))
        own = propagation.mark_due(connection, CONTACT_ACTIVITY, instant("2026-03-01T13:00Z"), UTC)
    assert own.key == "2026-03-01-12:00"
    assert pending(engine) == {"contact_activity": hours("01-09", "01-11", "01-12")}


def test_a_day_tick_marks_the_missed_days_and_the_hours_they_need(engine: sa.Engine) -> None:
    set_started(engine, "2026-02-27T12:00Z")
    with engine.begin() as connection:
        own = propagation.mark_due(
            connection, CAMPAIGN_DAILY_STATS, instant("2026-03-02T02:00Z"), UTC
        )
    assert own.key == "2026-03-01"
    marked = pending(engine)
    assert marked["campaign_daily_stats"] == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert len(marked["contact_activity"]) == 72


def test_the_tick_of_the_hour_after_the_start_marks_its_own_partition(engine: sa.Engine) -> None:
    set_started(engine, "2026-03-01T12:59:59Z")
    with engine.begin() as connection:
        propagation.mark_due(connection, CONTACT_ACTIVITY, instant("2026-03-01T13:00Z"), UTC)
    assert pending(engine) == {"contact_activity": hours("01-12")}


def waiting(*keys: str, done: bool = False) -> stale_partitions.Pending:
    """Marked partitions that nobody asked for yet."""
    return stale_partitions.Pending(dict.fromkeys(keys), set() if done else set(keys))


def test_a_day_waits_for_hours_that_were_never_exported() -> None:
    days = ["2026-03-01", "2026-03-02"]
    marked = {
        EVENT_AGGREGATES.key: waiting(*days),
        CONTACT_ACTIVITY.key: waiting(*hours("02-07")),
    }
    ready = propagation.ready_windows(marked, EVENT_AGGREGATES, UTC)
    assert [w.key for w in ready] == ["2026-03-01"]
    del marked[CONTACT_ACTIVITY.key]
    ready = propagation.ready_windows(marked, EVENT_AGGREGATES, UTC)
    assert [w.key for w in ready] == days
    in_hours = {
        EVENT_AGGREGATES.key: waiting(*days),
        HOURLY_EVENTS.key: waiting(*hours("01-23")),
    }
    ready = propagation.ready_windows(in_hours, EVENT_AGGREGATES, UTC)
    assert [w.key for w in ready] == ["2026-03-02"]


def test_a_day_does_not_wait_for_hours_that_are_restated() -> None:
    marked = {
        EVENT_AGGREGATES.key: waiting("2026-03-02"),
        CONTACT_ACTIVITY.key: waiting(*hours("02-07"), done=True),
    }
    [ready] = propagation.ready_windows(marked, EVENT_AGGREGATES, UTC)
    assert ready.key == "2026-03-02"


def test_a_month_waits_for_days_that_are_restated() -> None:
    marked = {
        MONTHLY_USAGE.key: waiting("2026-02-01", "2026-03-01"),
        EVENT_AGGREGATES.key: waiting("2026-03-02", done=True),
    }
    [ready] = propagation.ready_windows(marked, MONTHLY_USAGE, UTC)
    assert ready.key == "2026-02-01"


def test_a_month_waits_for_the_hours_and_days_it_overlaps_in_its_zone() -> None:
    marked = {
        MONTHLY_USAGE.key: waiting("2026-02-01", "2026-03-01"),
        CONTACT_ACTIVITY.key: waiting("2026-03-01-04:00"),
    }
    [ready] = propagation.ready_windows(marked, MONTHLY_USAGE, NEW_YORK)
    assert ready.key == "2026-03-01"
    [ready] = propagation.ready_windows(marked, MONTHLY_USAGE, UTC)
    assert ready.key == "2026-02-01"


def test_the_last_tick_is_the_clocks_latest_in_the_reporting_zone() -> None:
    now = instant("2026-03-08T08:00:00Z")
    assert CAMPAIGN_DAILY_STATS.last_tick(now, UTC) == instant("2026-03-08T02:00Z")
    at_two = instant("2026-03-02T07:00:00Z")
    assert CAMPAIGN_DAILY_STATS.last_tick(at_two, NEW_YORK) == at_two
    just_before = at_two - dt.timedelta(seconds=2)
    assert CAMPAIGN_DAILY_STATS.last_tick(just_before, NEW_YORK) == instant("2026-03-01T07:00Z")
