"""One run of the probe in a process of its own: `python -m …faults.worker WORK SECONDS ARGUMENT…`.

WORK is one of the functions below, SECONDS the time it may take. Prints how the run ended.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from marketing_pipelines.engines.duckdb_engine import DuckDBEngine
from marketing_pipelines.runs.tags import MAX_RUNTIME_TAG
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.probe import delays_of, run_probe
from marketing_pipelines_tests.retrying import retry_at_once


def sleep_in_python(tick: Tick) -> None:
    with tick.begin():
        time.sleep(600)


def sleep_in_sql(tick: Tick) -> None:
    with tick.begin() as connection:
        connection.exec_driver_sql("select pg_sleep(600)")


def sleep_in_duckdb(tick: Tick, file: str, folder: str) -> None:
    """Joins the file with itself, which takes hours."""
    with tick.begin():
        statement = "SELECT SUM(a.i * b.i) FROM events AS a, read_parquet($files) AS b"
        DuckDBEngine(Path(folder)).query(statement, [file], {})


def read(tick: Tick, table: str) -> None:
    """Waits as long as somebody else has the table."""
    with tick.begin() as connection:
        connection.exec_driver_sql(f"select count(*) from {table}")


def add_one_to_both(tick: Tick, first: str, second: str) -> None:
    """Changes two rows of `ops.counters`, the second when somebody else has changed it or soon."""
    with tick.begin() as connection:
        for name in (first, second):
            connection.exec_driver_sql("update ops.counters set n = n + 1 where name = %s", (name,))
            if name == first:
                print("half-way", flush=True)
                sys.stdin.readline()


def add_one_to_what_was_read(tick: Tick, name: str) -> None:
    """Changes a row after its snapshot is taken."""
    with tick.begin() as connection:
        connection.exec_driver_sql("select n from ops.counters where name = %s", (name,)).all()
        print("half-way", flush=True)
        sys.stdin.readline()
        connection.exec_driver_sql("update ops.counters set n = n + 1 where name = %s", (name,))


WORK: dict[str, Callable[..., None]] = {
    work.__name__: work
    for work in (
        sleep_in_python,
        sleep_in_sql,
        sleep_in_duckdb,
        read,
        add_one_to_both,
        add_one_to_what_was_read,
    )
}


@contextmanager
def working(
    work: Callable[..., None], seconds: float, *arguments: str, **variables: str
) -> Iterator["subprocess.Popen[str]"]:
    """The process; killed at the end if it still runs."""
    with Forked(
        __name__,
        work.__name__,
        str(seconds),
        *arguments,
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def outcome(process: "subprocess.Popen[str]") -> Any:
    """The end of the run: its success, and the waits before each further attempt."""
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(printed.splitlines()[-1])


def main(work: str, seconds: str, *arguments: str) -> dict[str, Any]:
    # A reader tries again until its server answers; the others would wait for nothing.
    if work != read.__name__:
        retry_at_once()
    engine = create_engine(database_url(get_settings()))
    result: dg.ExecuteInProcessResult = run_probe(
        engine, lambda tick: WORK[work](tick, *arguments), tags={MAX_RUNTIME_TAG: seconds}
    )
    return {"run_id": result.run_id, "success": result.success, "delays": delays_of(result)}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
