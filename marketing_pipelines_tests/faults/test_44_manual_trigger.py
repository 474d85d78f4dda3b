"""Fault 44: a trigger by hand during a scheduled run, twice, and of a job that does not exist."""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType

from marketing_pipelines.api import tokens
from marketing_pipelines.api.launching import AlreadyRunningError, Started, launch
from marketing_pipelines.cli.session import dagster_instance
from marketing_pipelines.definitions import defs
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import UNDER_WAY
from marketing_pipelines_tests.api.serving import answers
from marketing_pipelines_tests.cli.console import start
from marketing_pipelines_tests.faults.running import Running
from marketing_pipelines_tests.faults.scheduler import REAL_JOBS, run_scheduler
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault

SAMPLE = "development/sample_job"
HOURS, HOUR = "analytics/contact_activity", "2026-03-01-10:00"


@pytest.fixture
def instance(installation: Installation, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's real storage; one hour has an event."""
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    with dagster_instance() as opened:
        yield opened


def trigger(installation: Installation, instance: dg.DagsterInstance) -> Started:
    return launch(
        HOURS,
        HOUR,
        settings=installation.settings,
        engine=installation.engine,
        instance=instance,
        now=dt.datetime.now(dt.UTC),
    )


def session(installation: Installation, number: int) -> tuple[str, str, str]:
    [(status, trigger, error)] = installation.rows(
        "select status, trigger, coalesce(error, '') from ops.job_sessions where id = :id",
        id=number,
    )
    return status, trigger, error


def running_of(installation: Installation) -> list[tuple[str]]:
    return installation.rows("select run_id from ops.job_sessions where status = 'RUNNING'")


@pytest.mark.fault(44)
def test_while_one_works_a_trigger_is_refused_and_a_lost_race_is_skipped_naming_it(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    early = trigger(installation, instance)
    with pytest.raises(AlreadyRunningError, match=early.run_id):
        trigger(installation, instance)
    with installation.engine.connect() as blocker:
        blocker.execute(sa.text("lock analytics.contact_activity in access exclusive mode"))
        with start("run", HOURS, "--partition", HOUR, "--only") as works:
            [(holder,)] = until(lambda: running_of(installation), what="the run to begin its work")
            until(lambda: waits_for_the_table(blocker), what="the run to hold its lock")
            with pytest.raises(AlreadyRunningError, match=holder):
                trigger(installation, instance)
            run_scheduler(location=REAL_JOBS)
            blocker.rollback()
            works.communicate(timeout=120)
    assert session(installation, early.session_id) == (
        "SKIPPED_OVERLAP",
        "api",
        f"Run {holder} holds the lock of {HOURS} {HOUR} and does the work.",
    )
    [(done,)] = installation.rows(
        "select status from ops.job_sessions where run_id = :id and job = :job",
        id=holder,
        job=HOURS,
    )
    assert done == "COMPLETED"


@pytest.mark.soak
@soak_only
@pytest.mark.timeout(900)
def test_of_three_triggers_in_one_second_one_works_and_the_others_are_skipped_and_name_it(
    installation: Installation,
) -> None:
    """The clock, a click in Dagster's UI and the API ask for one job at the same time."""
    installation.settings.jobs_file.parent.mkdir(parents=True, exist_ok=True)
    installation.settings.jobs_file.write_text(f'["{SAMPLE}"]\ncron = "* * * * *"\n')
    with installation.engine.begin() as connection:
        token = tokens.create(connection, "operator", ["trigger"])
    with (
        dagster_instance() as instance,
        installation.engine.connect() as blocker,
        Running.up() as running,
    ):
        until(lambda: answers(f"http://127.0.0.1:{running.api_port}"), what="the API to answer")
        until(
            lambda: is_between_strikes(installation, instance),
            seconds=240,
            what="the clock to be known and its last strike to be done",
        )
        blocker.execute(sa.text("lock crm.contacts in access exclusive mode"))
        # The API looks at what waits already, so it asks just before the others do.
        until(lambda: time.time() % 60 > 59, seconds=150, what="the minute")
        strike = this_minute() + dt.timedelta(minutes=1)
        asked = running.trigger(SAMPLE, token)
        clicked = running.launch("development__sample_job_job")

        def the_three() -> list[Session]:
            return [
                session
                for session in sessions_of(installation)
                if session.id == asked
                or session.run_id == clicked
                or (session.trigger, session.tick) == ("schedule", strike)
            ]

        # Whoever has the lock waits for the table: the two that end are the others.
        until(lambda: len(ended(the_three())) >= 2, seconds=240, what="two to be skipped")
        [works] = [session.run_id for session in the_three() if session.status == "RUNNING"]
        blocker.rollback()
        until(lambda: len(ended(the_three())) == 3, seconds=120, what="the third to finish")
        three = the_three()
    assert sorted(session.trigger for session in three) == ["api", "manual", "schedule"]
    skipped = ("SKIPPED_OVERLAP", f"Run {works} holds the lock of {SAMPLE} and does the work.")
    for session in three:
        end = ("COMPLETED", None) if session.run_id == works else skipped
        assert (session.status, session.error) == end


class Session(NamedTuple):
    id: int
    trigger: str
    tick: dt.datetime
    run_id: str
    status: str
    error: str | None


def sessions_of(installation: Installation) -> list[Session]:
    rows = installation.rows(
        "select id, trigger, tick, run_id, status, error from ops.job_sessions where job = :job"
        " order by id",
        job=SAMPLE,
    )
    return [Session(*row) for row in rows]


def ended(found: list[Session]) -> list[Session]:
    return [session for session in found if session.status not in ("QUEUED", "RUNNING")]


def this_minute() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)


def is_between_strikes(installation: Installation, instance: dg.DagsterInstance) -> bool:
    """True if the schedule fires at the next minute, and nothing is left of earlier ticks.

    A clock strikes from the first look of the scheduler on, which may be long after the web
    server answers.
    """
    minute = this_minute()
    first_looks = [
        state.instigator_data.start_timestamp
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        if state.instigator_name == "development__sample_job_schedule"
    ]
    if not first_looks or dt.datetime.now(dt.UTC) > minute + dt.timedelta(seconds=55):
        return False
    is_done = first_looks[0] > minute.timestamp() or any(
        session.tick == minute for session in ended(sessions_of(installation))
    )
    under_way = dg.RunsFilter(job_name="development__sample_job_job", statuses=UNDER_WAY)
    return is_done and not instance.get_runs(under_way)


def waits_for_the_table(connection: sa.Connection) -> bool:
    waiting = sa.text(
        "select 1 from pg_locks where not granted"
        " and relation = 'analytics.contact_activity'::regclass"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    return connection.execute(waiting).first() is not None


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("canceled", "CANCELED"),
        ("failed", "FAILED"),
        ("never queued", "CANCELED"),
        ("deleted", "ABANDONED"),
    ],
)
def test_a_session_whose_run_never_begins_is_closed(
    installation: Installation, instance: dg.DagsterInstance, end: str, expected: str
) -> None:
    launched = trigger(installation, instance)
    run = instance.get_run_by_id(launched.run_id)
    assert run is not None
    evaluate_janitor(instance)
    assert session(installation, launched.session_id)[0] == "QUEUED"
    if end == "canceled":
        instance.report_run_canceled(run)
    elif end == "failed":
        instance.report_run_failed(run)
    else:
        instance.delete_run(launched.run_id)
    if end == "never queued":
        instance.add_run(run.with_status(dg.DagsterRunStatus.NOT_STARTED))
    evaluate_janitor(instance)
    assert session(installation, launched.session_id)[0] == "QUEUED", "it was given no time"
    installation.execute(
        "update ops.job_sessions set started_at = started_at - interval '2 minutes'"
    )
    evaluate_janitor(instance)
    assert session(installation, launched.session_id)[:2] == (expected, "api")
    if end == "never queued":
        given_up = instance.get_run_by_id(launched.run_id)
        assert given_up is not None
        assert given_up.status is dg.DagsterRunStatus.CANCELED


def evaluate_janitor(instance: dg.DagsterInstance) -> None:
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, resources={"postgres": Postgres()}
    ) as context:
        repository.get_sensor_def("dead_runs_sensor").evaluate_tick(context)
