"""Accepting actions: their checks, their due times, and doubles at the bounds of the window."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from marketing_pipelines.domains.actions import standing
from marketing_pipelines.domains.actions.scheduling import ActionKeyTakenError
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.actions.acting import HOUR, NOW, SECOND, Acting
from marketing_pipelines_tests.installation import Installation, instant

DAY = 24 * HOUR


@pytest.fixture
def acting(emptied: Installation) -> Acting:
    return Acting(emptied)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("apart", "is_double"), [(HOUR - SECOND, True), (HOUR, False), (dt.timedelta(), True)]
)
def test_an_action_of_the_key_within_the_window_is_the_same(
    acting: Acting, sign: int, apart: dt.timedelta, is_double: bool
) -> None:
    first, _ = acting.schedule(run_at=NOW, dedupe_key="k")
    second, is_new = acting.schedule(run_at=NOW + sign * apart, dedupe_key="k")
    assert (second.id == first.id, is_new) == (is_double, not is_double)


def test_a_window_of_its_own_and_the_payload_as_key(acting: Acting) -> None:
    window = 2 * HOUR
    first, _ = acting.schedule(run_at=NOW, payload={"a": 1, "b": [2]}, dedupe_window=window)
    same = {"b": [2], "a": 1}
    late = NOW + window - SECOND
    assert acting.schedule(run_at=late, payload=same, dedupe_window=window)[0].id == first.id
    assert acting.schedule(run_at=late, payload={"a": 2}, dedupe_window=window)[1]
    assert acting.schedule(run_at=NOW + window, payload=same, dedupe_window=window)[1]
    # Without key and window nothing is a double; another type and another organization are others.
    assert acting.schedule(run_at=NOW, payload=same)[1]
    assert acting.schedule("other:type", run_at=NOW, payload=same, dedupe_window=window)[1]


def test_a_cancelled_action_is_no_double_and_a_finished_one_is(acting: Acting) -> None:
    first, _ = acting.schedule(run_at=NOW, dedupe_key="k")
    with acting.installation.engine.begin() as connection:
        standing.cancel(connection, first.id, NOW)
    second, is_new = acting.schedule(run_at=NOW, dedupe_key="k")
    assert is_new
    acting.run()
    assert acting.rows("select id, state from actions.scheduled_actions order by id") == [
        (first.id, "cancelled"),
        (second.id, "finished"),
    ]
    assert acting.schedule(run_at=NOW + HOUR - SECOND, dedupe_key="k")[0].id == second.id


def test_two_callers_at_once_get_one_action(acting: Acting) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda n: acting.schedule(run_at=NOW + n * SECOND, dedupe_key="k"), range(8))
        )
    assert len({accepted.id for accepted, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1


def test_a_repeated_action_of_a_key_is_one_and_another_body_is_refused(acting: Acting) -> None:
    first, _ = acting.schedule(every="daily", dedupe_key="k")
    again, is_new = acting.schedule(every="daily", dedupe_key="k", now=NOW + 3 * DAY)
    assert (again.id, is_new) == (first.id, False)
    for other in ({"every": "hourly"}, {"every": "daily", "zone": "UTC"}, {"run_at": NOW}):
        with pytest.raises(ActionKeyTakenError, match=f"repeated action {first.id} has this key"):
            acting.schedule(dedupe_key="k", **other)


@pytest.mark.parametrize(
    ("order", "next_at"),
    [
        ({"every": "hourly"}, "2026-03-20T12:00Z"),
        ({"every": "daily"}, "2026-03-20T23:00Z"),
        ({"every": "daily", "zone": "UTC"}, "2026-03-21T00:00Z"),
        ({"every": "weekly"}, "2026-03-22T23:00Z"),
        ({"every": "30 9 * * 1-5"}, "2026-03-23T08:30Z"),
        ({"run_at": NOW - DAY}, "2026-03-19T12:00Z"),
    ],
)
def test_the_first_due_time(acting: Acting, order: dict[str, Any], next_at: str) -> None:
    assert acting.schedule(**order)[0].next_at == instant(next_at)


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ({}, "run_at: an action has either run_at or every."),
        ({"run_at": NOW, "every": "daily"}, "run_at: an action has either run_at or every."),
        (
            {"run_at": NOW - DAY - SECOND},
            "run_at: lies more than 24 hours in the past: give an instant from "
            "2026-03-19T12:00:01Z on.",
        ),
        ({"run_at": NOW + 5_000 * DAY}, "run_at: lies more than ten years ahead."),
        ({"run_at": NOW, "until": NOW}, "until: goes with every alone: leave it out."),
        ({"run_at": NOW, "zone": "UTC"}, "zone: goes with every alone: leave it out."),
        ({"every": "yearly"}, "every: 'yearly' is none of hourly, daily, weekly and no cron"),
        ({"every": "0 0 30 2 *"}, "every: '0 0 30 2 *' never comes."),
        ({"every": "R(1-5) 0 * * *"}, "every: 'R(1-5) 0 * * *' is none of hourly"),
        ({"every": "daily", "zone": "Berlin"}, "zone: 'Berlin' is no IANA time zone."),
        ({"every": "daily", "until": NOW + HOUR}, "until: the first due time is not before it."),
        ({"run_at": NOW, "dedupe_key": ""}, "dedupe_key: has 1 to 200 characters."),
        ({"run_at": NOW, "dedupe_window": dt.timedelta()}, "dedupe_window: is more than 0"),
        ({"run_at": NOW, "payload": {"a": "x" * 100_000}}, "payload: is longer than 100,000"),
    ],
)
def test_an_action_that_cannot_be_is_refused(
    acting: Acting, order: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        acting.schedule(**order)
    assert str(refused.value).startswith(problem)
    assert acting.rows("select 1 from actions.scheduled_actions") == []


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ({"title": "Call"}, "payload.user: Field required (route r)."),
        ({"user": 7, "title": "Call"}, "payload.user: Input should be a valid string (route r)."),
        (
            {"user": "ann", "title": "Call", "organization_id": 2},
            "payload.organization_id: Extra inputs are not permitted (route r).",
        ),
    ],
)
def test_the_payload_is_checked_by_the_model_of_the_task(
    acting: Acting, payload: dict[str, Any], problem: str
) -> None:
    acting.route("crm:*", "task", "actions/notify_user")
    with pytest.raises(BadInputError) as refused:
        acting.schedule(run_at=NOW, payload=payload)
    assert str(refused.value) == problem
    assert acting.schedule("crmx", run_at=NOW, payload=payload)[1]


def test_a_type_is_a_short_name(acting: Acting) -> None:
    with pytest.raises(BadInputError, match="type: 'a b' is no type"):
        acting.schedule("a b", run_at=NOW)
    with pytest.raises(BadInputError, match="type: is longer than 100 characters"):
        acting.schedule("a" * 101, run_at=NOW)
