"""One job, its lock and its time: faults 4, 9, 10 and 11, in processes of their own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from marketing_pipelines.runs import sessions
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.faults import worker
from marketing_pipelines_tests.faults.worker import outcome, working
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.probe import KEY
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

pytestmark = pytest.mark.fault

# The probe needs a table to read that a test may lock as long as it likes.
TABLE = "crm.organizations"


def ended(installation: Installation) -> list[tuple[str, str, str]]:
    """(run, status, error) of every session, oldest first."""
    return installation.rows("select run_id, status, error from ops.job_sessions order by id")


def lock_is_free(installation: Installation) -> bool:
    """Asks over a connection of its own, which ends with the lock."""
    with create_engine(installation.engine.url).connect() as connection:
        return locks.try_lock(connection, KEY)


def reads_the_table(installation: Installation) -> bool:
    """True while a run that holds the job's lock waits for the table."""
    return bool(
        installation.rows(
            "select 1 from pg_locks where relation = cast(:table as regclass) and not granted"
            " and database = (select oid from pg_database where datname = current_database())",
            table=TABLE,
        )
    )


@pytest.mark.fault(4)
def test_fault_4_of_two_workers_that_start_one_job_in_the_same_second_one_works(
    installation: Installation,
) -> None:
    with installation.engine.connect() as blocker:
        blocker.execute(sa.text(f"lock {TABLE} in access exclusive mode"))
        with (
            working(worker.read, 60, TABLE) as first,
            working(worker.read, 60, TABLE) as second,
        ):
            until(
                lambda: any(s == "SKIPPED_OVERLAP" for _, s, _ in ended(installation)),
                what="one of them to be skipped",
            )
            blocker.rollback()
            runs = [outcome(first)["run_id"], outcome(second)["run_id"]]
    by_status = {status: (run, error) for run, status, error in ended(installation)}
    assert set(by_status) == {"COMPLETED", "SKIPPED_OVERLAP"}
    worked, skipped = by_status["COMPLETED"], by_status["SKIPPED_OVERLAP"]
    assert {worked[0], skipped[0]} == set(runs)
    assert skipped[1] == f"Run {worked[0]} holds the lock of {KEY} and does the work."


def exchange(process: "subprocess.Popen[str]", line: str = "") -> str:
    """Waits for a line of the process, or lets it go on."""
    assert process.stdin
    assert process.stdout
    if not line:
        return process.stdout.readline()
    process.stdin.write(line)
    process.stdin.flush()
    return line


@pytest.fixture
def counters(installation: Installation) -> Callable[[], dict[str, int]]:
    """Two rows that several workers change."""
    installation.execute("create table ops.counters (name text primary key, n int not null)")
    installation.execute("insert into ops.counters values ('a', 0), ('b', 0)")
    return lambda: dict(installation.rows("select name, n from ops.counters"))


@pytest.mark.fault(9)
def test_fault_9_the_victim_of_a_deadlock_tries_again(
    installation: Installation, counters: Callable[[], dict[str, int]]
) -> None:
    with (
        working(worker.add_one_to_both, 60, "a", "b") as process,
        installation.engine.connect() as other,
    ):
        assert exchange(process) == "half-way\n"
        other.exec_driver_sql("set deadlock_timeout = '1min'")
        other.exec_driver_sql("update ops.counters set n = n + 10 where name = 'b'")
        exchange(process, "go on\n")
        until(lambda: waits_for_a_lock(installation.engine), what="the job to wait for row b")
        # Closes the circle; the job's own patience is shorter, so that it is the victim.
        other.exec_driver_sql("update ops.counters set n = n + 10 where name = 'a'")
        other.commit()
        assert exchange(process) == "half-way\n"
        exchange(process, "go on\n")
        assert outcome(process)["delays"] == [1]
    assert [(status, error) for _, status, error in ended(installation)] == [
        ("FAILED", "OperationalError: deadlock detected"),
        ("COMPLETED", None),
    ]
    assert counters() == {"a": 11, "b": 11}


@pytest.mark.fault(9)
def test_fault_9_a_serialization_failure_is_tried_again_three_times_and_no_more(
    installation: Installation, counters: Callable[[], dict[str, int]]
) -> None:
    with working(worker.add_one_to_what_was_read, 60, "a") as process:
        for _ in range(4):
            assert exchange(process) == "half-way\n"
            installation.execute("update ops.counters set n = n + 10 where name = 'a'")
            exchange(process, "go on\n")
        end = outcome(process)
    assert (end["success"], end["delays"]) == (False, [1, 2, 4])
    error = "OperationalError: could not serialize access due to concurrent update"
    assert [(status, error) for _, status, error in ended(installation)] == [("FAILED", error)] * 4
    assert counters() == {"a": 40, "b": 0}
    assert lock_is_free(installation)


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    "work",
    [
        worker.sleep_in_duckdb,
        pytest.param(worker.sleep_in_sql, marks=[pytest.mark.soak, soak_only]),
        pytest.param(worker.sleep_in_python, marks=[pytest.mark.soak, soak_only]),
    ],
)
def test_fault_10_work_that_exceeds_its_time_stops_and_frees_its_lock(
    installation: Installation, work: Callable[..., None], tmp_path: Path
) -> None:
    arguments: list[str] = []
    if work is worker.sleep_in_duckdb:
        arguments = [str(tmp_path / "numbers.parquet"), str(tmp_path / "spill")]
        duckdb.sql(f"copy (select range as i from range(1000000)) to '{arguments[0]}'")
    with working(work, 0.5, *arguments) as process:
        assert outcome(process)["delays"] == [1, 2, 4]
    error = f"{KEY} was stopped after 0.5 s, the time it may take."
    assert [(status, error) for _, status, error in ended(installation)] == [
        ("TIMED_OUT", error)
    ] * 4
    slowest = installation.rows("select max(duration_ms)::int from ops.job_sessions")
    assert slowest[0][0] < 5_000
    assert lock_is_free(installation)
    assert (
        installation.rows(
            "select query from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() and state = 'active'"
        )
        == []
    )


@pytest.mark.fault(11)
def test_fault_11_the_server_notices_a_dead_process_while_it_still_works_for_it(
    installation: Installation,
) -> None:
    """Its statement would go on for ten minutes and hold the lock as long."""
    with working(worker.sleep_in_sql, 600) as process:
        until(lambda: is_asleep(installation), what="the job to sleep")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        died = time.monotonic()
        until(lambda: lock_is_free(installation), what="the lock to be free")
    assert time.monotonic() - died < 15
    with installation.engine.begin() as connection:
        assert len(sessions.close_abandoned(connection)) == 1
    [(_, status, error)] = ended(installation)
    assert (status, error) == ("ABANDONED", "The process ended without closing its session.")


def is_asleep(installation: Installation) -> bool:
    return bool(
        installation.rows(
            "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
            " and datname = current_database()"
        )
    )
