"""Dagster's scheduler in a process of its own, with the runs it asks for, at instants of a test.

`python -m …faults.scheduler WHERE LOCATION CRASH INSTANT…` lets the daemon start what is queued;
then it lets the scheduler look at each instant, as if it had just been started, lets the daemon
start what it asked for and waits until every run has ended. At the last instant it dies by SIGKILL
where CRASH says.
"""

import contextlib
import datetime as dt
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import (
    InProcessWorkspaceLoadTarget,
    ModuleTarget,
    WorkspaceLoadTarget,
)
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)
from dagster._scheduler.scheduler import launch_scheduled_runs

from marketing_pipelines_tests.forking import Forked

SMALL_JOBS = "marketing_pipelines_tests.faults.location"
REAL_JOBS = "marketing_pipelines.definitions"
CRASHES = "faults__once_schedule"
NO_CRASH = "none"
# The place of runs: a process for each, and one that serves the code, as `up` has them, start
# Python anew for jobs of an instant.
HERE, IN_PROCESSES = "here", "in-processes"
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)
_RUNS_HERE = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    }
}


def run_scheduler(
    *instants: str, crash: str = NO_CRASH, location: str = SMALL_JOBS, **more: str
) -> None:
    """The scheduler looks at each instant; it must end well, or by the crash that was asked for."""
    process = start(*instants, crash=crash, location=location, **more)
    finish(process, crash=crash)


def start(
    *instants: str,
    crash: str = NO_CRASH,
    location: str = SMALL_JOBS,
    where: str = HERE,
    **more: str,
) -> "subprocess.Popen[str]":
    """The same without waiting for its end; `more` are variables of its environment."""
    return Forked(
        __name__,
        where,
        location,
        crash,
        *instants,
        env=os.environ | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: "subprocess.Popen[str]", *, crash: str = NO_CRASH) -> None:
    """Waits for its end, and ends what it started."""
    try:
        process.wait(240)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    expected = -signal.SIGKILL if crash != NO_CRASH else 0
    _, errors = process.communicate(timeout=30)
    assert process.returncode == expected, errors[-3000:]


def look(context: WorkspaceProcessContext, at: str, crash: str) -> None:
    """One look of the scheduler at the clock."""
    flags = {} if crash == NO_CRASH else {CRASHES: {crash: int(signal.SIGKILL)}}
    looking = launch_scheduled_runs(
        context,
        logging.getLogger("scheduler"),
        dt.datetime.fromisoformat(at),
        iteration_times={},
        max_tick_retries=3,
        debug_crash_flags=flags,
    )
    errors = [error for error in looking if error is not None]
    assert not errors, errors


def do_what_is_queued(
    context: WorkspaceProcessContext, statuses: Sequence[dg.DagsterRunStatus] = UNFINISHED
) -> None:
    """Runs are started by the daemon's queue, until none has one of these statuses."""
    instance = context.instance
    waited_for = dg.RunsFilter(statuses=statuses)
    with QueuedRunCoordinatorDaemon(interval_seconds=1) as queue:
        while instance.get_runs(waited_for, limit=1):
            list(queue.run_iteration(context))
            time.sleep(0.2)


@contextlib.contextmanager
def opened(where: str, location: str) -> Iterator[WorkspaceProcessContext]:
    """The workspace of the one location, on the instance of this environment."""
    reference = InstanceRef.from_dir(
        os.environ["DAGSTER_HOME"], overrides=_RUNS_HERE if where == HERE else None
    )
    target: WorkspaceLoadTarget = ModuleTarget(location, None, None, location_name="faults")
    if where == HERE:
        code = LoadableTargetOrigin(executable_path=sys.executable, module_name=location)
        target = InProcessWorkspaceLoadTarget(
            InProcessCodeLocationOrigin(code, location_name="faults")
        )
    with (
        dg.DagsterInstance.from_ref(reference) as instance,
        create_test_daemon_workspace_context(target, instance) as context,
    ):
        [entry] = context.create_request_context().get_code_location_entries().values()
        assert entry.code_location, entry.load_error
        yield context


def main(where: str, location: str, crash: str, *instants: str) -> None:
    with opened(where, location) as context:
        do_what_is_queued(context, UNFINISHED[:1])
        for number, at in enumerate(instants, start=1):
            look(context, at, crash if number == len(instants) else NO_CRASH)
            do_what_is_queued(context)


if __name__ == "__main__":
    main(*sys.argv[1:])
