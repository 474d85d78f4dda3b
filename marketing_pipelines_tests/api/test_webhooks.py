"""`/v1/webhooks/endpoints`: added, looked at and mended by the admins of its organization alone."""

import pytest

from marketing_pipelines.api import tokens
from marketing_pipelines_tests.api.applications import Application
from marketing_pipelines_tests.installation import Installation

ENDPOINTS = "/v1/webhooks/endpoints"
URL = "https://example.org/hooks"


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    """An application of an organization of its own, which is an admin."""
    made = Application(shared_installation)
    with shared_installation.engine.begin() as connection:
        token = tokens.create(connection, f"admin of {made.name}", ["admin"], made.organization)
    made.bearer = {"Authorization": f"Bearer {token}"}
    return made


def test_an_endpoint_is_added_listed_rotated_disabled_enabled_and_replayed(
    app: Application,
) -> None:
    added = app.post(ENDPOINTS, {"url": URL, "event_types": ["deal.*", "deel.won"]})
    assert added.status_code == 201
    number = added.json()["id"]
    assert added.json()["secret"].startswith("whsec_")
    [note] = added.json()["notes"]
    assert note.startswith("'deel.won' fits no type of events that is known now; these are ")
    [listed] = app.get(ENDPOINTS).json()
    assert (listed["id"], listed["organization"]) == (number, app.name)
    assert (listed["url"], listed["event_types"]) == (URL, ["deal.*", "deel.won"])
    assert "secret" not in listed
    assert app.get(f"{ENDPOINTS}/{number}").json() == listed
    rotated = app.post(f"{ENDPOINTS}/{number}/rotate", {}).json()
    assert rotated["secret"] != added.json()["secret"]
    disabled = app.post(f"{ENDPOINTS}/{number}/disable", {})
    assert (disabled.status_code, disabled.json()["state"]) == (200, "disabled")
    since = {"since": "2026-03-01T00:00:00Z"}
    refused = app.post(f"{ENDPOINTS}/{number}/replay", since)
    assert refused.status_code == 409
    assert app.post(f"{ENDPOINTS}/{number}/enable", {}).json()["state"] == "active"
    replayed = app.post(f"{ENDPOINTS}/{number}/replay", since)
    assert (replayed.status_code, replayed.json()) == (200, {"missing": 0, "again": 0})
    assert app.get(f"{ENDPOINTS}/{number}/deliveries?state=failed&limit=5").json() == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"url": "http://example.org/"}, "The URL does not begin with https://"),
        ({"url": "https://127.0.0.1/"}, "is not an address of the public internet"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "is not an address of the public internet"),
        ({"url": URL, "event_types": ["deal won"]}, "is no pattern of types"),
    ],
)
def test_an_endpoint_that_may_not_be_gets_one_sentence(
    app: Application, body: dict[str, object], problem: str
) -> None:
    refused = app.post(ENDPOINTS, body)
    assert refused.status_code in (400, 422)
    assert problem in refused.json()["error"]
    assert app.get(ENDPOINTS).json() == []


def test_a_token_of_one_organization_sees_neither_other_endpoints_nor_the_operators(
    app: Application, shared_installation: Installation
) -> None:
    with shared_installation.engine.begin() as connection:
        operator = {"Authorization": f"Bearer {tokens.create(connection, 'op', ['admin'])}"}
        writer = {
            "Authorization": f"Bearer {tokens.create(connection, 'w', ['write'], app.organization)}"
        }
    own = app.client.post(ENDPOINTS, json={"url": URL}, headers=operator).json()["id"]
    theirs = app.post(ENDPOINTS, {"url": URL}).json()["id"]
    assert [one["id"] for one in app.get(ENDPOINTS).json()] == [theirs]
    assert app.get(f"{ENDPOINTS}/{own}").status_code == 404
    seen = app.client.get(ENDPOINTS, headers=operator).json()
    assert {own: None, theirs: app.name}.items() <= {
        one["id"]: one["organization"] for one in seen
    }.items()
    assert app.client.get(ENDPOINTS, headers=writer).status_code == 403
