"""Fault 25: a rebuild that would remove most members waits for somebody to confirm it."""

from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.faults.crowd import HOUR, NOW, Crowd
from marketing_pipelines_tests.installation import Installation, instant

pytestmark = pytest.mark.fault

SIZE = 200
WAITS = (
    "Its rebuild would remove 120 of 200 members, so it waits: look at its rule, or confirm it"
    " with `marketing-pipelines segment confirm`"
)
EVENING = instant("2026-03-10T23:30Z")
NIGHT = instant("2026-03-11T00:30Z")


@pytest.fixture
def crowd(installation: Installation, tmp_path: Path) -> Crowd:
    grown = Crowd(installation, tmp_path)
    grown.grow(SIZE)
    return grown


def up_to(number: int) -> dict[str, Any]:
    return {"attribute": "n", "op": "<=", "value": number}


def numbers(first: int, last: int) -> set[int]:
    return set(range(first, last + 1))


def test_a_rebuild_that_removes_more_than_half_waits_until_it_is_confirmed(crowd: Crowd) -> None:
    crowd.rule("guarded", up_to(SIZE))
    crowd.rule("of the guarded", {"segment": "guarded"})
    crowd.evaluate()
    crowd.rule("guarded", up_to(80))
    for hour in range(1, 6):
        assert crowd.evaluate(NOW + hour * HOUR).status == "COMPLETED"
        assert crowd.numbers("guarded") == crowd.numbers("of the guarded") == numbers(1, SIZE)
    assert [kind for _, kind in crowd.alerts()] == ["first"]
    assert crowd.installation.rows("select error from ops.incidents") == [(WAITS,)]

    confirm = ("segment", "confirm", "guarded", "--organization", "acme")
    assert call_here(*confirm).stdout == (
        "Segment guarded will lose about 120 members at its next evaluation.\n"
    )
    crowd.evaluate_by_sensor(NOW + 6 * HOUR)
    assert crowd.numbers("guarded") == crowd.numbers("of the guarded") == numbers(1, 80)
    assert [kind for _, kind in crowd.alerts()] == ["first", "recovery"]
    again = call_here(*confirm)
    assert again.returncode == 1
    assert "No rebuild of segment 'guarded' waits for a confirmation." in again.stderr


def test_a_confirmation_is_of_one_rule_and_not_of_the_next(crowd: Crowd) -> None:
    crowd.rule("guarded", up_to(SIZE))
    crowd.evaluate()
    crowd.rule("guarded", up_to(80))
    crowd.evaluate(NOW + HOUR)
    confirm = ("segment", "confirm", "guarded", "--organization", "acme")
    assert call_here(*confirm).returncode == 0
    crowd.rule("guarded", up_to(10))
    crowd.evaluate(NOW + 2 * HOUR)
    assert crowd.numbers("guarded") == numbers(1, SIZE)
    crowd.rule("guarded", up_to(100))
    crowd.evaluate(NOW + 3 * HOUR)
    assert crowd.numbers("guarded") == numbers(1, 100)
    assert [kind for _, kind in crowd.alerts()] == ["first", "recovery"]


def test_a_broken_rule_that_becomes_one_that_waits_is_told_as_what_it_is(crowd: Crowd) -> None:
    crowd.rule("guarded", up_to(SIZE))
    crowd.rule("healthy", up_to(1))
    crowd.evaluate()
    crowd.rule("guarded", {"attribute": "m", "op": "exists"})
    for hour in range(1, 5):
        crowd.evaluate(NOW + hour * HOUR)
    assert [kind for _, kind in crowd.alerts()] == ["third"]
    crowd.rule("guarded", up_to(80))
    for hour in range(5, 9):
        crowd.evaluate(NOW + hour * HOUR)
    assert crowd.numbers("guarded") == numbers(1, SIZE)
    # It can be evaluated again, which ends the one matter; that it waits is another.
    assert sorted(kind for _, kind in crowd.alerts()) == ["first", "recovery", "third"]
    assert crowd.installation.rows(
        "select error from ops.incidents where recovered_at is null"
    ) == [(WAITS,)]
    crowd.rule("guarded", up_to(SIZE))
    crowd.evaluate(NOW + 9 * HOUR)
    assert (
        crowd.installation.rows("select error from ops.incidents where recovered_at is null") == []
    )
    assert [kind for _, kind in crowd.alerts()].count("recovery") == 2


@pytest.mark.parametrize(
    "rule",
    [
        {"event": "opened", "since": "today"},
        {"attribute": "born", "op": "anniversary"},
        {"all": [{"attribute": "born", "op": "anniversary", "value": "today"}, up_to(SIZE)]},
        {"event": "opened", "within": "1h"},
        {"event": "opened", "where": [{"property": "until", "op": "after", "value": "today"}]},
    ],
)
def test_everybody_may_leave_because_a_day_is_over(crowd: Crowd, rule: dict[str, Any]) -> None:
    """The last rule is evaluated for everybody then: it compares each event with the day."""
    crowd.installation.execute(
        'update crm.contacts set attributes = attributes || \'{"born": "1990-03-10"}\''
    )
    crowd.happens("opened", EVENING - HOUR / 4, properties='{"until": "2026-03-11"}')
    crowd.rule("guarded", rule)
    crowd.evaluate(EVENING)
    assert crowd.numbers("guarded") == numbers(1, SIZE)
    crowd.evaluate(NIGHT)
    assert crowd.numbers("guarded") == set()
    assert crowd.alerts() == []


def test_contacts_that_somebody_takes_out_are_no_accident(crowd: Crowd) -> None:
    crowd.rule("guarded", up_to(SIZE))
    crowd.evaluate()
    crowd.installation.execute(
        "insert into segments.manual_members (organization_id, segment_id, contact_id, action)"
        " select organization_id, segment.id, contact.id, 'remove'"
        " from segments.segments as segment join crm.contacts as contact using (organization_id)"
        " where cast(contact.attributes ->> 'n' as int) > 50"
    )
    crowd.rule("guarded", up_to(SIZE - 1))
    crowd.evaluate(NOW + HOUR)
    assert crowd.numbers("guarded") == numbers(1, 50)
    assert crowd.alerts() == []


def test_a_day_that_ends_for_everybody_while_very_many_contacts_are_touched(crowd: Crowd) -> None:
    """Whoever is touched is looked at, and the day is over for all of them."""
    crowd.happens("opened", EVENING - HOUR)
    crowd.rule("guarded", {"event": "opened", "since": "today"})
    crowd.evaluate(EVENING)
    assert crowd.numbers("guarded") == numbers(1, SIZE)
    crowd.installation.execute(
        "insert into segments.touched_contacts (organization_id) select id from crm.organizations"
    )
    crowd.evaluate(NIGHT)
    assert crowd.numbers("guarded") == set()
    assert crowd.alerts() == []
