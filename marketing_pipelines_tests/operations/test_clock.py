"""Schedules mark what is due, the sensor asks for it once, and what was missed is done once."""

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.operations.requests import next_requests
from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.freshness.partitions import registered
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines_tests.installation import Installation, instant

UTC = ZoneInfo("UTC")


def run_tick(installation: Installation, name: str, tick: dt.datetime) -> Any:
    """Evaluates a schedule for a tick, as the daemon would."""
    repository = defs.get_repository_def()
    with dg.build_schedule_context(
        scheduled_execution_time=tick,
        resources={"postgres": Postgres()},
        repository_def=repository,
        instance=installation.instance,
    ) as context:
        return repository.get_schedule_def(f"analytics__{name}_schedule").evaluate_tick(context)


def marked(installation: Installation, asset: str) -> list[str]:
    rows = installation.rows(
        "select distinct partition from analytics.stale_partitions where asset = :asset order by 1",
        asset=f"analytics/{asset}",
    )
    return [row[0] for row in rows]


def asked(installation: Installation, now: dt.datetime, *, under_way: bool = False) -> list[Any]:
    """The runs that the sensor would ask for, noted as it notes them."""
    with installation.engine.begin() as connection:
        found = next_requests(
            stale_partitions.pending(connection),
            list(registered().values()),
            now=now,
            zone=UTC,
            first_day=dt.date(2015, 1, 1),
            is_under_way=lambda _: under_way,
        )
        for request in found:
            keys = [w.key for w in request.windows]
            stale_partitions.set_requested(connection, request.asset.key, keys, now)
    return [(r.asset.key.split("/")[1], r.windows[0].key, r.windows[-1].key) for r in found]


@pytest.fixture
def started(installation: Installation) -> Installation:
    """An installation that began on 1 March 2026."""
    installation.execute(
        "update ops.installation set started_at = timestamptz '2026-03-01 00:00:00+00'"
    )
    return installation


def test_the_hour_tick_starts_its_own_hour_and_marks_the_hours_before_it(
    started: Installation,
) -> None:
    result = run_tick(started, "contact_activity", instant("2026-03-01T03:00+00:00"))
    assert [request.partition_key for request in result.run_requests] == ["2026-03-01-02:00"]
    assert marked(started, "contact_activity") == [
        "2026-03-01-00:00",
        "2026-03-01-01:00",
        "2026-03-01-02:00",
    ]


def test_the_day_tick_waits_until_the_hours_of_the_day_are_exported(started: Installation) -> None:
    result = run_tick(started, "event_aggregates", instant("2026-03-01T02:00+00:00"))
    assert result.run_requests == []
    assert "2026-03-01 waits" in result.skip_message
    two = instant("2026-03-01T02:00+00:00")
    started.run("analytics/contact_activity", "2026-03-01-00:00", "2026-03-01-01:00", at=two)
    assert asked(started, instant("2026-03-01T02:00:10+00:00")) == [
        ("event_aggregates", "2026-03-01", "2026-03-01")
    ]


def test_a_partition_is_asked_for_again_only_after_a_quarter_of_an_hour(
    started: Installation,
) -> None:
    with started.engine.begin() as connection:
        stale_partitions.add(connection, "analytics/contact_activity", ["2026-03-01-00:00"])
    first = instant("2026-03-02T00:00+00:00")
    hour = [("contact_activity", "2026-03-01-00:00", "2026-03-01-00:00")]
    assert asked(started, first) == hour
    assert asked(started, first + dt.timedelta(minutes=14)) == []
    assert asked(started, first + dt.timedelta(minutes=15), under_way=True) == []
    assert asked(started, first + dt.timedelta(minutes=15)) == hour


def test_marks_that_are_far_apart_become_runs_of_their_own_oldest_first(
    started: Installation,
) -> None:
    keys = ["2026-03-05-00:00", "2026-01-01-00:00", "2026-01-09-05:00"]
    with started.engine.begin() as connection:
        stale_partitions.add(connection, "analytics/contact_activity", keys)
    assert asked(started, instant("2026-03-06T00:00+00:00")) == [
        ("contact_activity", "2026-01-01-00:00", "2026-01-09-05:00"),
        ("contact_activity", "2026-03-05-00:00", "2026-03-05-00:00"),
    ]


def test_after_25_hours_off_every_missed_hour_and_day_is_done_once_oldest_first(
    started: Installation, tmp_path: Path
) -> None:
    events = [
        {"event_id": f"{hour}", "occurred_at": f"2026-03-{1 + hour // 24:02}T{hour % 24:02}:30Z"}
        for hour in range(36)
    ]
    started.load_events(tmp_path, events)
    started.execute("delete from analytics.stale_partitions")
    ten = instant("2026-03-01T10:00+00:00")
    started.run("analytics/event_aggregates", "2026-03-01", at=ten)
    started.run("analytics/campaign_daily_stats", "2026-03-01", at=ten)
    [(done_before, stopped_at)] = started.rows("select max(id), now() from ops.job_sessions")

    run_tick(started, "campaign_daily_stats", instant("2026-03-02T02:00+00:00"))
    run_tick(started, "contact_activity", instant("2026-03-02T11:00+00:00"))
    run_tick(started, "event_aggregates", instant("2026-03-02T11:00+00:00"))
    started.run_marked()

    assert started.rows(
        "select count(*), sum(rows)::int from analytics.lake_hours"
        " where hour >= timestamptz '2026-03-01' and hour < timestamptz '2026-03-02 11:00+00'"
    ) == [(35, 35)]
    assert started.rows(
        "select date::text, event_count from analytics.daily_events where event_count > 0"
        " order by 1"
    ) == [("2026-03-01", 24), ("2026-03-02", 12)]
    again = started.rows(
        "select job, count(*)::int from ops.job_sessions"
        " where id > :before and status = 'COMPLETED' and partition like '2026-03-01%'"
        " and job like '%a%_s' and job not like '%hourly%' group by 1 order by 1",
        before=done_before,
    )
    assert again == [("analytics/campaign_daily_stats", 1), ("analytics/event_aggregates", 1)]
    assert started.rows("select count(*) from analytics.stale_partitions") == [(0,)]
    finished = started.rows(
        "select partition from analytics.finished_partitions"
        " where asset = 'analytics/contact_activity' and finished_at > :since"
        " and partition < '2026-03-02-12:00' and partition >= '2026-03-01-10:00'"
        " order by finished_at, partition",
        since=stopped_at,
    )
    keys = [row[0] for row in finished]
    assert len(keys) == 26
    assert keys == sorted(keys)


def test_what_lies_before_the_first_day_is_never_asked_for(started: Installation) -> None:
    with started.engine.begin() as connection:
        stale_partitions.add(
            connection, "analytics/contact_activity", ["2014-12-30-23:00", "2014-12-31-00:00"]
        )
        stale_partitions.add(connection, "analytics/event_aggregates", ["2014-12-31", "2015-01-01"])
    assert asked(started, dt.datetime(2026, 3, 2, tzinfo=UTC)) == [
        ("contact_activity", "2014-12-31-00:00", "2014-12-31-00:00"),
        ("event_aggregates", "2015-01-01", "2015-01-01"),
    ]
