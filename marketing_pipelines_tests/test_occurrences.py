"""The occurrence calendar: what became of every tick."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.clocks import clocks
from marketing_pipelines.occurrences import Record, Session, judge, occurrences
from marketing_pipelines_tests.installation import Installation

TICK = dt.datetime(2026, 3, 1, 10, 5, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
NEXT, LATER = TICK + HOUR, TICK + 3 * HOUR
NOW = TICK + 5 * HOUR
KEY = "2026-03-01-09:00"


def session(status: str, started: dt.datetime = TICK + MINUTE, error: str = "") -> Session:
    return Session(tick=started, status=status, started_at=started, error=error or None)


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (Record(), "missed"),
        (Record([session("RUNNING")]), "running"),
        (Record([session("COMPLETED")], {KEY: TICK + MINUTE}), "ran"),
        (Record([session("COMPLETED")], {KEY: LATER}), "ran"),
        (Record([session("FAILED"), session("COMPLETED")], {KEY: TICK + MINUTE}), "ran"),
        (Record([session("COMPLETED", LATER)], {KEY: LATER}), "caught up"),
        (Record([session("FAILED"), session("COMPLETED", LATER)], {KEY: LATER}), "caught up"),
        (Record([session("COMPLETED", TICK - HOUR)], {KEY: TICK - HOUR}), "missed"),
        (Record([session("FAILED")]), "failed"),
        (Record([session("TIMED_OUT")]), "failed"),
        (Record([session("ABANDONED")]), "failed"),
        (Record([session("SKIPPED_OVERLAP")]), "skipped"),
        (Record([session("SKIPPED_OVERLAP")], {KEY: TICK + MINUTE}), "caught up"),
    ],
)
def test_a_partitions_tick_is_judged_by_its_sessions_and_by_when_it_was_done(
    record: Record, status: str
) -> None:
    assert judge(record, TICK, NEXT, KEY, NOW)[0] == status


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (Record(), "missed"),
        (Record([session("COMPLETED")]), "ran"),
        (Record([session("COMPLETED", LATER)]), "caught up"),
        (Record([session("COMPLETED", TICK - MINUTE)]), "missed"),
        (Record([session("FAILED")]), "failed"),
    ],
)
def test_a_tick_without_a_partition_is_judged_by_its_sessions(record: Record, status: str) -> None:
    assert judge(record, TICK, NEXT, None, NOW)[0] == status


def test_a_tick_to_come_is_not_due() -> None:
    assert judge(Record(), TICK, NEXT, KEY, TICK - MINUTE) == ("not due", "")


def test_the_reason_of_a_failure_is_its_error() -> None:
    failed = Record([session("FAILED", error="No space left.")])
    assert judge(failed, TICK, NEXT, KEY, NOW) == ("failed", "No space left.")


def test_a_mark_that_waits_is_the_reason_of_a_missed_tick() -> None:
    waiting = judge(Record(marked=frozenset({KEY})), TICK, NEXT, KEY, NOW)
    assert waiting[0] == "missed"
    assert waiting[1].startswith("is marked")


def test_the_calendar_begins_with_the_installation_and_names_what_ran(
    installation: Installation,
) -> None:
    installation.execute("update ops.installation set started_at = '2026-03-01T08:30:00Z'")
    installation.run("analytics/contact_activity", "2026-03-01-09:00", only=True)
    installation.execute("update ops.job_sessions set started_at = '2026-03-01T10:01:00Z'")
    [hours] = [clock for clock in clocks() if clock.job == "analytics/contact_activity"]
    with installation.engine.begin() as connection:
        found = occurrences(
            connection,
            [hours],
            since=TICK - 30 * HOUR,
            until=NEXT + HOUR,
            now=NEXT,
            zone=ZoneInfo("UTC"),
        )
    assert [(o.tick.hour, o.partition, o.status) for o in found] == [
        (9, "2026-03-01-08:00", "missed"),
        (10, "2026-03-01-09:00", "ran"),
        (11, "2026-03-01-10:00", "missed"),
        (12, "2026-03-01-11:00", "not due"),
    ]
