"""A day is counted only when all its closed hours are in the lake."""

import datetime as dt
from pathlib import Path

import pytest

from marketing_pipelines.domains.analytics.manifest import missing_hours
from marketing_pipelines.running import RunFailedError
from marketing_pipelines_tests.installation import Installation, instant


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
        ("FAILED", 4)
    ]


def test_a_refused_day_follows_by_itself_when_its_hours_are_exported(
    installation: Installation, tmp_path: Path
) -> None:
    installation.load_events(tmp_path, [{"event_id": "1", "occurred_at": "2026-03-01T12:00Z"}])
    with pytest.raises(RunFailedError):
        installation.run("analytics/event_aggregates", "2026-03-01", only=True)
    installation.run_marked()
    assert installation.rows("select event_count from analytics.daily_events") == [(1,)]


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
