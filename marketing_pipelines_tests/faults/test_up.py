"""`up` dies, loses a part, or is told to stop, while a run works."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
import sqlalchemy as sa

from marketing_pipelines.cli import running_up, supervision
from marketing_pipelines.cli.running_up import RunningUp
from marketing_pipelines.cli.supervision import (
    SECONDS_TO_STOP,
    Guard,
    end_marked,
    mark,
    marked,
)
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded_server import is_alive
from marketing_pipelines_tests.faults.running import Running, sleeping
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, event
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1200)]

EVENTS = [event(1, "2026-03-01T10:00:00Z")]
# Other hours and jobs may strike meanwhile.
EXPORT, HOUR = "analytics/contact_activity", "2026-03-01-10:00"


@contextlib.contextmanager
def work_takes_long(installation: Installation, folder: Path) -> Iterator[None]:
    """There is an hour to export, and whoever does it waits inside until the block ends."""
    installation.load_events(folder, EVENTS)
    with installation.engine.connect() as blocker:
        blocker.execute(sa.text("lock analytics.contact_activity in access exclusive mode"))
        yield


def begins(installation: Installation) -> int:
    """The session that works, as soon as one does."""
    [session] = until(lambda: sessions(installation, "RUNNING"), seconds=120, what="a run to work")
    return session


def sessions(installation: Installation, status: str) -> list[int]:
    rows = installation.rows(
        "select id from ops.job_sessions where job = :job and partition = :hour"
        " and status = :status",
        job=EXPORT,
        hour=HOUR,
        status=status,
    )
    return [number for (number,) in rows]


def run_of(installation: Installation, session: int) -> str:
    [(run,)] = installation.rows("select run_id from ops.job_sessions where id = :id", id=session)
    return str(run)


def started_runs() -> list[str]:
    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
    with dg.DagsterInstance.get() as instance:
        return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=statuses))]


def is_counted(installation: Installation) -> bool:
    return not installation.rows("select 1 from analytics.stale_partitions")


@pytest.mark.soak
@soak_only
def test_stopped_and_killed_while_a_run_works_the_next_start_does_it_again(
    installation: Installation, tmp_path: Path
) -> None:
    with work_takes_long(installation, tmp_path):
        with Running.up() as running:
            begins(installation)
            tree = running.tree()
            seconds = running.stop(signal.SIGTERM)
            assert seconds < 10
            assert running.process.returncode == 0
            assert [p for p in tree if is_alive(p)] == []
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", running.port))
            until(lambda: locks_held(installation) == 0, what="the locks to be free")
            # A machine too busy to end them is left by force; the next start ends such a run.
            assert started_runs() == [] or seconds >= SECONDS_TO_STOP
        with Running.up() as running:
            killed = begins(installation)
            dead_run = run_of(installation, killed)
            assert dead_run in started_runs()
            assert len(running.kill()) > 4
            until(lambda: locks_held(installation) == 0, what="the server to notice the deaths")
    assert sessions(installation, "RUNNING") == [killed]
    assert dead_run in started_runs()
    with Running.up() as running:
        until(lambda: running.said(f"session {killed} was abandoned"), what="up to say so")
        assert killed in sessions(installation, "ABANDONED")
        until(lambda: sessions(installation, "COMPLETED"), seconds=400, what="the job to run again")
        until(lambda: is_counted(installation), seconds=400, what="the hour to be counted")
        until(lambda: dead_run not in started_runs(), what="the run of the dead process to end")
        with dg.DagsterInstance.get() as instance:
            run = instance.get_run_by_id(dead_run)
            assert run is not None
            assert run.status == dg.DagsterRunStatus.FAILURE
    assert_counted(installation, EVENTS)


def locks_held(installation: Installation) -> int:
    [(number,)] = installation.rows(
        "select count(*) from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    return int(number)


@pytest.mark.soak
@soak_only
def test_a_part_that_crashes_is_started_again_and_up_says_so(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run it had started goes on; when `up` ends, nothing of the crashed part is left."""
    monkeypatch.setenv("MARKETING_ALERT_URL", "json://127.0.0.1:1")
    with work_takes_long(installation, tmp_path), Running.up() as running:
        begins(installation)
        assert running.said(
            "MARKETING_ALERT_URL is no setting of this release: did you mean MARKETING_ALERT_URLS?"
        )
        assert running_up.found(Settings()) == RunningUp(running.process.pid, [])
        another = Settings(log_level="info")
        assert running_up.found(another) == RunningUp(running.process.pid, ["MARKETING_LOG_LEVEL"])
        daemon, server = running.part("dagster._daemon"), running.part("ui")
        tree = running.tree()
        for part in (daemon, server):
            part.kill()
        until(lambda: running.said("daemon ended with code -9: starting it again in 1 s"))
        until(lambda: running.said("web server ended with code -9: starting it again in 1 s"))
        until(running.answers, seconds=120, what="the web server to answer again")
        assert running.part("dagster._daemon").pid != daemon.pid
        assert len(sessions(installation, "RUNNING")) == 1
        tree += [p for p in running.tree() if p not in tree]
        assert running.stop(signal.SIGINT) < 10
        assert [p for p in tree if is_alive(p)] == []
        assert running_up.found(Settings()) is None


@pytest.mark.soak
@soak_only
def test_the_parts_of_a_killed_up_end_with_it(installation: Installation) -> None:
    with Running.up() as running:
        tree = running.tree()
        [guard] = [p for p in tree if is_guard(p)]
        assert {p.pid for p in marked(installation.settings.data_dir)} >= {
            p.pid for p in tree[1:] if not is_guard(p)
        }
        running.process.kill()
        running.process.wait(30)
        until(lambda: not [p for p in tree if is_alive(p)], what="the parts and the guard to end")
        assert not is_alive(guard)


@pytest.mark.soak
@soak_only
@pytest.mark.parametrize("works", [False, True], ids=["idle", "while_a_run_works"])
def test_the_parts_of_a_killed_up_end_with_it_and_the_next_one_starts_at_once(
    installation: Installation, tmp_path: Path, works: bool
) -> None:
    """A run that works ends with the others; its partition is done by the next `up`."""
    folder = installation.settings.data_dir
    killed: list[int] = []
    with contextlib.ExitStack() as blocked, Running.up() as running:
        if works:
            blocked.enter_context(work_takes_long(installation, tmp_path))
            killed = [begins(installation)]
        [guard] = [p for p in running.tree() if is_guard(p)]
        tree = running.tree()
        assert {p.pid for p in marked(folder)} >= {p.pid for p in tree[1:] if not is_guard(p)}
        running.process.kill()
        running.process.wait(30)
        with Running.up(ports=(running.port, running.api_port)) as following:
            until(lambda: not [p for p in tree if is_alive(p)], what="the parts to end")
            parts = psutil.Process(following.process.pid).children()
            until(lambda: not is_alive(guard), what="the guard to end")
            assert [p.ppid() for p in daemons(folder)] == [following.process.pid]
            assert psutil.Process(following.process.pid).children() == parts
            assert not following.said("ended with code")
            # A run that did not notice SIGTERM in time ends by force.
            ended = sessions(installation, "CANCELED") + sessions(installation, "ABANDONED")
            assert ended == killed
            if works:
                blocked.close()
                until(lambda: is_counted(installation), seconds=400, what="the hour to be counted")
            tree = following.tree()
            assert following.stop(signal.SIGTERM) < 10
            assert following.process.returncode == 0
            assert [p for p in tree if is_alive(p)] == []
    if works:
        assert_counted(installation, EVENTS)


@pytest.mark.soak
@soak_only
def test_a_new_up_ends_what_is_left_where_the_guard_was_killed_too(
    installation: Installation,
) -> None:
    folder = installation.settings.data_dir
    with Running.up() as running:
        tree = running.tree()
        [guard] = [p for p in tree if is_guard(p)]
        for process in (psutil.Process(running.process.pid), guard):
            process.suspend()
        for process in (guard, psutil.Process(running.process.pid)):
            process.kill()
        running.process.wait(30)
        left = marked(folder)
        assert len(left) > 4
        with Running.up(ports=(running.port, running.api_port)) as following:
            # Until then the web server that was left answers in place of the new one.
            ended = "processes of an `up` that was killed are ended"
            until(lambda: following.said(ended), what="the new up to end what is left")
            assert not [p for p in left if is_alive(p)]
            until(following.answers, what="the new web server to answer")
            assert [p.ppid() for p in daemons(folder)] == [following.process.pid]


@pytest.mark.soak
@soak_only
def test_only_the_processes_of_one_data_folder_are_ended(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(sleeping(mark(folder, "an-up"))) for folder in folders)
        until(lambda: all(marked(folder) for folder in folders), what="both to start")
        assert [p.pid for p in end_marked(folders[0])] == [one.pid]
        assert one.wait(30) == -signal.SIGTERM
        assert other.poll() is None


@pytest.mark.soak
@soak_only
def test_the_guard_of_one_up_leaves_the_parts_of_the_next_alone(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        old, new = (stack.enter_context(sleeping(mark(tmp_path, up))) for up in ("old", "new"))
        until(lambda: len(marked(tmp_path)) == 2, what="both to start")
        guard = Guard(tmp_path, "old")
        guard.keep_running()
        guard.dismiss()
        assert old.wait(30) == -signal.SIGTERM
        assert new.poll() is None
        assert [p.pid for p in end_marked(tmp_path)] == [new.pid]


def is_guard(process: psutil.Process) -> bool:
    return supervision.__name__ in process.cmdline()


def daemons(folder: Path) -> list[psutil.Process]:
    """Dagster's daemons of a data folder."""
    return [p for p in marked(folder) if "dagster._daemon" in p.cmdline()]
