"""A failure that is not tried again opens an incident; three alerts at most tell of it."""

import datetime as dt
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.runs import incidents, sessions
from marketing_pipelines.runs.tags import TICK_TAG
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.probe import KEY, run_probe
from marketing_pipelines_tests.runs.test_items import run_items
from marketing_pipelines_tests.waiting import until

FIRST_TICK = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def fails(_tick: Tick) -> None:
    raise BadInputError("The file is broken: mend it.")


def succeeds(tick: Tick) -> None:
    with tick.begin():
        pass


def alerts(engine: sa.Engine) -> list[tuple[Any, ...]]:
    """The alerts that are due, in their order."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select subject, item, kind from ops.alerts"
                " join ops.incidents on incidents.id = incident_id order by alerts.id"
            )
        )
        return [tuple(row) for row in rows]


def open_incidents(engine: sa.Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select subject, item, failures, error from ops.incidents"
                " where recovered_at is null order by id"
            )
        )
        return [tuple(row) for row in rows]


def abandon(engine: sa.Engine, *jobs: str) -> None:
    """Sessions whose process dies, closed by somebody else."""
    with create_engine(engine.url).connect() as connection:
        for job in jobs:
            sessions.open_session(
                connection, job=job, trigger="manual", tick=FIRST_TICK, partition=None, run_id="r"
            )
        connection.commit()
    with engine.begin() as other:
        assert until(lambda: sessions.close_abandoned(other))


def test_ten_failures_and_a_success_are_three_alerts(engine: sa.Engine) -> None:
    for _ in range(10):
        assert not run_probe(engine, fails).success
    assert open_incidents(engine) == [(KEY, "", 10, "The file is broken: mend it.")]
    assert run_probe(engine, succeeds).success
    assert open_incidents(engine) == []
    assert run_probe(engine, succeeds).success
    assert alerts(engine) == [(KEY, "", "first"), (KEY, "", "third"), (KEY, "", "recovery")]


def test_a_failure_after_a_recovery_is_a_new_incident(engine: sa.Engine) -> None:
    for body in (fails, succeeds, fails):
        run_probe(engine, body)
    assert alerts(engine) == [(KEY, "", "first"), (KEY, "", "recovery"), (KEY, "", "first")]


def test_a_failure_that_is_tried_again_is_none(engine: sa.Engine) -> None:
    errors = [ValueError("once")]

    def body(tick: Tick) -> None:
        if errors:
            raise errors.pop()
        succeeds(tick)

    assert run_probe(engine, body).success
    assert alerts(engine) == []


def test_the_last_of_the_retries_counts_once(engine: sa.Engine) -> None:
    def body(_tick: Tick) -> None:
        raise ValueError("always")

    assert not run_probe(engine, body).success
    assert open_incidents(engine) == [(KEY, "", 1, "ValueError: always")]


def test_abandoned_sessions_count_however_they_are_found(engine: sa.Engine) -> None:
    run_probe(engine, fails)
    abandon(engine, KEY, "other/job", KEY)
    gone = "The process ended without closing its session."
    assert open_incidents(engine) == [(KEY, "", 3, gone), ("other/job", "", 1, gone)]
    assert sorted(alerts(engine)) == [
        ("other/job", "", "first"),
        (KEY, "", "first"),
        (KEY, "", "third"),
    ]


def test_a_session_and_its_incident_are_written_together_or_not_at_all(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        number = sessions.open_session(
            connection, job=KEY, trigger="manual", tick=FIRST_TICK, partition=None, run_id="r"
        )
        connection.commit()
        sessions.close_session(connection, number, status="FAILED", error="gone")
        connection.rollback()
        assert alerts(engine) == []
        sessions.close_session(connection, number, status="FAILED", error="gone")
        connection.commit()
    assert alerts(engine) == [(KEY, "", "first")]


@pytest.mark.parametrize("status", ["CANCELED", "SKIPPED_OVERLAP"])
def test_what_was_stopped_by_hand_or_skipped_is_no_failure(engine: sa.Engine, status: str) -> None:
    with engine.begin() as connection:
        number = sessions.open_session(
            connection, job=KEY, trigger="manual", tick=FIRST_TICK, partition=None, run_id="r"
        )
        sessions.close_session(connection, number, status=status)
    assert alerts(engine) == []


def test_the_third_failure_in_a_row_of_an_item_alerts_once_and_so_does_its_recovery(
    engine: sa.Engine,
) -> None:
    ticks = [(FIRST_TICK + dt.timedelta(minutes=5 * n)).isoformat() for n in range(6)]
    for tick in ticks[:2]:
        run_items(engine, "abc", {"b"}, tick=tick)
    assert alerts(engine) == []
    for tick in [ticks[2], ticks[2], ticks[3], ticks[4]]:
        run_items(engine, "abc", {"b"}, tick=tick)
    assert alerts(engine) == [(KEY, "b", "third")]
    [(_, _, failures, error)] = open_incidents(engine)
    assert (failures, "division by zero" in error) == (5, True)
    with engine.connect() as connection:
        opened = connection.exec_driver_sql("select opened_at from ops.incidents").scalar_one()
    assert opened == FIRST_TICK
    run_items(engine, "abc", set(), tick=ticks[5])
    assert alerts(engine) == [(KEY, "b", "third"), (KEY, "b", "recovery")]


def test_what_lasts_is_told_once_and_its_end_once(engine: sa.Engine) -> None:
    for errors in ({"a/b": "late"}, {"a/b": "later", "c/d": "late"}, {"c/d": "late"}, {}, {}):
        with engine.begin() as connection:
            incidents.set_lasting(connection, "overdue", errors)
            incidents.set_lasting(connection, "file", {})
    assert alerts(engine) == [
        ("overdue a/b", "", "first"),
        ("overdue c/d", "", "first"),
        ("overdue a/b", "", "recovery"),
        ("overdue c/d", "", "recovery"),
    ]


def ends(engine: sa.Engine, partition: str, status: str) -> None:
    with engine.begin() as connection:
        number = sessions.open_session(
            connection,
            job="a/b",
            trigger="manual",
            tick=FIRST_TICK,
            partition=partition,
            run_id="r",
        )
        sessions.close_session(connection, number, status=status, error="gone")


def test_the_success_of_another_partition_ends_no_incident(engine: sa.Engine) -> None:
    ends(engine, "2026-03-01", "FAILED")
    ends(engine, "2026-03-02", "COMPLETED")
    assert alerts(engine) == [("a/b", "2026-03-01", "first")]
    ends(engine, "2026-03-03", "FAILED")
    ends(engine, "2026-03-01", "COMPLETED")
    assert open_incidents(engine) == [("a/b", "2026-03-03", 1, "gone")]
    ends(engine, "2026-03-01...2026-03-04", "COMPLETED")
    assert [kind for _, _, kind in alerts(engine)] == ["first", "first", "recovery", "recovery"]


def test_a_range_that_fails_at_other_ends_is_one_incident_until_nothing_in_it_is_marked(
    engine: sa.Engine,
) -> None:
    for last in ("02", "03", "04"):
        ends(engine, f"2026-03-01...2026-03-{last}", "FAILED")
    [(_, item, failures, _)] = open_incidents(engine)
    assert (item, failures) == ("2026-03-01...2026-03-02", 3)
    with engine.begin() as connection:
        stale_partitions.add(connection, "a/b", ["2026-03-02"])
    ends(engine, "2026-03-01", "COMPLETED")
    assert open_incidents(engine) != []
    with engine.begin() as connection:
        stale_partitions.remove(
            connection, stale_partitions.seen(connection, "a/b", ["2026-03-02"])
        )
    ends(engine, "2026-03-02", "COMPLETED")
    assert open_incidents(engine) == []


def test_an_incident_without_a_partition_ends_with_any_success(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        incidents.failed(connection, [incidents.SubjectFailure("a/b", "gone")])
    ends(engine, "2026-03-02", "COMPLETED")
    assert open_incidents(engine) == []


@given(st.lists(st.sampled_from(["fails", "works"]), max_size=12))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_course_of_a_job_is_told_by_the_rule(
    pooled_engine: sa.Engine, course: list[str]
) -> None:
    subject = uuid.uuid4().hex
    expected: list[str] = []
    row = 0
    for outcome in course:
        with pooled_engine.begin() as connection:
            if outcome == "fails":
                incidents.failed(connection, [incidents.SubjectFailure(subject, "gone")])
                row += 1
                expected += {1: ["first"], 3: ["third"]}.get(row, [])
            else:
                incidents.recovered(connection, subject)
                expected += ["recovery"] if row else []
                row = 0
    assert [kind for of, _, kind in alerts(pooled_engine) if of == subject] == expected


def test_totals_stay_when_sessions_are_purged(engine: sa.Engine) -> None:
    for body in (succeeds, fails, succeeds):
        run_probe(engine, body, tags={TICK_TAG: FIRST_TICK.isoformat()})
    errors = [ValueError("once")]

    def body(tick: Tick) -> None:
        if errors:
            raise errors.pop()
        succeeds(tick)

    run_probe(engine, body)
    abandon(engine, KEY)
    statement = sa.text(
        "select status, runs::int, buckets[13]::int, seconds > 0, last_started_at is not null"
        " from ops.job_totals order by 1"
    )
    expected = [
        ("ABANDONED", 1, 0, False, True),
        ("COMPLETED", 3, 3, True, True),
        ("FAILED", 1, 1, True, True),
        ("RETRIED", 1, 1, True, True),
    ]
    with engine.begin() as connection:
        assert [tuple(row) for row in connection.execute(statement)] == expected
        connection.exec_driver_sql("delete from ops.job_sessions")
        assert [tuple(row) for row in connection.execute(statement)] == expected
