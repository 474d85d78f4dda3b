"""The clock: faults 1, 6, 18, 19 and 21, with Dagster's scheduler in processes of their own."""

import datetime as dt
import time
from collections.abc import Sequence

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import ScheduleInstigatorData, TickStatus

from marketing_pipelines.cli import doctor
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.runs.tags import SCHEDULED_TAG
from marketing_pipelines_tests.faults.scheduler import (
    HERE,
    IN_PROCESSES,
    REAL_JOBS,
    finish,
    run_scheduler,
    start,
)
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK, soak_only

pytestmark = pytest.mark.fault

DAY = "2026-03-01T"
POINTS = ("RUN_CREATED", *(("TICK_CREATED", "RUN_LAUNCHED", "TICK_SUCCESS") if SOAK else ()))


def at(time: str) -> str:
    return f"{DAY}{time}+00:00"


def runs_of(job: str) -> list[dt.datetime]:
    """The scheduled instant of every Dagster run of the job."""
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(dg.RunsFilter(job_name=f"faults__{job}_job"))
    return sorted(dt.datetime.fromisoformat(run.tags[SCHEDULED_TAG]) for run in runs)


def worked(installation: Installation, job: str) -> list[tuple[dt.datetime, str]]:
    """(tick, status) of every session of the job."""
    return installation.rows(
        "select tick, status from ops.job_sessions where job = :job order by tick, id",
        job=f"faults/{job}",
    )


def instants(*times: str) -> list[dt.datetime]:
    return [dt.datetime.fromisoformat(at(time)) for time in times]


def completed(times: Sequence[str]) -> list[tuple[dt.datetime, str]]:
    return [(time, "COMPLETED") for time in instants(*times)]


@pytest.mark.fault(1)
def test_fault_1_a_scheduler_killed_anywhere_makes_one_run_per_job_and_instant(
    installation: Installation,
) -> None:
    before = at("09:30")
    hours = []
    for number, point in enumerate(POINTS):
        hour = 10 + number
        hours.append(f"{hour}:00")
        run_scheduler(before, at(f"{hour}:01"), crash=point)
        before = at(f"{hour}:02")
    run_scheduler(before)
    assert runs_of("once") == instants(*hours)
    assert worked(installation, "once") == completed(hours)


@pytest.mark.fault(6)
def test_fault_6_two_schedulers_at_once_work_a_tick_once(installation: Installation) -> None:
    run_scheduler(at("09:30"))
    looks = ["10:00", "11:00"] if SOAK else ["10:00"]
    where = IN_PROCESSES if SOAK else HERE
    both = [start(*map(at, looks), where=where) for _ in range(2)]
    for process in both:
        finish(process)
    done = [row for row in worked(installation, "once") if row[1] == "COMPLETED"]
    assert done == completed(looks)
    others = {status for _, status in worked(installation, "once")} - {"COMPLETED"}
    assert others <= {"SKIPPED_OVERLAP"}


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    "off",
    [
        dt.timedelta(hours=25),
        pytest.param(dt.timedelta(hours=3), marks=[pytest.mark.soak, soak_only]),
        pytest.param(dt.timedelta(days=40), marks=[pytest.mark.soak, soak_only]),
    ],
)
def test_fault_18_after_the_daemon_was_off_a_job_catches_up_once_or_not_at_all(
    installation: Installation, off: dt.timedelta
) -> None:
    """Every tick of these hours was missed, the latest half an hour ago."""
    now = dt.datetime.now(dt.UTC)
    latest = (now - dt.timedelta(minutes=30)).replace(second=0, microsecond=0)
    cron = f"{latest.minute} * * * *"
    looks = [(now - off).isoformat(), now.isoformat(), now.isoformat()]
    run_scheduler(*looks, FAULTS_CRON=cron, FAULTS_SKIP="yes")
    assert worked(installation, "once") == [(latest, "COMPLETED")]
    assert worked(installation, "skip") == []


@pytest.mark.soak
@soak_only
def test_fault_18_every_hour_that_was_missed_is_marked_and_none_is_lost(
    installation: Installation,
) -> None:
    off = dt.timedelta(days=40)
    now = dt.datetime.now(dt.UTC).replace(minute=0, second=30, microsecond=0)
    installation.execute("update ops.installation set started_at = :at", at=now - off)
    run_scheduler((now - off).isoformat(), now.isoformat(), location=REAL_JOBS)
    rows = installation.rows(
        "select partition from analytics.stale_partitions where asset = :asset"
        " union select partition from analytics.finished_partitions where asset = :asset",
        asset="analytics/contact_activity",
    )
    missed = {f"{now - dt.timedelta(hours=n):%Y-%m-%d-%H}:00" for n in range(1, 40 * 24 + 1)}
    assert missed <= {key for (key,) in rows}


@pytest.mark.soak
@soak_only
def test_fault_18_a_month_is_worked_once_though_dagster_forgot_that_it_was(
    installation: Installation,
) -> None:
    """As when its storage was lost, or the tick is older than ticks are kept."""
    march = dt.datetime(2026, 3, 1, 3, tzinfo=dt.UTC)
    run_scheduler("2026-02-10T00:00+00:00", "2026-03-01T03:00:10+00:00")
    assert worked(installation, "monthly") == [(march, "COMPLETED")]
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs():
            instance.delete_run(run.run_id)
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
            before = dt.datetime(2026, 2, 28, tzinfo=dt.UTC).timestamp()
            instance.purge_ticks(
                state.instigator_origin_id, state.selector_id, time.time(), list(TickStatus)
            )
            cron = state.instigator_data.cron_schedule
            instance.update_instigator_state(
                state.with_data(ScheduleInstigatorData(cron, before, before))
            )
    run_scheduler("2026-03-01T03:30:00+00:00")
    assert worked(installation, "monthly") == [(march, "COMPLETED")]


@pytest.mark.fault(19)
def test_fault_19_a_clock_that_jumps_back_and_jitters_strikes_once(
    installation: Installation,
) -> None:
    jitter = [at(f"10:00:{second:02}") for second in (1, 0, 2, 1, 3, 0, 4, 2, 5, 1)]
    run_scheduler(at("09:30"), at("10:00:01"), at("09:58"), *jitter, at("09:59:59"), at("10:01"))
    assert runs_of("once") == instants("10:00")
    assert worked(installation, "once") == completed(["10:00"])


@pytest.mark.fault(19)
@pytest.mark.parametrize("skew", [-90, 0, 90])
def test_fault_19_the_skew_of_the_servers_clock_is_measured_and_a_minute_is_a_problem(
    installation: Installation, skew: int
) -> None:
    """Here this machine's clock is the wrong one."""

    def here() -> dt.datetime:
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=skew)

    if skew == 0:
        assert doctor.check_clock(here) == "PostgreSQL's differs by 0 s"
        return
    word = "behind" if skew > 0 else "ahead"
    with pytest.raises(ConfigurationError, match=f"PostgreSQL's clock is (89|90|91) s {word} of"):
        doctor.check_clock(here)


@pytest.mark.soak
@soak_only
@pytest.mark.parametrize("skew", [-90, 90])
def test_fault_19_a_daemon_whose_clock_differs_from_the_servers_strikes_once(
    installation: Installation, skew: int
) -> None:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=skew)
    tick = now.replace(second=0, microsecond=0) - dt.timedelta(minutes=2)
    cron = f"{tick.minute} * * * *"
    looks = [(tick + dt.timedelta(seconds=s)).isoformat() for s in (-60, 0, 1, 59, 60)]
    run_scheduler(*looks, now.isoformat(), FAULTS_CRON=cron)
    assert runs_of("once") == [tick]
    assert worked(installation, "once") == [(tick, "COMPLETED")]


@pytest.mark.fault(21)
def test_fault_21_an_edited_clock_does_not_run_for_the_past(installation: Installation) -> None:
    run_scheduler(at("09:30"), at("10:00"))
    assert runs_of("once") == instants("10:00")
    run_scheduler(at("10:50"), FAULTS_CRON="30 10 * * *")
    assert runs_of("once") == instants("10:00")
    if SOAK:
        run_scheduler(at("10:55"), "2026-03-02T10:31+00:00", FAULTS_CRON="30 10 * * *")
        tomorrow = dt.datetime(2026, 3, 2, 10, 30, tzinfo=dt.UTC)
        assert runs_of("once") == [*instants("10:00"), tomorrow]


@pytest.mark.soak
@soak_only
def test_fault_21_a_clock_that_was_off_does_not_run_for_the_past(
    installation: Installation,
) -> None:
    run_scheduler(at("09:30"), at("10:00"))
    run_scheduler(at("10:30"), FAULTS_CRON="")
    run_scheduler(at("13:30"), at("14:00"))
    assert runs_of("once") == instants("10:00", "14:00")
