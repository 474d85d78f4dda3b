"""Executions that nothing moves are canceled after a week, and no others."""

import datetime as dt
import json
from typing import Any

import pytest

from marketing_pipelines.domains.journeys import stale
from marketing_pipelines_tests.installation import instant
from marketing_pipelines_tests.journeys.passes import failures
from marketing_pipelines_tests.programs import STARTED, Programs

NOW = instant("2026-03-20T03:00Z")
SECOND = dt.timedelta(seconds=1)
WEEK = dt.timedelta(days=7)


def run(
    programs: Programs, at: dt.datetime = NOW, *, passed: dt.timedelta | None = dt.timedelta()
) -> int:
    """The job, after a pass so long before; None: there was none."""
    if passed is not None:
        programs.installation.execute(
            "insert into ops.job_sessions (job, trigger, tick, status)"
            " values ('journeys/step_progress', 'schedule', :tick, 'COMPLETED')",
            tick=at - passed,
        )
    [outcome] = programs.installation.run("journeys/stale_executions", at=at)
    return int(outcome.rows)


def due_since(programs: Programs, age: dt.timedelta, journey: int, **columns: Any) -> int:
    """An execution that has been due so long; a negative age is a wait."""
    name = f"contact {len(programs.entered('journey', journey))}"
    return programs.enrol("journey", journey, name, next_step_at=NOW - age, **columns)


def state(programs: Programs, enrolment: int) -> tuple[Any, ...]:
    [row] = programs.installation.rows(
        "select status, exited_at, reason from lifecycle.enrolments where id = :id", id=enrolment
    )
    return row


ACTIVE = ("active", None, None)
CANCELED = ("canceled", NOW, "Nothing moved it for more than 7 days.")


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (WEEK - SECOND, ACTIVE),
        (WEEK, ACTIVE),
        (WEEK + SECOND, CANCELED),
        (dt.timedelta(), ACTIVE),
        (dt.timedelta(days=-30), ACTIVE),
    ],
    ids=["7 days - 1 s", "7 days", "7 days + 1 s", "just due", "a wait of 30 days"],
)
def test_an_execution_is_canceled_when_it_was_due_for_more_than_seven_days(
    programs: Programs, age: dt.timedelta, expected: tuple[Any, ...]
) -> None:
    journey = programs.program("journey", "welcome")
    enrolment = due_since(programs, age, journey)
    assert run(programs) == (expected == CANCELED)
    assert state(programs, enrolment) == expected


@pytest.mark.parametrize(
    ("passed", "canceled"),
    [
        (dt.timedelta(), 1),
        (WEEK + SECOND, 1),
        (WEEK + 2 * SECOND, 0),
        (2 * WEEK, 0),
        (None, 0),
    ],
    ids=["just now", "when it was due", "before it was due", "weeks ago", "never"],
)
def test_what_became_due_while_nothing_ran_is_left_to_the_next_pass(
    programs: Programs, passed: dt.timedelta | None, canceled: int
) -> None:
    journey = programs.program("journey", "welcome")
    due_since(programs, WEEK + SECOND, journey)
    assert run(programs, passed=passed) == canceled


def test_its_log_has_a_warning_where_it_stood(programs: Programs) -> None:
    journey = programs.program("journey", "welcome")
    step = programs.step("journey", journey, "greet", "send_email")
    standing = due_since(programs, WEEK + SECOND, journey, step_id=step, awaits="opened")
    before = due_since(programs, WEEK + SECOND, journey)
    assert run(programs) == 2
    assert programs.installation.rows(
        "select execution_id, step_id, step, level, outcome, message, created_at"
        " from journey.execution_logs order by step_id desc"
    ) == [
        (standing, step, "greet", "warning", "canceled", CANCELED[2], NOW),
        (before, 0, None, "warning", "canceled", CANCELED[2], NOW),
    ]
    assert programs.installation.rows(
        "select distinct status, next_step_at from journey.journey_executions"
    ) == [("canceled", None)]
    assert programs.installation.rows(
        "select entered, active, exited from lifecycle.program_counts"
    ) == [(2, 0, 2)]


def test_a_second_run_changes_nothing(programs: Programs) -> None:
    journey = programs.program("journey", "welcome")
    due_since(programs, WEEK + SECOND, journey)
    assert [run(programs), run(programs), run(programs, NOW + WEEK)] == [1, 0, 0]
    assert programs.installation.rows("select at from lifecycle.step_results") == [(NOW,)]


@pytest.mark.parametrize("status", ["paused", "draft", "cancelled"])
def test_what_stands_in_a_journey_that_is_not_active_stays(programs: Programs, status: str) -> None:
    journey = programs.program("journey", "welcome", status=status)
    due_since(programs, 3 * WEEK, journey)
    assert run(programs) == 0


@pytest.mark.parametrize(("age", "canceled"), [(WEEK - SECOND, 0), (WEEK, 0), (WEEK + SECOND, 1)])
def test_a_journey_that_was_resumed_has_its_seven_days_from_then_on(
    programs: Programs, age: dt.timedelta, canceled: int
) -> None:
    journey = programs.program("journey", "welcome", resumed_at=NOW - age)
    due_since(programs, 3 * WEEK, journey)
    assert run(programs) == canceled


def test_only_active_executions_of_journeys_are_canceled(programs: Programs) -> None:
    journey = programs.program("journey", "welcome")
    done = due_since(programs, 2 * WEEK, journey)
    programs.finish(done, "completed", STARTED)
    for kind in ("campaign", "sequence"):
        program = programs.program(kind, "spring")
        programs.enrol(kind, program, "ann", next_step_at=STARTED)
    assert run(programs) == 0


def test_each_organization_has_its_own_setting_and_one_that_is_broken_stops_no_other(
    programs: Programs,
) -> None:
    ages = {"patient": 30, "hasty": 1, "broken": "soon"}
    numbers = {}
    for name, days in ages.items():
        settings = json.dumps({"journeys": {"stale_after_days": days}})
        programs.organization = programs.new_organization(name, settings=settings)
        journey = programs.program("journey", "welcome")
        numbers[name] = due_since(programs, 2 * WEEK, journey)
    assert run(programs) == 1
    states = {name: state(programs, number) for name, number in numbers.items()}
    assert states["patient"] == states["broken"] == ACTIVE
    assert states["hasty"] == ("canceled", NOW, "Nothing moved it for more than 1 day.")
    [(item, consecutive, error)] = failures(programs)
    assert (item, consecutive) == ("organization broken", 1)
    assert "journeys.stale_after_days" in error


def test_many_are_canceled_in_batches_and_those_that_others_hold_stay(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale, "BATCH", 3)
    journey = programs.program("journey", "welcome")
    held, *_ = [due_since(programs, WEEK + SECOND, journey) for _ in range(10)]
    with programs.installation.engine.begin() as other:
        other.exec_driver_sql(f"select from lifecycle.enrolments where id = {held} for update")
        assert run(programs) == 9
    assert run(programs) == 1
