"""One piece of work in a process of its own: `python -m ….child WORK ARGUMENT…` prints JSON.

Memory is counted from after the imports and the first connection, which any run has, to the peak.
"""

import contextlib
import datetime as dt
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from marketing_pipelines_tests.benchmarks import export_work, mail_work

MEGABYTE = 1024 * 1024


def main(work: str, *arguments: str) -> None:
    """Does the work and prints what it measured."""
    with contextlib.redirect_stdout(sys.stderr):
        answer = WORKS[work](*arguments)
    print(json.dumps(answer))


def load(kind: str, path: str) -> dict[str, Any]:
    """Loads a file."""
    import psycopg  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from marketing_pipelines.loading import load_file

    settings, engine = _connected()
    with _memory() as memory:
        started = time.monotonic()
        result = load_file(engine, kind, Path(path), settings=settings)
        seconds = time.monotonic() - started
    rows = result.loaded + result.changed + result.repeated + result.rejected
    return {"rows": rows, "loaded": result.loaded, "seconds": seconds, **memory}


def run(job: str, first: str, last: str, storage: str = "memory") -> dict[str, Any]:
    """Runs a job for its partitions, not what it reads; Dagster's storage `memory` or `stored`."""
    from marketing_pipelines.running import Request, run_job

    _import_what_runs_import()
    settings, engine = _connected()
    with _instance(storage) as instance, _memory() as memory:
        started = time.monotonic()
        outcomes = run_job(
            Request(job, first, last, only=True),
            settings=settings,
            engine=engine,
            instance=instance,
        )
        wall = time.monotonic() - started
    sessions = [vars(outcome) for outcome in outcomes]
    return {"sessions": sessions, "wall": wall, **memory}


def run_at(job: str, at: str, partition: str | None = None) -> dict[str, Any]:
    """Runs a job for an instant, and for a partition where it has any."""
    from marketing_pipelines.running import Request, run_job

    _import_what_runs_import()
    settings, engine = _connected()
    request = Request(job, partition, partition, dt.datetime.fromisoformat(at), True)
    with _instance("memory") as instance, _memory() as memory:
        started = time.monotonic()
        outcomes = run_job(request, settings=settings, engine=engine, instance=instance)
        wall = time.monotonic() - started
    return {"sessions": [vars(outcome) for outcome in outcomes], "wall": wall, **memory}


def raw_duckdb(first: str, last: str) -> dict[str, Any]:
    """The statement of campaign days over the same files, by DuckDB alone, set as the engine is."""
    import duckdb

    from marketing_pipelines.domains.analytics import aggregates
    from marketing_pipelines.domains.analytics.manifest import LakeHours
    from marketing_pipelines.engines.duckdb_engine import DuckDBEngine
    from marketing_pipelines.freshness.partitions import window, windows_between
    from marketing_pipelines.stores.lake import Lake

    _import_what_runs_import()
    settings, engine = _connected()
    names = ("threads", "memory_limit", "preserve_insertion_order", "TimeZone", "temp_directory")
    own = DuckDBEngine(settings.spill_folder)
    values = (
        own._connect()
        .execute("select " + ", ".join(f"current_setting('{name}')" for name in names))
        .fetchone()
    )
    own.close()
    assert values is not None
    start, end = (window("day", key, settings.zone) for key in (first, last))
    lake = Lake(settings.effective_lake_url)
    with engine.connect() as connection:
        hours = LakeHours(connection, start.start, end.end)
    days = [
        (day, hours.files(lake, day))
        for day in windows_between("day", start.start, end.end, settings.zone)
    ]
    text = aggregates._sql("count_campaigns").replace(
        "FROM events", "FROM read_parquet($files, hive_partitioning = true)"
    )
    text = text.replace(":start", "$start").replace(":end", "$end")
    with _memory() as memory:
        started = time.monotonic()
        with duckdb.connect() as connection:
            for name, value in zip(names, values, strict=True):
                connection.execute(f"set {name} = '{value}'")
            rows = 0
            for day, files in days:
                parameters = {"files": files, "start": day.start, "end": day.end}
                rows += connection.execute(text, parameters).to_arrow_table().num_rows
        seconds = time.monotonic() - started
    read = dict(zip(names, [str(value) for value in values], strict=True))
    return {"rows": rows, "seconds": seconds, "settings": read, **memory}


def bare_load() -> dict[str, Any]:
    """The same events into an identical table by one COPY, and their keys by one insert."""
    from marketing_pipelines_tests.benchmarks import bare

    settings, engine = _connected()
    return bare.load(_uri(engine), settings.data_dir)


def bare_export(first: str, last: str) -> dict[str, Any]:
    """The rows of a span of instants by one COPY, piped into a Parquet writer."""
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    from marketing_pipelines_tests.benchmarks import bare

    settings, engine = _connected()
    return bare.export(_uri(engine), first, last, settings.data_dir)


def esp_events(path: str) -> dict[str, Any]:
    """The sample of real events: load, then every hour, day and month of its span."""
    from marketing_pipelines_tests.analytics import esp
    from marketing_pipelines_tests.installation import Installation

    _import_what_runs_import()
    settings, engine = _connected()
    with _instance("stored") as instance, _memory() as memory:
        installation = Installation(settings, engine, lambda: instance)
        started = time.monotonic()
        result = installation.load("events", Path(path))
        loaded = time.monotonic()
        esp.run_everything(installation)
        done = time.monotonic()
    counts = installation.rows("select count(*), max(event_count) from analytics.event_aggregates")
    return {
        "events": result.loaded,
        "load_seconds": loaded - started,
        "seconds": done - started,
        "aggregate_rows": counts[0][0],
        **memory,
    }


def tasks(processes: str, count: str) -> dict[str, Any]:
    """Tasks that do nothing: seconds to enqueue them all, and from the first start to the last
    end."""
    from marketing_pipelines_tests.queueing.installed import put, scalar, workers
    from marketing_pipelines_tests.waiting import until

    _, engine = _connected()
    started = time.monotonic()
    first = min(put(engine, "do_nothing", int(count)))
    enqueueing = time.monotonic() - started
    own = f"from procrastinate_jobs where id >= {first}"
    with workers(int(processes), "--queue", "default"):
        until(
            lambda: scalar(engine, f"select count(*) {own} and status = 'succeeded'") == int(count),
            seconds=600,
            what="the tasks to be done",
        )
    seconds = scalar(
        engine,
        "select extract(epoch from max(at) - min(at))::float8 from procrastinate_events"
        f" where type in ('started', 'succeeded') and job_id >= {first}",
    )
    return {
        "enqueued_per_second": int(count) / enqueueing,
        "done_per_second": int(count) / seconds,
    }


WORKS: dict[str, Callable[..., dict[str, Any]]] = {
    "load": load,
    "run": run,
    "run_at": run_at,
    "raw_duckdb": raw_duckdb,
    "bare_load": bare_load,
    "bare_export": bare_export,
    "esp_events": esp_events,
    "tasks": tasks,
    "send_mails": mail_work.send_mails,
    "urgent": mail_work.urgent,
    "send_bare": mail_work.send_bare,
    "claim_bare": mail_work.claim_bare,
    "judge": mail_work.judge,
    "judge_and_settle": mail_work.judge_and_settle,
    "look": mail_work.look,
    "export_rows": export_work.export_rows,
    "bare_copy": export_work.bare_copy,
    "bare_parquet": export_work.bare_parquet,
}


def _connected() -> tuple[Any, Any]:
    from marketing_pipelines.settings import get_settings
    from marketing_pipelines.stores.postgres import create_engine, database_url

    settings = get_settings()
    engine = create_engine(database_url(settings))
    with engine.connect() as connection:
        connection.exec_driver_sql("select 1")
    return settings, engine


def _uri(engine: Any) -> str:
    from marketing_pipelines.stores.postgres import libpq_uri

    return libpq_uri(engine.url)


@contextlib.contextmanager
def _instance(storage: str) -> Iterator[Any]:
    import dagster as dg

    from marketing_pipelines.cli.session import dagster_instance

    opened = dagster_instance() if storage == "stored" else dg.DagsterInstance.ephemeral()
    with opened as instance:
        yield instance


def _import_what_runs_import() -> None:
    """The product imports these inside functions; here they count as idle, not as the work's."""
    import adbc_driver_postgresql.dbapi  # noqa: F401
    import duckdb
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    import marketing_pipelines.definitions  # noqa: F401

    duckdb.connect().close()


@contextlib.contextmanager
def _memory() -> Iterator[dict[str, float]]:
    """Fills in `idle_mb` and `peak_mb` of this process."""
    process = psutil.Process()
    memory = {"idle_mb": process.memory_info().rss / MEGABYTE, "peak_mb": 0.0}
    stop = threading.Event()
    peak = 0

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        stop.set()
        watcher.join()
        memory["peak_mb"] = max(peak / MEGABYTE, memory["idle_mb"])


def hour_key(hour: dt.datetime) -> str:
    """The partition key of a UTC hour."""
    return f"{hour:%Y-%m-%d-%H}:00"


if __name__ == "__main__":
    main(*sys.argv[1:])
