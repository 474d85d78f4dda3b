"""A day is counted only when all its closed hours are in the lake."""

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.analytics.manifest import missing_hours
from marketing_pipelines.domains.analytics.publishing import export_hours
from marketing_pipelines.failures import UpstreamNotReadyError
from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.freshness.partitions import window_at
from marketing_pipelines.freshness.writer_barrier import require_over
from marketing_pipelines.running import RunFailedError
from marketing_pipelines.runs.tags import ONLY_MARKED_TAG
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.probe import run_probe
from marketing_pipelines_tests.scale import soak_only


def test_hours_that_were_never_exported_are_missing(installation: Installation) -> None:
    installation.run("analytics/contact_activity", "2026-03-01-01:00", "2026-03-01-22:00")
    with installation.engine.connect() as connection:
        missing = missing_hours(
            connection, instant("2026-03-01T00:00Z"), instant("2026-03-02T00:00Z")
        )
    assert [hour.astimezone(dt.UTC).hour for hour in missing] == [0, 23]


def test_a_day_alone_refuses_to_count_without_its_hours_and_marks_them(
    installation: Installation,
) -> None:
    with pytest.raises(RunFailedError, match="24 hours are not in the lake yet"):
        installation.run("analytics/event_aggregates", "2026-03-01", only=True)
    assert installation.rows(
        "select asset, count(distinct partition) from analytics.stale_partitions"
        " group by 1 order by 1"
    ) == [("analytics/contact_activity", 24), ("analytics/event_aggregates", 1)]
    assert installation.rows("select status, count(*) from ops.job_sessions group by 1") == [
        ("FAILED", 1)
    ]
    # It follows by itself: no failure that anybody is alerted of.
    assert installation.rows("select count(*) from ops.incidents") == [(0,)]


def test_an_hour_that_is_not_over_by_the_servers_clock_is_not_exported(
    installation: Installation,
) -> None:
    """As where this machine's clock is ahead: events of such an hour make no marks."""
    with installation.engine.connect() as connection:
        now = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        require_over(connection, now + dt.timedelta(seconds=60))
        with pytest.raises(UpstreamNotReadyError, match=r"By PostgreSQL's clock .* s ahead"):
            require_over(connection, now + dt.timedelta(minutes=10))


def test_an_export_of_an_hour_that_is_not_over_is_refused_before_it_writes(
    installation: Installation, tmp_path: Path
) -> None:
    now = dt.datetime.now(dt.UTC)
    installation.load_events(tmp_path, [{"event_id": "1", "occurred_at": now.isoformat()}])
    lake = Lake(installation.settings.effective_lake_url)
    refused: list[str] = []

    def body(tick: Tick) -> None:
        # Dagster by its own clock, which is ahead, takes the hour for over.
        tick.windows = [window_at("hour", now + dt.timedelta(minutes=10), ZoneInfo("UTC"))]
        with pytest.raises(UpstreamNotReadyError) as refusal:
            export_hours(tick, lake)
        refused.append(str(refusal.value))

    run_probe(installation.engine, body)
    [sentence] = refused
    assert sentence.startswith("By PostgreSQL's clock")
    assert lake.size() == 0
    assert installation.rows("select * from analytics.lake_hours") == []


@pytest.mark.soak
@soak_only
def test_a_refused_day_follows_by_itself_when_its_hours_are_exported(
    installation: Installation, tmp_path: Path
) -> None:
    installation.load_events(tmp_path, [{"event_id": "1", "occurred_at": "2026-03-01T12:00Z"}])
    with pytest.raises(RunFailedError):
        installation.run("analytics/event_aggregates", "2026-03-01", only=True)
    installation.run_marked()
    assert installation.rows("select event_count from analytics.daily_events") == [(1,)]


def test_a_day_that_was_marked_alone_brings_its_hours(installation: Installation) -> None:
    """As the trigger on enrolments marks a day on which nothing else happened."""
    with installation.engine.begin() as connection:
        stale_partitions.add(connection, "analytics/campaign_daily_stats", ["2026-03-01"])
    installation.run_marked()
    assert installation.rows("select * from analytics.stale_partitions") == []
    assert installation.rows(
        "select asset, count(*) from analytics.finished_partitions group by 1 order by 1"
    ) == [
        ("analytics/campaign_daily_stats", 1),
        ("analytics/contact_activity", 24),
    ]


def test_a_range_leaves_out_the_marked_days_that_still_wait(installation: Installation) -> None:
    days = ["2026-03-01", "2026-03-02", "2026-03-03"]
    for day in (days[0], days[2]):
        installation.run("analytics/contact_activity", f"{day}-00:00", f"{day}-23:00", only=True)
    with installation.engine.begin() as connection:
        stale_partitions.add(connection, "analytics/contact_activity", ["2026-03-02-05:00"])
        stale_partitions.add(connection, "analytics/event_aggregates", days)
    done = defs.resolve_job_def("analytics__event_aggregates_job").execute_in_process(
        instance=installation.instance,
        tags={
            "dagster/asset_partition_range_start": days[0],
            "dagster/asset_partition_range_end": days[2],
            ONLY_MARKED_TAG: "true",
        },
        raise_on_error=False,
    )
    assert done.success
    assert installation.rows(
        "select partition from analytics.finished_partitions"
        " where asset = 'analytics/event_aggregates' order by 1"
    ) == [(days[0],), (days[2],)]
    with installation.engine.connect() as connection:
        assert (
            days[1] in stale_partitions.pending(connection)["analytics/event_aggregates"].requested
        )


def test_campaign_days_without_any_event_have_rows_of_zeros(
    installation: Installation, tmp_path: Path
) -> None:
    campaigns = tmp_path / "campaigns.csv"
    campaigns.write_text(
        "external_id,organization_id,name,status,started_at,cancelled_at\n"
        "spring,acme,Spring,active,2026-03-02T10:00:00Z,\n"
        "recall,acme,Recall,cancelled,2026-03-01T10:00:00Z,2026-03-02T09:00:00Z\n"
        "draft,acme,Draft,draft,,\n"
    )
    installation.load("campaigns", campaigns)
    installation.run("analytics/campaign_daily_stats", "2026-02-28", "2026-03-03")
    assert installation.rows(
        "select external_id, date::text, sent, entered from analytics.campaign_daily_stats"
        " join analytics.campaigns on id = campaign_id order by 1, 2"
    ) == [
        ("recall", "2026-03-01", 0, 0),
        ("recall", "2026-03-02", 0, 0),
        ("spring", "2026-03-02", 0, 0),
        ("spring", "2026-03-03", 0, 0),
    ]
