"""Healthy, degraded, unhealthy: when, and why."""

import datetime as dt

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._daemon.types import DaemonHeartbeat

from marketing_pipelines import registry
from marketing_pipelines.domains.operations.records import keep_report
from marketing_pipelines.observability import health
from marketing_pipelines.observability.health import Health
from marketing_pipelines.runs import incidents, sessions
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.observability.test_incidents import abandon, alerts

NOW = dt.datetime(2026, 3, 10, 12, 2, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def beats(instance: dg.DagsterInstance, at: dt.datetime) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), "SCHEDULER", "id", []))


@pytest.fixture
def well(installation: Installation) -> Installation:
    """Installed a minute ago, with a scheduler that lives."""
    installation.execute(
        "update ops.installation set started_at = :at", at=NOW - dt.timedelta(minutes=1)
    )
    beats(installation.instance, NOW - dt.timedelta(seconds=20))
    return installation


def report(installation: Installation, now: dt.datetime = NOW) -> Health:
    with installation.engine.begin() as connection:
        return health.report(connection, installation.instance, now)


def ended(installation: Installation, status: str, number: int = 1, **values: object) -> None:
    """Sessions that ended an hour ago."""
    installation.execute(
        "insert into ops.job_sessions"
        " (job, trigger, tick, status, started_at, ended_at, will_retry)"
        " select 'a/b', 'manual', :at, :status, :at, :at, :will_retry"
        " from generate_series(1, :number)",
        **({"at": NOW - HOUR, "status": status, "number": number, "will_retry": False} | values),
    )


def test_a_machinery_that_does_its_work_is_healthy(well: Installation) -> None:
    ended(well, "COMPLETED", 50)
    assert report(well) == Health("healthy", heartbeat_seconds=20.0)


def test_more_than_five_failures_in_a_day_degrade_it(well: Installation) -> None:
    ended(well, "FAILED", 3)
    ended(well, "TIMED_OUT", 1)
    ended(well, "ABANDONED", 1)
    ended(well, "FAILED", 9, will_retry=True)
    ended(well, "FAILED", 9, at=NOW - 25 * HOUR)
    ended(well, "CANCELED", 9)
    found = report(well)
    assert (found.status, found.failures_24h, found.abandoned_24h) == ("healthy", 5, 1)
    ended(well, "FAILED")
    found = report(well)
    assert (found.status, found.failures_24h, found.abandoned_24h) == ("degraded", 6, 1)
    assert found.reasons == ["6 runs failed in 24 hours."]


def test_a_run_counts_once_however_many_attempts_it_makes(well: Installation) -> None:
    for status, run in (("FAILED", "r1"), ("ABANDONED", "r1"), ("TIMED_OUT", "r2")):
        ended(well, status)
        well.execute("update ops.job_sessions set run_id = :run where run_id is null", run=run)
    found = report(well)
    assert (found.failures_24h, found.abandoned_24h) == (2, 1)
    with well.engine.connect() as connection:
        failed = sessions.failed_since(connection, NOW - 24 * HOUR)
    assert [(row.run_id, row.status) for row in failed] == [
        ("r2", "TIMED_OUT"),
        ("r1", "ABANDONED"),
    ]


def test_a_dead_process_is_abandoned_and_not_running(well: Installation) -> None:
    abandon(well.engine, "a/b")
    found = report(well, dt.datetime.now(dt.UTC))
    assert (found.running, found.failures_24h, found.abandoned_24h) == (0, 1, 1)


def test_a_tick_that_was_not_done_in_ten_minutes_is_overdue(well: Installation) -> None:
    well.execute("update ops.installation set started_at = :at", at=NOW - 2 * HOUR)
    beats(well.instance, NOW + HOUR)
    found = report(well)
    assert found.status == "degraded"
    assert "analytics/event_aggregates" in found.overdue
    assert "analytics/monthly_usage" not in found.overdue
    assert found.reasons == [f"Overdue: {', '.join(found.overdue)}."]


def test_a_job_that_works_on_its_late_tick_or_did_it_is_not_overdue(well: Installation) -> None:
    metrics = "operations/metrics"
    well.execute("update ops.installation set started_at = :at", at=NOW - 2 * HOUR)
    assert metrics in report(well, NOW + HOUR / 2).overdue
    with well.engine.connect() as connection:
        abandoned = connection.execute(
            sa.text(
                "insert into ops.job_sessions (job, trigger, tick, status)"
                " values (:job, 'schedule', :at, 'QUEUED') returning id"
            ),
            {"job": metrics, "at": NOW},
        ).scalar_one()
        connection.commit()
    assert metrics not in report(well, NOW + HOUR / 2).overdue
    well.execute(
        "update ops.job_sessions set status = 'COMPLETED', started_at = :at, ended_at = :at"
        " where id = :id",
        at=NOW + HOUR / 4,
        id=abandoned,
    )
    assert metrics not in report(well, NOW + HOUR / 2).overdue
    assert metrics in report(well, NOW + 2 * HOUR).overdue


def test_without_a_sign_of_life_of_the_scheduler_it_is_unhealthy(well: Installation) -> None:
    found = report(well, NOW + dt.timedelta(minutes=5))
    assert found.status == "unhealthy"
    assert found.reasons[0].startswith("The scheduler shows no sign of life")
    with well.engine.begin() as connection, dg.DagsterInstance.ephemeral() as silent:
        assert health.report(connection, silent, NOW).status == "unhealthy"
        assert health.report(connection, None, NOW).heartbeat_seconds is None


def test_a_file_that_cannot_be_imported_makes_it_unhealthy(
    well: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.import_errors, "domains.x.jobs", "ImportError: no y")
    found = report(well)
    assert (found.status, found.reasons) == (
        "unhealthy",
        ["domains.x.jobs cannot be imported and is left out: ImportError: no y."],
    )


def test_without_a_database_it_is_unhealthy() -> None:
    assert health.unreachable("It does not answer.").as_dict()["status"] == "unhealthy"


def test_live_and_ready_answer(well: Installation) -> None:
    assert health.live() == {"status": "live"}
    with well.engine.connect() as connection:
        assert health.ready(connection) == {"status": "ready"}


def test_the_asset_keeps_the_verdict_and_opens_incidents_for_what_lasts(
    well: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.import_errors, "domains.x.jobs", "ImportError: no y")
    well.execute(
        "insert into ops.dead_letters (task_id, queue, task, payload, priority, error, attempts,"
        " first_failed_at, last_failed_at)"
        " select n, 'crm-events', 't', '{}', 0, 'gone', 1, :at, :at from generate_series(1, 12) n",
        at=NOW,
    )
    for minutes in (0, 5):
        well.run("operations/health", at=NOW + dt.timedelta(minutes=minutes))
    rows = well.rows("select at, status, report ->> 'running' from ops.health_reports order by 1")
    assert rows == [
        (NOW, "unhealthy", "1"),
        (NOW + dt.timedelta(minutes=5), "unhealthy", "1"),
    ]
    assert alerts(well.engine) == [
        ("file domains.x.jobs", "", "first"),
        ("dead-letters crm-events", "", "first"),
        ("dead-letters crm-events 10+", "", "first"),
    ]
    well.execute("update ops.dead_letters set state = 'redriven'")
    monkeypatch.delitem(registry.import_errors, "domains.x.jobs")
    well.run("operations/health", at=NOW + dt.timedelta(minutes=5))
    assert [kind for _, _, kind in alerts(well.engine)] == ["first"] * 3 + ["recovery"] * 3


def test_the_alert_of_an_overdue_job_says_that_its_schedule_is_stopped(
    engine: sa.Engine,
) -> None:
    overdue = ["operations/metrics", "upkeep/run_history"]
    stopped = ["operations__metrics_schedule"]
    with engine.begin() as connection:
        keep_report(connection, NOW, Health("degraded", overdue=overdue, stopped=stopped))
        rows = connection.exec_driver_sql("select subject, error from ops.incidents order by 1")
        assert rows.all() == [
            (
                "overdue operations/metrics",
                "Its schedule is stopped in the Dagster UI: start it there.",
            ),
            ("overdue upkeep/run_history", "Its tick was not done in ten minutes."),
        ]


@pytest.mark.parametrize("late_first", [True, False])
def test_a_job_that_fails_is_not_told_of_again_because_it_is_late(
    well: Installation, late_first: bool
) -> None:
    job = "analytics/contact_activity"
    well.execute("update ops.installation set started_at = :at", at=NOW - 3 * HOUR)
    if late_first:
        well.run("operations/health", at=NOW)
    with well.engine.begin() as connection:
        incidents.failed(connection, [incidents.SubjectFailure(job, "It broke.")])
    well.run("operations/health", at=NOW + dt.timedelta(minutes=5))
    told = [(subject, kind) for subject, _, kind in alerts(well.engine) if job in subject]
    assert told == [(f"overdue {job}", "first")] * late_first + [(job, "first")]


def test_the_hourly_samples_are_kept_once_per_tick(well: Installation) -> None:
    for _ in range(2):
        well.run("operations/metrics", at=NOW)
    assert well.rows(
        "select metric, labels, value > 0 from ops.metric_samples where metric like '%_size_%'"
    ) == [
        ("marketing_database_size_bytes", "", True),
        ("marketing_lake_size_bytes", "", False),
    ]
    assert well.rows(
        "select count(*)::int from ops.metric_samples"
        " where metric = 'marketing_job_lag_seconds' and labels = 'job=operations/health'"
    ) == [(1,)]
