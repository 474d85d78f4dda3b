"""Fault 46: `/metrics` parses before, during and after failures; its counters never go back."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from dagster_postgres import utils as storage

from marketing_pipelines.cli.session import dagster_instance
from marketing_pipelines.observability import health, metrics
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import (
    committing_each,
    create_engine,
    dagster_database_url,
)
from marketing_pipelines_tests.observability.test_incidents import fails, succeeds
from marketing_pipelines_tests.observability.test_metrics import labels, read, scrape, up
from marketing_pipelines_tests.probe import KEY, run_probe

pytestmark = pytest.mark.fault


@contextlib.contextmanager
def refused(engine: sa.Engine, url: sa.URL) -> Iterator[None]:
    """Has the server refuse connections to the database, and end those that are open."""
    allow = f"alter database {url.database} with allow_connections"
    with committing_each(engine) as connection:
        connection.exec_driver_sql(f"{allow} false")
        connection.execute(
            sa.text("select pg_terminate_backend(pid) from pg_stat_activity where datname = :name"),
            {"name": url.database},
        )
        try:
            yield
        finally:
            connection.exec_driver_sql(f"{allow} true")


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster asks a database that refuses it again at once."""
    monkeypatch.setattr(storage, "time", SimpleNamespace(sleep=lambda _: None))


@pytest.mark.fault(46)
def test_it_parses_before_during_and_after_failures_and_counters_never_go_back(
    engine: sa.Engine, no_pauses: None
) -> None:
    run_probe(engine, succeeds)
    dagster_url = dagster_database_url(get_settings())
    with dagster_instance() as instance:
        before, counted = scrape(engine, instance)
        assert up(before) == {"postgresql": 1, "dagster": 1, "lake": 1}
        assert before["marketing_job_runs_total", labels(job=KEY, status="COMPLETED")] == 1

        with refused(engine, dagster_url):
            nowhere = create_engine(sa.make_url("postgresql+psycopg://nobody@127.0.0.1:1/nothing"))
            during, counted_during = scrape(nowhere, instance)
            assert up(during) == {"postgresql": 0, "dagster": 0, "lake": 1}
            assert counted_during == {}
            with engine.begin() as connection:
                found = health.report(connection, instance, dt.datetime.now(dt.UTC))
            assert (found.status, found.heartbeat_seconds) == ("unhealthy", None)

        with engine.connect() as connection:
            pid = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
            with engine.begin() as other:
                other.exec_driver_sql(f"select pg_terminate_backend({pid}, 10000)")
            dying, _ = read(metrics.render(connection, instance, dt.datetime.now(dt.UTC)))
        assert up(dying) == {"postgresql": 0, "dagster": 1, "lake": 1}

        for _ in range(3):
            run_probe(engine, fails)
        run_probe(engine, succeeds)
        with engine.begin() as connection:
            connection.exec_driver_sql("delete from ops.job_sessions")
        after, counted_after = scrape(engine, instance)
    assert up(after) == {"postgresql": 1, "dagster": 1, "lake": 1}
    assert counted
    for key, value in counted.items():
        assert counted_after[key] >= value, key
    assert after["marketing_job_runs_total", labels(job=KEY, status="FAILED")] == 3
    assert after["marketing_job_runs_total", labels(job=KEY, status="COMPLETED")] == 2
