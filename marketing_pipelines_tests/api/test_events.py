"""`/v1/events`: rows of an events file, with the checks of a file."""

import json
from typing import Any

import pytest

from marketing_pipelines.api import tokens
from marketing_pipelines_tests.api.applications import EVENTS, Application
from marketing_pipelines_tests.installation import Installation


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    """An application of an organization of its own."""
    return Application(shared_installation)


def row(app: Application, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": f"{app.name}-{number}",
        "organization_id": app.name,
        "contact_id": "c1",
        "event_type": "opened",
        "occurred_at": "2026-03-01T10:00:00+01:00",
        **fields,
    }


def stored(app: Application) -> list[tuple[Any, ...]]:
    return app.rows(
        "select event_id, occurred_at::text, received_at::text, properties"
        " from analytics.contact_activity where organization_id = :own order by event_id"
    )


def test_good_events_are_kept_where_others_are_refused_and_each_id_counts_once(
    app: Application,
) -> None:
    events = [
        row(app, 1, properties={"plan": "gold"}, colour="red"),
        row(app, 2, occurred_at="2026-03-01T10:00:00"),
        row(app, 1),
        "no row",
        row(app, 3, contact_id=None),
        row(app, 4, event_type="a\0b"),
        row(app, 5, properties={"x": [1.5, None]}),
    ]
    answer = app.post(EVENTS, {"events": events})
    assert answer.status_code == 200
    assert answer.json() == {
        "loaded": 2,
        "repeated": 1,
        "rejected": [
            {
                "row": 2,
                "column": "occurred_at",
                "reason": "'2026-03-01T10:00:00' has no zone: write it like "
                "2024-01-31T13:00:00+01:00",
            },
            {"row": 4, "column": "", "reason": "is not a JSON object"},
            {"row": 5, "column": "contact_id", "reason": "is missing"},
            {"row": 6, "column": "event_type", "reason": "contains a NUL character"},
        ],
    }
    noon = "2026-03-02 09:00:00+00"
    assert stored(app) == [
        (f"{app.name}-1", "2026-03-01 09:00:00+00", noon, {"plan": "gold", "colour": "red"}),
        (f"{app.name}-5", "2026-03-01 09:00:00+00", noon, {"x": [1.5, None]}),
    ]
    again = app.post(EVENTS, {"events": events[:1]})
    assert again.json() == {"loaded": 0, "repeated": 1, "rejected": []}


def test_a_call_without_a_good_event_is_422_with_every_reason(app: Application) -> None:
    events = [row(app, 1, occurred_at="yesterday"), row(app, 2, event_id="")]
    answer = app.post(EVENTS, {"events": events})
    assert answer.status_code == 422
    body = answer.json()
    assert body["error"] == (
        "No event is good; row 1: occurred_at 'yesterday' is not an ISO 8601 instant such as "
        "2024-01-31T13:00:00Z."
    )
    assert [(one["row"], one["column"]) for one in body["rejected"]] == [
        (1, "occurred_at"),
        (2, "event_id"),
    ]
    assert stored(app) == []


def test_half_a_character_and_deep_nesting_refuse_their_row_alone(app: Application) -> None:
    events = [
        row(app, 1),
        row(app, 2, event_type="\ud800"),
        row(app, 3, properties={"a": "\ud800"}),
    ]
    headers = app.bearer | {"Content-Type": "application/json"}
    answer = app.client.post(EVENTS, content=json.dumps({"events": events}), headers=headers)
    assert answer.status_code == 200
    assert [(one["row"], one["reason"]) for one in answer.json()["rejected"]] == [
        (2, "the line is not valid UTF-8"),
        (3, "the line is not valid UTF-8"),
    ]
    text = json.dumps({"events": [row(app, 4), row(app, 5, properties={"a": 0})]})
    for depth, statuses in ((100, {200}), (900, {200}), (980, {200, 400}), (1_100, {400})):
        deep = "[" * depth + "]" * depth
        answer = app.client.post(EVENTS, content=text.replace("0}", deep + "}"), headers=headers)
        assert answer.status_code in statuses, depth


@pytest.mark.parametrize("name", ["\ud800", "a\0b", 17, True, ["a"], {"a": 1}])
def test_a_name_that_is_no_organization_is_refused_whatever_it_is(
    app: Application, shared_installation: Installation, name: Any
) -> None:
    with shared_installation.engine.begin() as connection:
        token = tokens.create(connection, "all", ["write"])
    content = json.dumps({"events": [row(app, 1, organization_id=name)]})
    statuses = []
    for bearer in (app.bearer, {"Authorization": f"Bearer {token}"}):
        headers = bearer | {"Content-Type": "application/json"}
        statuses.append(app.client.post(EVENTS, content=content, headers=headers).status_code)
    is_nested, is_name = isinstance(name, dict | list), isinstance(name, int)
    assert statuses == [422 if is_nested else 404, 200 if is_name else 422]


def test_five_thousand_events_are_one_call_and_one_more_is_refused(app: Application) -> None:
    events = [row(app, n, contact_id=f"c{n % 50}") for n in range(5_001)]
    refused = app.post(EVENTS, {"events": events})
    assert refused.status_code == 422
    assert refused.json()["error"].startswith("events: List should have at most 5000 items")
    assert stored(app) == []
    loaded = app.post(EVENTS, {"events": events[:5_000]})
    assert loaded.json() == {"loaded": 5_000, "repeated": 0, "rejected": []}
    assert app.post(EVENTS, {"events": []}).status_code == 422


def test_an_event_of_a_message_suppresses_as_one_of_a_file_does(app: Application) -> None:
    app.contact("c1", email="c1@example.org")
    app.post(EVENTS, {"events": [row(app, 1, event_type="unsubscribed")]})
    [one] = app.ask(to=[{"contact": "c1"}], kind="marketing").json()["messages"]
    assert (one["state"], one["reason"]) == ("suppressed", "unsubscribed")
