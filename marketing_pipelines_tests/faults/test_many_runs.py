"""Many small runs later: memory is flat, the event log is purged, partition status is whole."""

import contextlib
import datetime as dt

import dagster as dg
import psutil
import pytest

from marketing_pipelines.runs.history import purge_runs
from marketing_pipelines.stores.embedded_server import is_alive
from marketing_pipelines_tests.faults.running import Running
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

WARM_UP, RUNS = 50, 2_000
JOB = "development__sample_job_job"
# A process that kept what it saw of 2,000 runs would grow by ten times this.
GROWTH_MB = 40

pytestmark = [
    pytest.mark.fault,
    pytest.mark.soak,
    soak_only,
    pytest.mark.timeout(RUNS * 15 + 300),
]


def test_many_runs_later_memory_is_flat_the_log_is_purged_and_partitions_are_known(
    installation: Installation,
) -> None:
    with Running.up() as running, dg.DagsterInstance.get() as instance:
        stored = Installation(installation.settings, installation.engine, lambda: instance)
        now = dt.datetime.now(dt.UTC)
        worked = [f"{now - dt.timedelta(hours=n):%Y-%m-%d-%H}:00" for n in (2, 1)]
        stored.run("analytics/contact_activity", *worked, only=True)
        run_and_wait(running, instance, WARM_UP)
        before = memory(running)
        run_and_wait(running, instance, RUNS)
        after = memory(running)
        print(f"MB before {before}, after {RUNS} runs {after}")
        for part, megabytes in after.items():
            assert megabytes - before[part] < GROWTH_MB, (before, after)
        hours = dg.AssetKey(["analytics", "contact_activity"])
        known = instance.get_materialized_partitions(hours)
        assert set(worked) <= known
        assert purge_runs(instance, now + dt.timedelta(days=1)) >= WARM_UP + RUNS - 1
        left = instance.get_runs(dg.RunsFilter(job_name=JOB))
        assert len(left) == 1
        assert instance.get_materialized_partitions(hours) >= known
    assert installation.rows(
        "select status, count(*)::int from ops.job_sessions where job = :job group by 1",
        job="development/sample_job",
    ) == [("COMPLETED", WARM_UP + RUNS)]


def run_and_wait(running: Running, instance: dg.DagsterInstance, runs: int) -> None:
    """Runs the job so many times, one after the other: it never works twice at once."""
    for _ in range(runs):
        run = running.launch(JOB)
        until(lambda run=run: ended(instance, run), seconds=120, what=f"run {run} to end")


def ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status not in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    return bool(run.status == dg.DagsterRunStatus.SUCCESS)


def memory(running: Running) -> dict[str, int]:
    """Resident memory of each part with its code server, MB; runs come and go beside them."""
    parts = {
        "daemon": "dagster._daemon",
        "web server": "ui",
        "API": "api",
        "worker": "worker",
    }
    return {name: in_use(running.part(word)) for name, word in parts.items()}


def in_use(part: psutil.Process) -> int:
    """Of the daemon's code servers, which it replaces while they work, the newest counts."""
    servers = [child for child in part.children() if is_alive(child) and is_server(child)]
    assert len(servers) <= 2, servers
    newest = sorted(servers, key=psutil.Process.create_time)[-1:]
    return sum(process.memory_info().rss for process in (part, *newest)) // 2**20


def is_server(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return "grpc" in process.cmdline()
    return False
