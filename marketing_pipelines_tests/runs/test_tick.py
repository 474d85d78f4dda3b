"""The frame around every job: session, lock, transaction, retries, timeout."""

import contextlib
import datetime as dt
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError, UpstreamNotReadyError
from marketing_pipelines.freshness import partitions, stale_partitions
from marketing_pipelines.runs import sessions
from marketing_pipelines.runs.tags import (
    MAX_RUNTIME_TAG,
    ONLY_MARKED_TAG,
    TRIGGER_TAG,
    trigger_of,
)
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores import locks
from marketing_pipelines_tests.probe import (
    KEY,
    TICK,
    delays_of,
    finish_all,
    held_open,
    run_probe,
    write_policies,
)
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

BACKEND = "select pg_backend_pid()"
HOUR, NEXT = "2026-03-01-10:00", "2026-03-01-11:00"
ORDINAL = partitions.window("hour", HOUR, ZoneInfo("UTC")).ordinal
# A policy without retries, whose waits would be most of the time.
ONCE = f'["{KEY}"]\nretries = []\n'


def all_sessions(engine: sa.Engine, columns: str = "status, error") -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(sa.text(f"select {columns} from ops.job_sessions order by id"))
        return [tuple(row) for row in rows]


def done(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("select partition, rows from analytics.finished_partitions order by 1")
        )
        return {row.partition: row.rows for row in rows}


def mark(engine: sa.Engine, *keys: str) -> None:
    with engine.begin() as connection:
        stale_partitions.add(connection, KEY, keys)


def marked(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(
            stale_partitions.pending(connection).get(KEY, stale_partitions.Pending()).requested
        )


def is_free(engine: sa.Engine, ordinal: int) -> bool:
    with engine.connect() as connection:
        return locks.try_lock(connection, KEY, ordinal)


def test_a_run_leaves_one_session_that_says_what_it_did(engine: sa.Engine) -> None:
    result = run_probe(engine, finish_all, HOUR)
    assert result.success
    columns = "job, trigger, tick, partition, run_id, status, error, metadata"
    assert all_sessions(engine, columns) == [
        (
            KEY,
            "manual",
            dt.datetime.fromisoformat(TICK),
            HOUR,
            result.run_id,
            "COMPLETED",
            None,
            {"rows": 1, "partitions": 1},
        )
    ]
    [(duration, memory, cpu)] = all_sessions(engine, "duration_ms, rss_peak_mb, cpu_seconds")
    assert 0 < cpu < 60
    [materialization] = result.asset_materializations_for_node("probe__outcome")
    assert 0 < materialization.metadata["cpu_seconds"].value < 60
    assert 0 <= duration < 60_000
    assert 10 < memory < 10_000
    assert done(engine) == {HOUR: 1}


def test_a_mark_made_during_a_run_survives_it(engine: sa.Engine) -> None:
    mark(engine, HOUR)

    def body(tick: Tick) -> None:
        with tick.replacing(tick.windows) as replacement:
            mark(engine, HOUR)
            replacement.finished({HOUR: 1})

    assert run_probe(engine, body, HOUR).success
    assert marked(engine) == [HOUR]
    assert run_probe(engine, finish_all, HOUR).success
    assert marked(engine) == []


def test_a_mark_committed_between_the_lock_and_the_snapshot_is_done(engine: sa.Engine) -> None:
    """The snapshot comes after the lock, so what was marked while waiting belongs to the run."""
    with ThreadPoolExecutor(1) as pool:
        with held_open(engine, lambda _: None, HOUR):
            waiting = pool.submit(run_probe, engine, finish_all, HOUR, NEXT)
            until(lambda: waits_for_a_lock(engine), what="the range to wait for the lock")
            mark(engine, HOUR)
        assert waiting.result(60).success
    assert marked(engine) == []


def test_a_second_run_of_a_held_partition_is_skipped_and_names_the_holder(
    engine: sa.Engine,
) -> None:
    with held_open(engine, lambda _: None, HOUR) as holder:
        second = run_probe(engine, finish_all, HOUR)
        assert second.success
    first = holder.result(60)
    assert all_sessions(engine, "run_id, status, error") == [
        (first.run_id, "COMPLETED", None),
        (
            second.run_id,
            "SKIPPED_OVERLAP",
            f"Run {first.run_id} holds the lock of {KEY} {HOUR} and does the work.",
        ),
    ]
    [materialization] = second.asset_materializations_for_node("probe__outcome")
    assert materialization.metadata["skipped_overlap"].value == first.run_id
    assert done(engine) == {HOUR: 0}


def test_a_neighbouring_partition_is_not_held(engine: sa.Engine) -> None:
    with held_open(engine, lambda _: None, HOUR):
        assert run_probe(engine, finish_all, NEXT).success
        assert done(engine) == {NEXT: 1}
    assert {status for (status,) in all_sessions(engine, "status")} == {"COMPLETED"}


def test_a_range_waits_for_the_lock_and_then_works(engine: sa.Engine) -> None:
    with ThreadPoolExecutor(1) as pool:
        with held_open(engine, lambda _: None, HOUR) as holder:
            waiting = pool.submit(run_probe, engine, finish_all, HOUR, NEXT)
            until(lambda: waits_for_a_lock(engine), what="the range to wait for the lock")
            assert done(engine) == {}
        assert holder.result(60).success
        assert waiting.result(60).success
    assert all_sessions(engine, "partition, status") == [
        (HOUR, "COMPLETED"),
        (f"{HOUR}...{NEXT}", "COMPLETED"),
    ]
    assert done(engine) == {HOUR: 1, NEXT: 1}


def test_a_job_without_partitions_never_runs_twice_at_once(engine: sa.Engine) -> None:
    overlapping: list[dg.ExecuteInProcessResult] = []

    def work(tick: Tick) -> None:
        with tick.begin():
            if not overlapping:
                overlapping.append(run_probe(engine, work))

    first = run_probe(engine, work)
    assert all_sessions(engine, "run_id, status, error") == [
        (first.run_id, "COMPLETED", None),
        (
            overlapping[0].run_id,
            "SKIPPED_OVERLAP",
            f"Run {first.run_id} holds the lock of {KEY} and does the work.",
        ),
    ]


def test_a_run_that_two_daemons_start_does_its_tick_once(engine: sa.Engine) -> None:
    """Each daemon's queue may take the run before it sees that the other did."""
    run = str(uuid.uuid4())
    scheduled = {"dagster/schedule_name": "probe"}
    starts: list[str] = []

    def work(tick: Tick) -> None:
        with tick.begin():
            starts.append(tick.context.run.run_id)
            if len(starts) == 1:
                assert run_probe(engine, work, tags=scheduled, run_id=run).success

    for _ in range(2):
        assert run_probe(engine, work, tags=scheduled, run_id=run).success
    assert starts == [run]
    assert all_sessions(engine, "status, error") == [
        ("COMPLETED", None),
        ("SKIPPED_OVERLAP", f"Run {run} holds the lock of {KEY} and does the work."),
        ("SKIPPED_OVERLAP", f"Run {run} has done {KEY} for 2026-03-01 12:00 UTC."),
    ]


def test_a_permanent_error_rolls_back_and_is_not_tried_again(engine: sa.Engine) -> None:
    mark(engine, HOUR)

    def body(tick: Tick) -> None:
        with tick.replacing(tick.windows) as replacement:
            replacement.finished({HOUR: 5})
            raise BadInputError("Line 3 of the file is broken: mend it.")

    result = run_probe(engine, body, HOUR)
    assert not result.success
    assert delays_of(result) == []
    assert all_sessions(engine) == [("FAILED", "Line 3 of the file is broken: mend it.")]
    assert done(engine) == {}
    assert marked(engine) == [HOUR]
    assert is_free(engine, ORDINAL)


def test_another_error_is_tried_again_and_a_success_ends_it(engine: sa.Engine) -> None:
    errors = [ValueError("the first line\nthe second line")]

    def body(tick: Tick) -> None:
        if errors:
            raise errors.pop()
        finish_all(tick)

    result = run_probe(engine, body, HOUR)
    assert result.success
    assert delays_of(result) == [1]
    assert all_sessions(engine) == [
        ("FAILED", "ValueError: the first line"),
        ("COMPLETED", None),
    ]


def test_a_job_without_partitions_that_is_not_ready_is_tried_again_as_its_session_says(
    engine: sa.Engine,
) -> None:
    """No mark asks for it again."""
    errors = [UpstreamNotReadyError("Hours are being restated.")]

    def body(tick: Tick) -> None:
        if errors:
            raise errors.pop()
        with tick.begin():
            pass

    assert delays_of(run_probe(engine, body)) == [1]
    assert all_sessions(engine, "status, error, will_retry") == [
        ("FAILED", "Hours are being restated.", True),
        ("COMPLETED", None, False),
    ]


def test_a_range_says_in_its_log_and_where_it_fails_how_much_of_it_is_done(
    engine: sa.Engine,
) -> None:
    def body(tick: Tick) -> None:
        for window in tick.windows[:2]:
            with tick.replacing([window]) as replacement:
                replacement.finished({window.key: 1})
        raise BadInputError("Line 3 is broken.")

    with dg.DagsterInstance.ephemeral() as instance:
        result = run_probe(engine, body, HOUR, "2026-03-01-13:00", instance=instance)
        assert not result.success
        logged = [record.user_message for record in instance.all_logs(result.run_id)]
    progress = f"2 of 4 partitions are done: {HOUR} to {NEXT}."
    assert [message for message in logged if " of 4 " in message] == [
        f"1 of 4 partitions are done: {HOUR} to {HOUR}.",
        progress,
    ]
    assert all_sessions(engine) == [("FAILED", f"Line 3 is broken. {progress}")]


@pytest.mark.parametrize(
    ("error", "canceling", "sentence"),
    [
        (KeyboardInterrupt, None, "It was stopped by Ctrl-C."),
        (
            dg.DagsterExecutionInterruptedError,
            None,
            "Its process received a signal to end: `up`, the daemon or the machine stopped.",
        ),
        (
            dg.DagsterExecutionInterruptedError,
            "Sending run termination request.",
            "Its run was canceled in the Dagster UI, on its command line or by its API.",
        ),
        (
            dg.DagsterExecutionInterruptedError,
            "Canceling due to exceeding maximum runtime of 5 seconds.",
            "Dagster canceled its run: Canceling due to exceeding maximum runtime of 5 seconds.",
        ),
    ],
)
def test_the_session_of_a_run_that_was_ended_names_what_ended_it(
    engine: sa.Engine, error: type[BaseException], canceling: str | None, sentence: str
) -> None:
    def body(tick: Tick) -> None:
        if canceling is not None:
            tick.context.instance.report_run_canceling(tick.context.run, message=canceling)
        raise error

    with contextlib.suppress(KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        run_probe(engine, body)
    assert all_sessions(engine) == [("CANCELED", sentence)]


def test_a_statement_over_the_timeout_is_stopped_retried_three_times_and_frees_the_lock(
    engine: sa.Engine,
) -> None:
    def body(tick: Tick) -> None:
        with tick.replacing(tick.windows) as replacement:
            replacement.connection.exec_driver_sql("select pg_sleep(60)")

    result = run_probe(engine, body, HOUR, tags={MAX_RUNTIME_TAG: "0.2"})
    assert not result.success
    assert delays_of(result) == [1, 2, 4]
    error = f"{KEY} was stopped after 0.2 s, the time it may take."
    assert all_sessions(engine) == [("TIMED_OUT", error)] * 4
    assert is_free(engine, ORDINAL)


def test_work_that_sleeps_in_python_is_stopped_in_time_and_frees_the_lock(
    engine: sa.Engine,
) -> None:
    write_policies(ONCE)

    def body(tick: Tick) -> None:
        with tick.replacing(tick.windows):
            time.sleep(60)

    result = run_probe(engine, body, HOUR, tags={MAX_RUNTIME_TAG: "0.3"})
    assert not result.success
    assert delays_of(result) == []
    error = f"{KEY} was stopped after 0.3 s, the time it may take."
    assert all_sessions(engine) == [("TIMED_OUT", error)]
    [(milliseconds,)] = all_sessions(engine, "duration_ms")
    assert milliseconds < 5_000
    assert is_free(engine, ORDINAL)


def test_many_short_statements_are_stopped_in_time_too(engine: sa.Engine) -> None:
    write_policies(ONCE)

    def body(tick: Tick) -> None:
        with tick.replacing(tick.windows) as replacement:
            while True:
                replacement.connection.exec_driver_sql("select pg_sleep(0.05)")

    assert not run_probe(engine, body, HOUR, tags={MAX_RUNTIME_TAG: "0.3"}).success
    assert [status for status, _ in all_sessions(engine)] == ["TIMED_OUT"]
    assert is_free(engine, ORDINAL)


def test_a_lost_connection_cannot_write(engine: sa.Engine) -> None:
    """Its lock is gone, so another run may hold it: whatever it still does must not be kept."""
    lost: list[int] = []

    def body(tick: Tick) -> None:
        with tick.replacing(tick.windows) as replacement:
            if not lost:
                replacement.finished({HOUR: 666})
                lost.append(replacement.connection.exec_driver_sql(BACKEND).scalar_one())
                with engine.begin() as other:
                    other.exec_driver_sql(f"select pg_terminate_backend({lost[0]}, 10000)")
                assert is_free(engine, ORDINAL)
            replacement.finished({HOUR: 1})

    result = run_probe(engine, body, HOUR)
    assert result.success
    assert delays_of(result) == [1]
    assert done(engine) == {HOUR: 1}
    [(first, sentence), second] = all_sessions(engine)
    assert (first, second) == ("FAILED", ("COMPLETED", None))
    assert sentence.startswith("AdminShutdown: ") or sentence.startswith("OperationalError: ")


def test_a_session_that_still_works_is_not_abandoned(engine: sa.Engine) -> None:
    with held_open(engine, lambda _: None, HOUR), engine.begin() as connection:
        assert sessions.close_abandoned(connection) == []
    assert all_sessions(engine) == [("COMPLETED", None)]


def test_a_session_whose_connection_is_gone_is_abandoned(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        number = sessions.open_session(
            connection,
            job=KEY,
            trigger="manual",
            tick=dt.datetime.fromisoformat(TICK),
            partition=HOUR,
            run_id="r1",
        )
        connection.commit()
        with engine.begin() as other:
            assert sessions.close_abandoned(other) == []
    with engine.begin() as other:
        assert until(lambda: sessions.close_abandoned(other)) == [number]
    assert all_sessions(engine) == [("ABANDONED", "The process ended without closing its session.")]


def test_work_that_forgets_to_say_that_it_is_finished_fails(engine: sa.Engine) -> None:
    def body(tick: Tick) -> None:
        if tick.context.retry_number:
            raise BadInputError("enough")
        with tick.replacing(tick.windows):
            pass

    assert not run_probe(engine, body, HOUR).success
    assert all_sessions(engine)[0] == (
        "FAILED",
        f"RuntimeError: {KEY} did not say that its partitions are finished.",
    )


def test_a_run_of_the_marked_ones_leaves_the_others(engine: sa.Engine) -> None:
    hours = [f"2026-03-01-{hour:02}:00" for hour in range(6)]
    assert run_probe(engine, finish_all, hours[0], hours[-1]).success
    mark(engine, hours[1], hours[2], hours[4])
    chunks: list[list[str]] = []

    def body(tick: Tick) -> None:
        for chunk in tick.chunks({}, most_rows=1):
            chunks.append([w.key for w in chunk])
            with tick.replacing(chunk) as replacement:
                replacement.finished(dict.fromkeys(chunks[-1], 7))

    assert run_probe(engine, body, hours[0], hours[-1], {ONLY_MARKED_TAG: "true"}).success
    assert chunks == [[hours[1], hours[2]], [hours[4]]]
    assert list(done(engine).values()) == [1, 7, 7, 1, 7, 1]
    assert marked(engine) == []


@pytest.mark.soak
@soak_only
def test_chunks_hold_at_most_so_many_rows_and_744_partitions(engine: sa.Engine) -> None:
    by_rows: list[int] = []
    by_number: list[int] = []

    def body(tick: Tick) -> None:
        heavy = dict.fromkeys((w.key for w in tick.windows[:5]), 900_000)
        by_rows.extend(len(chunk) for chunk in tick.chunks(heavy, most_rows=2_000_000))
        by_number.extend(len(chunk) for chunk in tick.chunks({}, most_rows=1))

    assert run_probe(engine, body, "2026-01-01-00:00", "2026-02-04-23:00").success
    assert sum(by_rows) == sum(by_number) == 35 * 24
    assert by_rows[:3] == [2, 2, 744]
    assert by_number == [744, 35 * 24 - 744]


@pytest.mark.parametrize(
    ("tags", "trigger"),
    [
        ({}, "manual"),
        ({"dagster/schedule_name": "x"}, "schedule"),
        ({"dagster/sensor_name": "x"}, "sensor"),
        ({"dagster/backfill": "x"}, "backfill"),
        ({"dagster/sensor_name": "x", TRIGGER_TAG: "api"}, "api"),
    ],
)
def test_the_trigger_is_read_from_the_tags(tags: dict[str, str], trigger: str) -> None:
    assert trigger_of(tags) == trigger


def test_a_skipped_run_does_not_disturb_the_one_that_works(engine: sa.Engine) -> None:
    """Both touch the partition's marks: one to remove them, one to have them asked for again."""
    mark(engine, HOUR)
    with held_open(engine, lambda _: None, HOUR) as holder:
        assert run_probe(engine, finish_all, HOUR).success
    assert delays_of(holder.result(60)) == []
    assert [status for status, _ in all_sessions(engine)] == ["COMPLETED", "SKIPPED_OVERLAP"]


def test_a_mark_newer_than_the_holders_snapshot_is_asked_for_again(engine: sa.Engine) -> None:
    with held_open(engine, lambda _: None, HOUR) as holder:
        mark(engine, HOUR)
        with engine.begin() as connection:
            stale_partitions.set_requested(connection, KEY, [HOUR], dt.datetime.now(dt.UTC))
        assert run_probe(engine, finish_all, HOUR).success
    assert holder.result(60).success
    with engine.connect() as connection:
        assert stale_partitions.pending(connection)[KEY].requested == {HOUR: None}


def test_a_request_for_a_run_does_not_disturb_the_one_that_works(engine: sa.Engine) -> None:
    """The sensor notes its request on every mark of the partition, the seen ones too."""
    mark(engine, HOUR)
    with held_open(engine, lambda _: None, HOUR) as holder:
        mark(engine, HOUR)
        with engine.begin() as connection:
            stale_partitions.set_requested(connection, KEY, [HOUR], dt.datetime.now(dt.UTC))
    assert delays_of(holder.result(60)) == []
    assert marked(engine) == [HOUR]


def test_the_peak_of_memory_is_that_of_the_process_and_not_of_who_started_it() -> None:
    ballast = b"x" * (400 * 1024 * 1024)
    code = "from marketing_pipelines.runs.sessions import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < len(ballast) // (1024 * 1024)


def test_the_peak_of_memory_is_the_runs_own_where_a_process_does_several(
    engine: sa.Engine,
) -> None:
    def waste(tick: Tick) -> None:
        len(b"x" * (400 * 1024 * 1024))
        finish_all(tick)

    assert run_probe(engine, waste, HOUR).success
    assert run_probe(engine, finish_all, HOUR).success
    [(first,), (second,)] = all_sessions(engine, "rss_peak_mb")
    assert first - second > 300


def test_shared_work_has_connections_beside_that_share_its_lock_and_limits(
    engine: sa.Engine,
) -> None:
    seen: list[tuple[Any, ...]] = []
    own = sa.text("select pg_backend_pid(), current_setting('statement_timeout')")
    shared = sa.text("select pid from pg_locks where locktype = 'advisory' and mode = 'ShareLock'")

    def body(tick: Tick) -> None:
        with tick.sharing() as connection:
            seen.append(tuple(connection.execute(own).one()))
        with tick.extra_connection() as begin, begin() as connection:
            seen.append(tuple(connection.execute(own).one()))
            assert set(connection.execute(shared).scalars()) == {pid for pid, _ in seen}
            assert not is_free(engine, locks.WHOLE_JOB)

    assert run_probe(engine, body).success
    (one, limit), (other, same) = seen
    assert one != other
    assert limit == same != "0"
    assert is_free(engine, locks.WHOLE_JOB)


def test_a_second_attempt_ends_what_other_connections_of_the_first_still_hold(
    engine: sa.Engine,
) -> None:
    left = contextlib.ExitStack()
    pids: list[int] = []
    there = sa.text("select count(*) from pg_stat_activity where pid = :pid")

    def body(tick: Tick) -> None:
        with tick.sharing() as connection:
            if pids:
                assert connection.execute(there, {"pid": pids[0]}).scalar_one() == 0
                return
        begin = left.enter_context(tick.extra_connection())
        other = left.enter_context(begin())
        pids.append(other.execute(sa.text(BACKEND)).scalar_one())
        raise OSError("The network is gone.")

    result = run_probe(engine, body)
    assert (result.success, len(delays_of(result))) == (True, 1)
    with contextlib.suppress(sa.exc.OperationalError):
        left.close()
