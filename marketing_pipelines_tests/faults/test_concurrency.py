"""Several processes at once: no error, no partial day, nothing done twice at the same time."""

import contextlib
import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.faults.child import result_of, started
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, count, event, stored
from marketing_pipelines_tests.scale import SOAK, soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault

EXPORT = "analytics/contact_activity"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SINGLES = 4 if SOAK else 1
# The whole hours of some days: a day needs all of its own.
HOURS_OF_A_RANGE, EVENTS = (146 * 24, 2_000) if SOAK else (24, 24)


@pytest.mark.parametrize(
    "exported_before", [True, pytest.param(False, marks=[pytest.mark.soak, soak_only])]
)
def test_two_runs_of_one_hour_in_two_processes_are_one_run_and_one_skip(
    installation: Installation, tmp_path: Path, exported_before: bool
) -> None:
    """The first is stopped inside its transaction by a lock on the table that it reads."""
    hour = "2026-03-01-10:00"
    rows = [event(1, "2026-03-01T10:00:00Z")]
    installation.load_events(tmp_path, rows)
    if exported_before:
        installation.run(EXPORT, hour)
        rows.append(event(2, "2026-03-01T10:59:00Z"))
        installation.load_events(tmp_path, rows)
    with installation.engine.connect() as blocker:
        blocker.execute(sa.text("lock analytics.contact_activity in access exclusive mode"))
        with started("run", EXPORT, hour) as first:
            until(lambda: waits_inside(installation), what="the first run to hold its lock")
            [(first_run,)] = installation.rows(
                "select run_id from ops.job_sessions where status = 'RUNNING'"
            )
            second = installation.run(EXPORT, hour, only=True)
            assert [(o.job, o.status, o.error) for o in second] == [
                (
                    EXPORT,
                    "SKIPPED_OVERLAP",
                    f"Run {first_run} holds the lock of {EXPORT} {hour} and does the work.",
                )
            ]
            blocker.rollback()
            assert {o["status"] for o in result_of(first)} == {"COMPLETED"}
    assert stored(installation, "hour") == count(rows, "hour")
    marks = "select 1 from analytics.stale_partitions where (asset, partition) = (:job, :hour)"
    assert installation.rows(marks, job=EXPORT, hour=hour) == []


def waits_inside(installation: Installation) -> bool:
    """True while the export, which holds its hour's lock by then, waits for the table."""
    return bool(
        installation.rows(
            "select 1 from pg_locks where relation = 'analytics.contact_activity'::regclass"
            " and not granted and database ="
            " (select oid from pg_database where datname = current_database())"
        )
    )


@pytest.mark.fault(41)
@pytest.mark.soak
def test_a_long_range_together_with_processes_that_do_hours_and_a_reader(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [
        event(
            number,
            (START + dt.timedelta(hours=number * 7 % HOURS_OF_A_RANGE, minutes=13)).isoformat(),
            contact_id=f"c{number % 11}",
            event_type=["sent", "opened"][number % 2],
        )
        for number in range(EVENTS)
    ]
    installation.load_events(tmp_path, rows)
    keys = [f"{START + dt.timedelta(hours=n):%Y-%m-%d-%H}:00" for n in range(HOURS_OF_A_RANGE)]
    flag = tmp_path / "finished"
    with contextlib.ExitStack() as processes:
        reader = processes.enter_context(started("read", str(flag)))
        whole = processes.enter_context(started("range", EXPORT, keys[0], keys[-1]))
        few = keys[len(keys) // 35 :: max(len(keys) // 25, 4)]
        singles = [
            processes.enter_context(started("run", EXPORT, *few[n::SINGLES]))
            for n in range(SINGLES)
        ]
        assert [o["error"] for o in result_of(whole) if o["error"]] == []
        outcomes = [o for single in singles for o in result_of(single)]
        assert [o["error"] for o in outcomes if o["status"] == "FAILED"] == []
        first, last = keys[0][:10], keys[-1][:10]
        for _ in range(2 if SOAK else 1):
            with started("range", "analytics/event_aggregates", first, last) as days:
                result_of(days)
        flag.touch()
        answers = result_of(reader)
    assert answers["looks"] > 2
    by_day = {(day, kind): events for (_, kind, day), (events, _) in count(rows, "day").items()}
    for name, counts in answers["seen"].items():
        relation, day, kind = name.split()
        if relation == "days":
            assert counts == [by_day[day, kind]], name
        else:
            assert max(counts) <= by_day[day, kind], name
    installation.run_marked()
    assert_counted(installation, rows)
    assert installation.rows("select * from analytics.stale_partitions") == []
    assert (
        installation.rows(
            "select job, partition, error from ops.job_sessions"
            " where status not in ('COMPLETED', 'SKIPPED_OVERLAP')"
        )
        == []
    )
