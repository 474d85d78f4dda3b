"""`/v1/actions`: asked for once, seen and changed by its organization alone."""

from typing import Any

import pytest

from marketing_pipelines.api import tokens
from marketing_pipelines_tests.api.applications import Application
from marketing_pipelines_tests.installation import Installation

ACTIONS = "/v1/actions"
AT = "2026-03-02T10:00:00Z"


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    return Application(shared_installation)


def ask(app: Application, **body: Any) -> Any:
    given = {"organization": app.name, "type": "crm:remind", "run_at": AT} | body
    return app.client.post(ACTIONS, json=given, headers=app.bearer)


def change(app: Application, number: int, what: str) -> Any:
    return app.client.post(f"{ACTIONS}/{number}/{what}", headers=app.bearer)


def test_an_action_is_asked_for_once_seen_and_cancelled(app: Application) -> None:
    first = ask(app, payload={"user": "ann"}, dedupe_key="k")
    number = first.json()["id"]
    assert (first.status_code, first.json()) == (202, {"id": number, "next_at": AT})
    again = ask(app, run_at="2026-03-02T10:59:59Z", dedupe_key="k", dedupe_window="1h")
    assert (again.status_code, again.json()["id"]) == (200, number)
    shown = app.get(f"{ACTIONS}/{number}").json()
    assert (shown["organization"], shown["payload"]) == (app.name, {"user": "ann"})
    assert (shown["state"], shown["runs"]) == ("active", [])
    gone = app.client.delete(f"{ACTIONS}/{number}", headers=app.bearer)
    assert (gone.status_code, gone.json()["state"]) == (200, "cancelled")
    assert app.client.delete(f"{ACTIONS}/{number}", headers=app.bearer).status_code == 200
    refused = change(app, number, "resume")
    assert (refused.status_code, refused.json()) == (
        409,
        {"error": f"Action {number} is cancelled and cannot be resumed."},
    )


def test_a_repeated_action_is_paused_resumed_and_run(app: Application) -> None:
    number = ask(app, run_at=None, every="daily", zone="Asia/Tokyo").json()["id"]
    assert change(app, number, "pause").json()["state"] == "paused"
    assert change(app, number, "run").status_code == 409
    assert change(app, number, "resume").json()["next_at"] == "2026-03-02T15:00:00Z"
    assert change(app, number, "run").json()["next_at"] == "2026-03-02T09:00:00Z"
    assert change(app, number, "explode").status_code == 422


def test_the_actions_of_another_organization_are_not_there(app: Application) -> None:
    number = ask(app).json()["id"]
    other = Application(app.installation)
    for answer in (
        other.get(f"{ACTIONS}/{number}"),
        other.client.delete(f"{ACTIONS}/{number}", headers=other.bearer),
        change(other, number, "run"),
        ask(other, organization=app.name),
    ):
        assert answer.status_code == 404
    assert app.get(f"{ACTIONS}/{number}").json()["state"] == "active"
    with app.installation.engine.begin() as connection:
        reader = tokens.create(connection, "reader", ["read"])
    header = {"Authorization": f"Bearer {reader}"}
    assert app.client.get(f"{ACTIONS}/{number}", headers=header).status_code == 403


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"run_at": "2026-03-01T08:59:59Z"}, "run_at: lies more than 24 hours in the past: give"),
        ({"run_at": "2026-03-02T10:00:00"}, "run_at: write an instant with its zone"),
        ({"run_at": None, "every": "0 0 30 2 *"}, "every: '0 0 30 2 *' never comes."),
        ({"dedupe_window": "soon"}, "dedupe_window: 'soon' is no length"),
        ({"type": "a b"}, "type: 'a b' is no type"),
        ({"payload": [1]}, "payload: Input should be a valid dictionary"),
        ({"catch_up": "all"}, "catch_up: "),
        ({"endpoint": "x"}, "endpoint: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_body_is_422_with_its_field(
    app: Application, body: dict[str, Any], problem: str
) -> None:
    answer = ask(app, **body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(problem)
