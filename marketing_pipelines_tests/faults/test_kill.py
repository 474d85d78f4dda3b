"""A run whose process is killed half-way: the next run gives what an undisturbed one gives."""

import datetime as dt
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from marketing_pipelines.runs import sessions
from marketing_pipelines_tests.cli.console import call, start
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, count, event, stored
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault

# In full months with the days and hours they read; in short some days of hours.
JOB, FIRST, LAST = (
    ("analytics/monthly_usage", "2026-01-01", "2026-02-01")
    if SOAK
    else ("analytics/contact_activity", "2026-01-18-00:00", "2026-01-23-23:00")
)
RANGE = ("run", JOB, "--from", FIRST, "--to", LAST)
START = dt.datetime(2026, 1, 18, tzinfo=dt.UTC)
ROWS = [
    event(
        number,
        (START + dt.timedelta(minutes=31 * number)).isoformat(),
        contact_id=f"c{number % 17}",
        event_type=["sent", "opened", "clicked"][number % 3],
    )
    for number in range(1_000 if SOAK else 270)
]
HOURS = {row["occurred_at"][:13] for row in ROWS}


def finished(job: str) -> Callable[[Installation], bool]:
    """True if a partition of the asset is done."""
    return lambda installation: bool(
        installation.rows(
            "select 1 from analytics.finished_partitions where asset = :job limit 1", job=job
        )
    )


def writing(installation: Installation) -> bool:
    """True while a lake file is being written."""
    lake = Path(installation.settings.effective_lake_url)
    return any(lake.rglob(".writing-*"))


@pytest.mark.parametrize(
    ("reached", "job"),
    [
        pytest.param(writing, "analytics/contact_activity", id="while_a_file_is_written"),
        pytest.param(
            finished("analytics/contact_activity"),
            "analytics/contact_activity",
            id="after_the_first_hours",
            marks=[pytest.mark.soak, soak_only],
        ),
        pytest.param(
            finished("analytics/hourly_events"),
            "analytics/hourly_events",
            id="while_hours_are_counted",
            marks=[pytest.mark.soak, soak_only],
        ),
    ],
)
def test_a_killed_run_is_abandoned_and_the_next_one_completes_it(
    installation: Installation,
    tmp_path: Path,
    reached: Callable[[Installation], bool],
    job: str,
) -> None:
    installation.load_events(tmp_path, ROWS)
    with start(*RANGE) as process:
        until(lambda: reached(installation), what="the run to get there")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    if SOAK:
        assert not finished(JOB)(installation)
    assert len(lake_files(installation)) < len(HOURS)
    [(number, working)] = installation.rows(
        "select id, job from ops.job_sessions where status = 'RUNNING'"
    )
    assert working >= job
    until(lambda: locks_held(installation) == 0, what="the server to free the locks")
    with installation.engine.begin() as connection:
        assert sessions.close_abandoned(connection) == [number]
    assert installation.rows(
        "select status, error from ops.job_sessions where id = :number", number=number
    ) == [("ABANDONED", "The process ended without closing its session.")]

    done = call(*RANGE)
    assert (done.returncode, done.stderr) == (0, "")
    assert stored(installation, "hour") == count(ROWS, "hour")
    if SOAK:
        assert_counted(installation, ROWS)
    assert not writing(installation)
    assert len(lake_files(installation)) == len(HOURS)
    assert installation.rows("select count(*) from analytics.lake_hours where rows > 0") == [
        (len(HOURS),)
    ]


def lake_files(installation: Installation) -> list[Path]:
    return list(Path(installation.settings.effective_lake_url).rglob("*.parquet"))


def locks_held(installation: Installation) -> int:
    """Advisory locks in this database."""
    [(number,)] = installation.rows(
        "select count(*) from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    return int(number)
