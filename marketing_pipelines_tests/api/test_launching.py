"""A run that is asked for from outside: queued, started by the daemon, one session."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from marketing_pipelines.api.launching import AlreadyRunningError, Started, launch
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.running import UnknownJobError
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.actions.acting import JOB, Acting
from marketing_pipelines_tests.api.conftest import CRON_SECRET, Api
from marketing_pipelines_tests.daemon import daemon
from marketing_pipelines_tests.faults.scheduler import REAL_JOBS, run_scheduler
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.queueing.consuming import consume
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.waiting import until

HOURS, WAREHOUSE = "analytics/contact_activity", "analytics/warehouse"
HOUR = "2026-03-01-10:00"
NOW = dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC)
COLUMNS = "id, job, trigger, tick, partition, run_id, status"


def ask(
    installation: Installation,
    instance: dg.DagsterInstance,
    job: str,
    partition: str | None = None,
) -> Started:
    return launch(
        job,
        partition,
        settings=installation.settings,
        engine=installation.engine,
        instance=instance,
        now=NOW,
    )


def sessions(installation: Installation, columns: str = COLUMNS) -> list[tuple[object, ...]]:
    return installation.rows(f"select {columns} from ops.job_sessions order by id")


def test_a_launched_run_waits_in_the_queue_with_a_session_of_its_own(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    launched = ask(installation, instance, HOURS, HOUR)
    assert sessions(installation) == [
        (launched.session_id, HOURS, "api", NOW, HOUR, launched.run_id, "QUEUED")
    ]
    run = instance.get_run_by_id(launched.run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.QUEUED
    assert run.job_name == "analytics__contact_activity_job"
    assert run.tags["dagster/max_runtime"] == "14534"  # both assets, tried four times
    assert run.tags["dagster/partition"] == HOUR


def test_without_a_partition_it_is_the_one_the_clock_was_last_for(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    assert ask(installation, instance, HOURS).partition == "2026-03-01-11:00"
    assert ask(installation, instance, "analytics/monthly_usage").partition == "2026-02-01"
    assert ask(installation, instance, WAREHOUSE).partition is None


@pytest.mark.soak
def test_the_daemon_starts_it_and_the_run_takes_the_session_over(
    installation: Installation, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    own_job = ask(installation, instance, HOURS, HOUR)
    without_job = ask(installation, instance, WAREHOUSE)
    if SOAK:
        with daemon(tmp_path / "daemon.log"):
            for launched in (own_job, without_job):
                until(
                    lambda launched=launched: status(instance, launched.run_id) == "SUCCESS",
                    what=f"run {launched.run_id} to succeed",
                )
    else:
        run_scheduler(location=REAL_JOBS)
    assert [status(instance, launched.run_id) for launched in (own_job, without_job)] == [
        "SUCCESS",
        "SUCCESS",
    ]
    own = "id, job, trigger, run_id, status"
    found = sessions(installation, own)
    assert (own_job.session_id, HOURS, "api", own_job.run_id, "COMPLETED") in found
    assert (without_job.session_id, WAREHOUSE, "api", without_job.run_id, "COMPLETED") in found
    [hourly] = [row for row in found if row[1] == "analytics/hourly_events"]
    assert hourly[2:] == ("api", own_job.run_id, "COMPLETED")


@soak_only
@pytest.mark.soak
def test_due_actions_are_taken_where_only_an_external_clock_asks(api: Api) -> None:
    acting = Acting(api.installation)
    acting.route("*", "task", "actions/notify_user")
    acting.many(3, at=NOW)
    right = {"Authorization": f"Bearer {CRON_SECRET}"}
    for _ in range(2):
        assert api.client.post(f"/cron/{JOB}", headers=right).status_code == 202
        assert api.client.post(f"/cron/{JOB}", headers=right).status_code == 409
        run_scheduler(location=REAL_JOBS)
    assert sessions(api.installation, "job, trigger, status") == [(JOB, "api", "COMPLETED")] * 2
    assert acting.rows("select count(*), count(distinct action_id) from actions.runs") == [(3, 3)]
    consume(api.installation.engine, "actions")
    assert acting.rows("select count(*) from crm.notifications") == [(3,)]


def status(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is not dg.DagsterRunStatus.FAILURE
    return run.status.value


def test_what_waits_for_its_turn_is_refused_and_another_partition_is_not(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    first = ask(installation, instance, HOURS, HOUR)
    with pytest.raises(AlreadyRunningError, match=f"run {first.run_id} does the work") as refusal:
        ask(installation, instance, HOURS, HOUR)
    assert refusal.value.run_id == first.run_id
    ask(installation, instance, HOURS, "2026-03-01-09:00")
    assert len(sessions(installation)) == 2


def test_a_held_lock_is_refused_even_where_no_session_shows_it(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    with create_engine(installation.engine.url).connect() as holder:
        assert locks.try_lock(holder, WAREHOUSE)
        with pytest.raises(AlreadyRunningError, match="analytics/warehouse is already under way"):
            ask(installation, instance, WAREHOUSE)
    assert sessions(installation) == []


def test_a_queued_range_that_covers_the_partition_is_refused(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    ask(installation, instance, HOURS, HOUR)
    [record] = instance.get_run_records()
    installation.execute("delete from ops.job_sessions")
    instance.add_run_tags(
        record.dagster_run.run_id,
        {
            "dagster/asset_partition_range_start": "2026-03-01-08:00",
            "dagster/asset_partition_range_end": "2026-03-01-11:00",
        },
    )
    with pytest.raises(AlreadyRunningError):
        ask(installation, instance, HOURS, "2026-03-01-09:00")
    assert ask(installation, instance, HOURS, "2026-03-01-07:00").partition == "2026-03-01-07:00"


def test_names_that_do_not_exist_are_refused_and_leave_nothing(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    with pytest.raises(UnknownJobError, match=r"did you mean analytics/warehouse\?"):
        ask(installation, instance, "analytics/warehous")
    with pytest.raises(BadInputError, match="'yesterday' is not a partition"):
        ask(installation, instance, HOURS, "yesterday")
    with pytest.raises(BadInputError, match="analytics/warehouse has no partitions"):
        ask(installation, instance, WAREHOUSE, HOUR)
    assert sessions(installation) == []
    assert instance.get_runs() == []
