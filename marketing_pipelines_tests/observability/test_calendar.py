"""The occurrence calendar: what became of every tick."""

import datetime as dt
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id

from marketing_pipelines.cli.session import dagster_instance
from marketing_pipelines.freshness.schedules import schedules
from marketing_pipelines.jobs.scheduling import stopped_instigators
from marketing_pipelines.observability import health
from marketing_pipelines.observability.calendar import (
    JobRecord,
    SessionRecord,
    Standing,
    judge,
    occurrences,
)
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation

TICK = dt.datetime(2026, 3, 1, 10, 5, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
NEXT, LATER = TICK + HOUR, TICK + 3 * HOUR
NOW = TICK + 5 * HOUR
KEY = "2026-03-01-09:00"


def session(
    status: str, started: dt.datetime = TICK + MINUTE, error: str = "", partition: str = KEY
) -> SessionRecord:
    return SessionRecord(started, status, started, error or None, partition)


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (JobRecord(), "missed"),
        (JobRecord([session("RUNNING")]), "running"),
        (JobRecord([session("COMPLETED")], {KEY: TICK + MINUTE}), "ran"),
        (JobRecord([session("COMPLETED")], {KEY: LATER}), "ran"),
        (JobRecord([session("FAILED"), session("COMPLETED")], {KEY: TICK + MINUTE}), "ran"),
        (JobRecord([session("COMPLETED", LATER)], {KEY: LATER}), "caught up"),
        (JobRecord([session("FAILED"), session("COMPLETED", LATER)], {KEY: LATER}), "caught up"),
        (JobRecord([session("COMPLETED", TICK - HOUR)], {KEY: TICK - HOUR}), "missed"),
        (JobRecord([session("FAILED")]), "failed"),
        (JobRecord([session("FAILED", partition="2026-03-01-08:00...2026-03-01-10:00")]), "failed"),
        (
            JobRecord([session("RUNNING", partition="2017-03-12-08:00...2017-03-12-10:00")]),
            "missed",
        ),
        (JobRecord([session("SKIPPED_OVERLAP", partition="2017-03-12-08:00")]), "missed"),
        (JobRecord([session("TIMED_OUT")]), "failed"),
        (JobRecord([session("ABANDONED")]), "failed"),
        (JobRecord([session("SKIPPED_OVERLAP")]), "skipped"),
        (JobRecord([session("SKIPPED_OVERLAP")], {KEY: TICK + MINUTE}), "caught up"),
    ],
)
def test_a_partitions_tick_is_judged_by_its_sessions_and_by_when_it_was_done(
    record: JobRecord, status: str
) -> None:
    assert judge(record, TICK, NEXT, KEY, NOW)[0] == status


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (JobRecord(), "missed"),
        (JobRecord([session("COMPLETED")]), "ran"),
        (JobRecord([session("COMPLETED", LATER)]), "caught up"),
        (JobRecord([session("COMPLETED", TICK - MINUTE)]), "missed"),
        (JobRecord([session("FAILED")]), "failed"),
    ],
)
def test_a_tick_without_a_partition_is_judged_by_its_sessions(
    record: JobRecord, status: str
) -> None:
    assert judge(record, TICK, NEXT, None, NOW)[0] == status


def test_a_tick_to_come_is_not_due() -> None:
    assert judge(JobRecord(), TICK, NEXT, KEY, TICK - MINUTE) == ("not due", "")


def test_a_late_tick_has_ten_minutes_before_it_is_missed() -> None:
    late = judge(JobRecord(), TICK, NEXT, KEY, TICK + 10 * MINUTE)
    assert late == ("not due", "late by less than ten minutes")
    assert judge(JobRecord(), TICK, NEXT, KEY, TICK + 11 * MINUTE)[0] == "missed"
    assert judge(JobRecord([session("FAILED")]), TICK, NEXT, KEY, TICK + 2 * MINUTE)[0] == "failed"


def test_a_run_that_waits_in_the_queue_is_seen_before_nothing_ran() -> None:
    waiting = ("running", "its run waits in Dagster's queue")
    other = JobRecord(queued=(("2026-03-01-07:00", "2026-03-01-08:00"),))
    own = JobRecord(queued=(("2026-03-01-07:00", "2026-03-01-10:00"),))
    assert judge(own, TICK, NEXT, KEY, NOW) == waiting
    assert judge(other, TICK, NEXT, KEY, NOW)[0] == "missed"
    unpartitioned = JobRecord(queued=(("", ""),))
    assert judge(unpartitioned, TICK, NEXT, None, TICK + 30 * MINUTE) == waiting
    # The run that waits is the latest tick's.
    assert judge(unpartitioned, TICK, NEXT, None, NOW)[0] == "missed"


def test_a_stopped_schedule_is_the_reason_of_a_missed_tick() -> None:
    assert judge(JobRecord(is_stopped=True), TICK, NEXT, KEY, TICK + MINUTE) == (
        "missed",
        "its schedule is stopped in the Dagster UI: start it there",
    )


def repository(location: str | None) -> RemoteRepositoryOrigin:
    """Our definitions in a code location."""
    module = LoadableTargetOrigin(module_name="marketing_pipelines.definitions")
    code_server = ManagedGrpcPythonEnvCodeLocationOrigin(module, location)
    return RemoteRepositoryOrigin(code_server, "__repository__")


def stop(
    instance: dg.DagsterInstance, name: str, location: str | None = "marketing_pipelines"
) -> None:
    """Stops a schedule as the UI does; without a name, Dagster names a location by its module."""
    origin = RemoteInstigatorOrigin(repository(location), name)
    state = InstigatorState(
        origin,
        InstigatorType.SCHEDULE,
        InstigatorStatus.STOPPED,
        ScheduleInstigatorData("0 * * * *"),
    )
    instance.add_instigator_state(state)


def test_a_stopped_schedule_is_shown_by_timetable_missed_and_health(
    installation: Installation,
) -> None:
    with dagster_instance() as instance:
        stop(instance, "operations__metrics_schedule")
        with installation.engine.begin() as connection:
            found = health.report(connection, instance, NOW)
        standing = Standing.of(instance)
    assert found.stopped == ["operations__metrics_schedule"]
    assert "Stopped in the Dagster UI: operations__metrics_schedule." in found.reasons
    assert standing.stopped == {"operations__metrics_schedule"}
    rows = [line.split() for line in call_here("timetable").stdout.splitlines()]
    assert {row[-4] for row in rows if "stopped" in row} == {"operations/metrics"}
    installation.execute("update ops.installation set started_at = now() - interval '3 hours'")
    missed = [
        line for line in call_here("missed").stdout.splitlines() if "operations/metrics" in line
    ]
    assert missed
    assert all("its schedule is stopped in the Dagster UI" in line for line in missed)


def test_schedules_of_the_past_are_not_stopped(installation: Installation) -> None:
    with dagster_instance() as instance:
        stop(instance, "operations__removed_schedule")
        stop(instance, "operations__metrics_schedule", location=None)
        with installation.engine.begin() as connection:
            found = health.report(connection, instance, NOW)
        assert found.stopped == []
        assert Standing.of(instance).stopped == frozenset()
        stop(instance, "operations__health_schedule")
        stop(instance, "operations__marks")
        assert stopped_instigators(instance) == {"operations__health_schedule"}


def test_the_reason_of_a_failure_is_its_error() -> None:
    failed = JobRecord([session("FAILED", error="No space left.")])
    assert judge(failed, TICK, NEXT, KEY, NOW) == ("failed", "No space left.")


def test_a_mark_that_waits_is_the_reason_of_a_missed_tick() -> None:
    waiting = judge(JobRecord(marked=frozenset({KEY})), TICK, NEXT, KEY, NOW)
    assert waiting[0] == "missed"
    assert waiting[1].startswith("is marked")


def test_the_calendar_begins_with_the_installation_and_names_what_ran(
    installation: Installation,
) -> None:
    installation.execute("update ops.installation set started_at = '2026-03-01T08:30:00Z'")
    installation.run("analytics/contact_activity", "2026-03-01-09:00", only=True)
    installation.execute("update ops.job_sessions set started_at = '2026-03-01T10:01:00Z'")
    [hours] = [schedule for schedule in schedules() if schedule.job == "analytics/contact_activity"]
    with installation.engine.begin() as connection:
        found = occurrences(
            connection,
            [hours],
            since=TICK - 30 * HOUR,
            until=NEXT + HOUR,
            now=NEXT,
            zone=ZoneInfo("UTC"),
            standing=Standing(),
        )
    assert [(o.tick.hour, o.partition, o.status) for o in found] == [
        (9, "2026-03-01-08:00", "missed"),
        (10, "2026-03-01-09:00", "ran"),
        (11, "2026-03-01-10:00", "not due"),
        (12, "2026-03-01-11:00", "not due"),
    ]


def test_the_calendar_asks_dagster_for_the_runs_in_its_queue(installation: Installation) -> None:
    installation.execute("update ops.installation set started_at = '2026-03-01T08:30:00Z'")
    job = "analytics__contact_activity_job"
    first, last = (f"dagster/asset_partition_range_{end}" for end in ("start", "end"))
    for status, tags in (
        (dg.DagsterRunStatus.QUEUED, {"dagster/partition": "2026-03-01-08:00"}),
        (dg.DagsterRunStatus.STARTING, {first: "2026-03-01-10:00", last: "2026-03-01-11:00"}),
        (dg.DagsterRunStatus.FAILURE, {"dagster/partition": "2026-03-01-09:00"}),
    ):
        run = dg.DagsterRun(
            job_name=job,
            run_id=make_new_run_id(),
            status=status,
            tags=tags,
            remote_job_origin=repository("marketing_pipelines").get_job_origin(job),
        )
        installation.instance.add_run(run)
    [hours] = [schedule for schedule in schedules() if schedule.job == "analytics/contact_activity"]
    with installation.engine.begin() as connection:
        found = occurrences(
            connection,
            [hours],
            since=TICK - 30 * HOUR,
            until=NOW - 2 * HOUR,
            now=NOW,
            zone=ZoneInfo("UTC"),
            standing=Standing.of(installation.instance),
        )
    assert [(o.partition, o.status) for o in found] == [
        ("2026-03-01-08:00", "running"),
        ("2026-03-01-09:00", "missed"),
        ("2026-03-01-10:00", "running"),
        ("2026-03-01-11:00", "running"),
        ("2026-03-01-12:00", "missed"),
    ]
