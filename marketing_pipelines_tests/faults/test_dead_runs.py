"""A killed process leaves its Dagster run STARTED; the sensor ends it and nothing else."""

import datetime as dt
import os
import signal
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from marketing_pipelines.cli.session import dagster_instance
from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.operations.dead_runs import close_and_find_dead
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.runs import sessions
from marketing_pipelines_tests.cli.console import start
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault

HOUR = ("run", "analytics/contact_activity", "--partition", "2026-03-01-10:00")
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
LONG_AGO, JUST_NOW = NOW - dt.timedelta(minutes=5), NOW - dt.timedelta(seconds=5)


def evaluate(instance: dg.DagsterInstance) -> None:
    """One evaluation of the sensor."""
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, resources={"postgres": Postgres()}
    ) as context:
        repository.get_sensor_def("dead_runs_sensor").evaluate_tick(context)


def statuses(instance: dg.DagsterInstance) -> list[str]:
    return [run.status.value for run in instance.get_runs()]


def test_the_run_of_a_killed_process_fails_and_one_that_works_goes_on(
    installation: Installation, tmp_path: Path
) -> None:
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    with dagster_instance() as instance, installation.engine.connect() as blocker:
        blocker.execute(sa.text("lock analytics.contact_activity in access exclusive mode"))
        with start(*HOUR) as process:
            until(lambda: running(installation), what="the run to open its session")
            evaluate(instance)
            assert statuses(instance) == ["STARTED"]
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
        blocker.rollback()
        until(lambda: ended(installation, instance), what="the server to notice the death")
        assert statuses(instance) == ["FAILURE"]
    assert installation.rows("select status from ops.job_sessions") == [("ABANDONED",)]


def running(installation: Installation) -> bool:
    return bool(installation.rows("select 1 from ops.job_sessions where status = 'RUNNING'"))


def ended(installation: Installation, instance: dg.DagsterInstance) -> bool:
    evaluate(instance)
    return statuses(instance) == ["FAILURE"]


@pytest.mark.parametrize(
    ("began", "ends", "is_dead"),
    [
        (LONG_AGO, [], True),
        (JUST_NOW, [], False),
        (LONG_AGO, [("COMPLETED", LONG_AGO)], True),
        (LONG_AGO, [("COMPLETED", JUST_NOW)], False),
        (LONG_AGO, [("FAILED", LONG_AGO), ("COMPLETED", JUST_NOW)], False),
        (JUST_NOW, [("COMPLETED", JUST_NOW), ("ABANDONED", JUST_NOW)], True),
    ],
)
def test_a_run_is_dead_when_its_session_is_or_when_it_has_had_none_for_a_minute(
    engine: sa.Engine, began: dt.datetime, ends: list[tuple[str, dt.datetime]], is_dead: bool
) -> None:
    with engine.begin() as connection:
        for status, at in ends:
            number = sessions.open_session(
                connection, job="a/b", trigger="manual", tick=began, partition=None, run_id="run"
            )
            connection.execute(
                sa.text("update ops.job_sessions set status = :s, ended_at = :at where id = :id"),
                {"s": status, "at": at, "id": number},
            )
        found = close_and_find_dead(connection, {"run": began}, NOW)
    assert found == (["run"] if is_dead else [])


def test_a_run_that_never_took_its_queued_session_over_is_judged_by_its_own_age(
    engine: sa.Engine,
) -> None:
    with engine.begin() as connection:
        sessions.queue_session(
            connection, job="a/b", trigger="api", tick=LONG_AGO, partition=None, run_id="run"
        )
        assert close_and_find_dead(connection, {"run": LONG_AGO}, NOW) == ["run"]
        assert close_and_find_dead(connection, {"run": JUST_NOW}, NOW) == []


def test_a_run_whose_session_works_is_alive_however_long_it_takes(engine: sa.Engine) -> None:
    with engine.connect() as worker, engine.begin() as connection:
        sessions.open_session(
            worker, job="a/b", trigger="manual", tick=LONG_AGO, partition=None, run_id="run"
        )
        worker.commit()
        assert close_and_find_dead(connection, {"run": LONG_AGO}, NOW) == []
