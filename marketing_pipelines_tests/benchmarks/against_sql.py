"""A job on one tick, compared with the same rule as one bare SQL statement that is taken back."""

import datetime as dt
import time
from collections.abc import Mapping
from typing import Any

import psycopg

from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Site

MOST_RATIO, MOST_SECONDS, MOST_MEGABYTES = 3, 60, 512


def compare(
    site: Site,
    report: Report,
    job: str,
    bare: str,
    at: dt.datetime,
    name: str,
    *,
    partition: str | None = None,
    is_bounded: bool = True,
    **values: Any,
) -> None:
    """Runs the statement, takes it back, runs the job, and adds their seconds and the memory.

    Args:
        bare: A statement with `%(at)s`, the tick, and the further values.
        is_bounded: False: the ratio stands in the note alone.
    """
    rows, bare_seconds = _bare(site, bare, {"at": at, **values})
    site.settle()
    run: dict[str, Any] = site.child(
        "run_at", job, at.isoformat(), *([partition] if partition else [])
    )
    [session] = run["sessions"]
    assert session["status"] == "COMPLETED", run
    memory, ratio = run["peak_mb"] - run["idle_mb"], session["seconds"] / bare_seconds
    note = (
        f"{session['rows']:,} rows; bare SQL {bare_seconds:.2f} s, {rows:,} rows;"
        f" {ratio:.2f} times; {memory:.0f} MB above idle"
    )
    name = f"{job}, {name}"
    report.add(Measured(name, [session["seconds"]], "s", MOST_SECONDS, note=note))
    if is_bounded:
        report.add(Measured(f"{name}: of bare SQL", [ratio], "times", MOST_RATIO))
        report.add(Measured(f"{name}: memory", [memory], "MB", MOST_MEGABYTES))


def _bare(site: Site, statement: str, values: Mapping[str, Any]) -> tuple[int, float]:
    with psycopg.connect(site.url, options="-c timezone=UTC") as connection:
        started = time.monotonic()
        rows = connection.execute(statement, values).rowcount
        seconds = time.monotonic() - started
        connection.rollback()
    return rows, seconds
