"""Old operational runs go; partition history, and the latest run of each asset, stay."""

import datetime as dt

import dagster as dg
import pytest

from marketing_pipelines.runs import history
from marketing_pipelines.runs.history import purge_runs
from marketing_pipelines_tests.installation import Installation

HOURS = dg.AssetKey(["analytics", "contact_activity"])
SAMPLE = dg.AssetKey(["development", "sample_job"])
SOON = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


def runs_of(installation: Installation, job: str) -> set[str]:
    runs = installation.instance.get_runs(dg.RunsFilter(job_name=job))
    return {run.run_id for run in runs}


def events(installation: Installation) -> int:
    instance = installation.instance
    return sum(len(instance.all_logs(run.run_id)) for run in instance.get_runs())


def test_what_worked_no_partition_is_removed_but_for_each_assets_latest(
    installation: Installation,
) -> None:
    for _ in range(4):
        installation.run("development/sample_job")
    installation.run("analytics/contact_activity", "2026-03-01-10:00", only=True)
    installation.run(
        "analytics/contact_activity", "2026-03-01-11:00", "2026-03-01-12:00", only=True
    )
    before = events(installation)
    assert purge_runs(installation.instance, SOON) == 3
    assert len(runs_of(installation, "development__sample_job_job")) == 1
    assert len(runs_of(installation, "analytics__contact_activity_job")) == 2
    assert events(installation) < before
    assert installation.instance.get_materialized_partitions(HOURS) == {
        "2026-03-01-10:00",
        "2026-03-01-11:00",
        "2026-03-01-12:00",
    }
    assert installation.instance.get_latest_materialization_event(SAMPLE) is not None
    assert purge_runs(installation.instance, SOON) == 0


def test_pages_full_of_runs_that_stay_do_not_hide_those_that_go(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour in ("10", "11"):
        installation.run("analytics/contact_activity", f"2026-03-01-{hour}:00", only=True)
    for _ in range(4):
        installation.run("development/sample_job")
    monkeypatch.setattr(history, "PAGE", 1)
    assert purge_runs(installation.instance, SOON) == 3


def test_the_job_keeps_a_week(installation: Installation) -> None:
    for _ in range(2):
        installation.run("development/sample_job")
    [today] = installation.run("upkeep/run_history")
    assert (today.status, today.rows) == ("COMPLETED", 0)
    [next_month] = installation.run("upkeep/run_history", at=SOON + dt.timedelta(days=30))
    assert (next_month.status, next_month.rows) == ("COMPLETED", 1)
