"""Work that needs more memory than its job allows ends once, with one sentence."""

import threading
import time

import pytest
import sqlalchemy as sa

from marketing_pipelines.engines import memory
from marketing_pipelines.engines.duckdb_engine import DuckDBEngine
from marketing_pipelines.runs import memory_limits
from marketing_pipelines.runs.memory_limits import resident_mb
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.probe import KEY, delays_of, finish_all, run_probe, write_policies
from marketing_pipelines_tests.runs.test_tick import HOUR, ORDINAL, all_sessions, is_free


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limits, "LOOKS_EVERY", 0.05)


def limit_to(megabytes: int) -> None:
    write_policies(f'["{KEY}"]\nmemory_mb = {megabytes}\n')


def test_a_run_above_its_memory_fails_without_a_retry_and_frees_its_lock(
    engine: sa.Engine,
) -> None:
    limit = resident_mb() + 100
    limit_to(limit)
    held: list[bytes] = []

    def body(tick: Tick) -> None:
        with tick.replacing(tick.windows) as replacement:
            held.append(b"x" * 200 * 1024 * 1024)
            replacement.connection.exec_driver_sql("select pg_sleep(60)")

    began = time.monotonic()
    result = run_probe(engine, body, HOUR)
    assert not result.success
    assert time.monotonic() - began < 30
    assert delays_of(result) == []
    sentence = f"{KEY} needed more than {limit} MB (memory_mb)."
    assert all_sessions(engine) == [("FAILED", sentence)]
    assert is_free(engine, ORDINAL)
    assert not [thread for thread in threading.enumerate() if "_watch" in thread.name]


def test_a_run_below_its_memory_ends_as_ever(engine: sa.Engine) -> None:
    limit_to(resident_mb() + 1_000)
    assert run_probe(engine, finish_all, HOUR).success
    assert all_sessions(engine) == [("COMPLETED", None)]


def test_duckdb_is_limited_to_four_fifths(environment: dict[str, str]) -> None:
    engine = DuckDBEngine(get_settings().spill_folder)
    with memory.limited_to(80):
        [row] = engine._connect().execute("select current_setting('memory_limit')").fetchall()
    engine.close()
    assert row[0] == "76.2 MiB"
