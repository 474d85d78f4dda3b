"""`/metrics` parses before, during and after failures, and its counters never go back."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from marketing_pipelines.observability import metrics
from marketing_pipelines.runs.incidents import SubjectFailure, failed
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.observability.test_incidents import fails, succeeds
from marketing_pipelines_tests.probe import KEY, run_probe

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: bytes) -> tuple[Values, Values]:
    """All values, and those of them that may only grow; read by the official parser."""
    values: Values = {}
    growing: Values = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            assert sample.name.startswith("marketing_")
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in values
            values[key] = sample.value
            if family.type in ("counter", "histogram"):
                growing[key] = sample.value
    return values, growing


def scrape(engine: sa.Engine, instance: dg.DagsterInstance | None = None) -> tuple[Values, Values]:
    return read(metrics.scrape(engine, instance, dt.datetime.now(dt.UTC)))


def up(values: Values) -> dict[str, float]:
    return {
        dict(labels)["store"]: value
        for (name, labels), value in values.items()
        if name == "marketing_store_up"
    }


def labels(**names: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(names.items()))


def test_a_histogram_counts_every_session_once_in_rising_buckets(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for milliseconds in (100, 101, 60_000, 7_200_000):
            connection.execute(
                sa.text(
                    "with new as (insert into ops.job_sessions (job, trigger, tick, status)"
                    " values ('a/b', 'manual', now(), 'RUNNING') returning id)"
                    " select id from new"
                )
            )
            connection.execute(
                sa.text(
                    "update ops.job_sessions set status = 'COMPLETED', duration_ms = :duration"
                    " where status = 'RUNNING'"
                ),
                {"duration": milliseconds},
            )
    values, _ = scrape(engine)
    name = "marketing_job_duration_seconds"
    buckets = [
        values[f"{name}_bucket", labels(job="a/b", status="COMPLETED", le=bound)]
        for bound in metrics.BOUNDS
    ]
    assert buckets == [1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert values[f"{name}_count", labels(job="a/b", status="COMPLETED")] == 4
    assert values[f"{name}_sum", labels(job="a/b", status="COMPLETED")] == pytest.approx(7260.201)


def test_what_waits_fails_or_is_behind_is_measured(installation: Installation) -> None:
    run_probe(installation.engine, fails)
    installation.execute(
        "insert into ops.item_failures values ('a/b', 'x', 1, now(), now(), 'gone');"
        "insert into analytics.stale_partitions values"
        " ('analytics/warehouse', '2026-03-01', 1), ('analytics/warehouse', '2026-03-01', 2);"
        "update ops.installation set started_at = now() - interval '3 hours'"
    )
    values, _ = scrape(installation.engine)
    assert values["marketing_items_failing", labels(job="a/b")] == 1
    assert values["marketing_stale_partitions", labels(asset="analytics/warehouse")] == 1
    assert values["marketing_incidents_open", ()] == 1
    assert values["marketing_alerts", labels(state="queued")] == 1
    lag = values["marketing_job_lag_seconds", labels(job="analytics/contact_activity")]
    # The hour may end between the start that was set and the scrape.
    assert 2 * 3600 <= lag <= 3 * 3600 + 300
    assert values["marketing_job_overdue", labels(job="analytics/contact_activity")] == 1
    assert values["marketing_queue_depth", labels(queue="crm-events", state="waiting")] == 0
    assert values["marketing_database_size_bytes", ()] > 1e6


def test_what_has_not_failed_yet_is_counted_from_zero(installation: Installation) -> None:
    """So that the first failure is an increase."""
    job = "analytics/warehouse"
    values, _ = scrape(installation.engine)
    for status in ("COMPLETED", "FAILED", "TIMED_OUT", "ABANDONED"):
        assert values["marketing_job_runs_total", labels(job=job, status=status)] == 0
    assert values["marketing_alerts", labels(state="failed")] == 0
    assert values["marketing_job_failures_in_a_row", labels(job=job)] == 0
    with installation.engine.begin() as connection:
        for _ in range(3):
            failed(connection, [SubjectFailure(job, "It broke.")])
    values, _ = scrape(installation.engine)
    assert values["marketing_job_failures_in_a_row", labels(job=job)] == 3


def test_the_age_of_the_last_success_survives_the_purge(installation: Installation) -> None:
    run_probe(installation.engine, succeeds)
    installation.execute("delete from ops.job_sessions")
    values, _ = scrape(installation.engine)
    assert 0 <= values["marketing_job_last_success_age_seconds", labels(job=KEY)] < 300


def test_a_lake_that_cannot_be_read_says_so(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from marketing_pipelines.settings import get_settings

    monkeypatch.setenv("MARKETING_LAKE_URL", "nosuchstore://bucket/lake")
    get_settings.cache_clear()
    values, _ = scrape(installation.engine)
    assert up(values)["lake"] == 0
    assert up(values)["postgresql"] == 1
