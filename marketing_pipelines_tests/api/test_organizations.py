"""Tokens of one organization: nothing of another one can be reached with them."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response
from starlette.routing import Route

from marketing_pipelines.api import tokens
from marketing_pipelines.api.app import ROUTERS
from marketing_pipelines.api.rendering import SIGN_IN
from marketing_pipelines_tests.api.applications import EVENTS, MESSAGES, SUBSCRIPTIONS, Application
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation


def event(organization: str) -> dict[str, Any]:
    return {
        "event_id": f"e-{organization}",
        "organization_id": organization,
        "contact_id": "c1",
        "event_type": "opened",
        "occurred_at": "2026-03-01T10:00:00Z",
    }


def notification_of(application: Application) -> int:
    """An unread notification of the organization's user."""
    number: int = application.value(
        "insert into crm.notifications (organization_id, user_id, kind, title, text, job, subject,"
        " period, created_at) select organization_id, id, 'follow_up', 't', 't', 'test', 's',"
        " external_id, now() from crm.users where organization_id = :own"
        " on conflict (job, kind, subject, period, user_id) do update set text = 't' returning id",
        own=application.organization,
    )
    return number


def task_of(application: Application) -> int:
    """An open task of the organization."""
    number: int = application.value(
        "insert into crm.tasks (organization_id, title, job, subject, period, created_at)"
        " values (:own, 't', 'test', 's', '1', now())"
        " on conflict (organization_id, job, subject, period) do update set title = 't'"
        " returning id",
        own=application.organization,
    )
    return number


def action_of(application: Application) -> int:
    """A scheduled action of the organization."""
    body = {"organization": application.name, "type": "billing:check", "every": "daily"}
    number: int = application.post(ACTIONS, body | {"dedupe_key": "k"}).json()["id"]
    return number


def export_of(application: Application) -> int:
    """An export of the organization that is queued."""
    body = {"organization": application.name, **CONTACTS, "idempotency_key": "k"}
    number: int = application.post(EXPORTS, body).json()["id"]
    return number


def endpoint_of(application: Application) -> int:
    """A webhook endpoint of the organization."""
    number: int = application.value(
        "with made as (insert into webhooks.endpoints (organization_id, url, secret,"
        " created_at) select :own, 'https://example.org/', 's', '2026-03-01T00:00:00Z'"
        " where not exists (select from webhooks.endpoints where organization_id = :own)"
        " returning id) select id from made union all"
        " select id from webhooks.endpoints where organization_id = :own",
        own=application.organization,
    )
    return number


ACTIONS, EXPORTS = "/v1/actions", "/v1/exports"
ENDPOINTS = "/v1/webhooks/endpoints"
CONTACTS = {"kind": "contacts", "format": "csv"}
SUBSCRIBED = {"contact": "theirs", "category": "newsletter", "state": "subscribed"}
# For each address below /v1, calls with the names and ids of another organization.
Call = Callable[[Application, Application], Response]
FOREIGN: dict[tuple[str, str], list[Call]] = {
    ("POST", MESSAGES): [
        lambda app, other: app.ask("a@example.org", organization=other.name),
        lambda app, other: app.ask("a@example.org", organization=str(other.organization)),
        lambda app, _: app.ask(to=[{"contact": "theirs"}]),
    ],
    ("GET", f"{MESSAGES}/{{number}}"): [
        lambda app, other: app.get(
            f"{MESSAGES}/{other.ids(other.ask(to=[{'contact': 'theirs'}], idempotency_key='k'))[0]}"
        ),
    ],
    ("POST", SUBSCRIPTIONS): [
        lambda app, other: app.post(SUBSCRIPTIONS, SUBSCRIBED | {"organization": other.name}),
        lambda app, other: app.post(
            SUBSCRIPTIONS, SUBSCRIBED | {"organization": str(other.organization)}
        ),
        lambda app, _: app.post(SUBSCRIPTIONS, SUBSCRIBED | {"organization": app.name}),
    ],
    ("GET", "/v1/notifications"): [
        lambda app, other: app.get(f"/v1/notifications?organization={other.name}"),
        lambda app, other: app.get(f"/v1/notifications?organization={other.organization}"),
        lambda app, _: app.get(f"/v1/notifications?organization={app.name}&user=theirs"),
    ],
    ("POST", "/v1/notifications/{number}/read"): [
        lambda app, other: app.post(f"/v1/notifications/{notification_of(other)}/read", {}),
    ],
    ("POST", "/v1/tasks/{number}"): [
        lambda app, other: app.post(f"/v1/tasks/{task_of(other)}", {"state": "done"}),
    ],
    ("POST", EVENTS): [
        lambda app, other: app.post(EVENTS, {"events": [event(app.name), event(other.name)]}),
        lambda app, _: app.post(EVENTS, {"events": [event("an organization that is not there")]}),
    ],
    ("POST", ACTIONS): [
        lambda app, other: app.post(
            ACTIONS, {"organization": other.name, "type": "billing:check", "every": "daily"}
        ),
    ],
    ("GET", f"{ACTIONS}/{{number}}"): [lambda app, other: app.get(f"{ACTIONS}/{action_of(other)}")],
    ("DELETE", f"{ACTIONS}/{{number}}"): [
        lambda app, other: app.client.delete(f"{ACTIONS}/{action_of(other)}", headers=app.bearer),
    ],
    ("POST", f"{ACTIONS}/{{number}}/{{change}}"): [
        lambda app, other: app.post(f"{ACTIONS}/{action_of(other)}/run", {}),
        lambda app, other: app.post(f"{ACTIONS}/{action_of(other)}/pause", {}),
    ],
    ("POST", EXPORTS): [
        lambda app, other: app.post(EXPORTS, {"organization": other.name, **CONTACTS}),
        lambda app, _: app.post(
            EXPORTS,
            {"organization": app.name, "kind": "contact", "format": "json", "contact": "theirs"},
        ),
    ],
    ("GET", f"{EXPORTS}/{{number}}"): [lambda app, other: app.get(f"{EXPORTS}/{export_of(other)}")],
    ("DELETE", f"{EXPORTS}/{{number}}"): [
        lambda app, other: app.client.delete(f"{EXPORTS}/{export_of(other)}", headers=app.bearer),
    ],
    ("POST", ENDPOINTS): [
        lambda app, other: app.post(
            ENDPOINTS, {"organization": other.name, "url": "https://example.org/"}
        ),
    ],
    ("GET", ENDPOINTS): [lambda app, other: app.get(f"{ENDPOINTS}?organization={other.name}")],
    ("GET", f"{ENDPOINTS}/{{number}}"): [
        lambda app, other: app.get(f"{ENDPOINTS}/{endpoint_of(other)}"),
    ],
    ("POST", f"{ENDPOINTS}/{{number}}/rotate"): [
        lambda app, other: app.post(f"{ENDPOINTS}/{endpoint_of(other)}/rotate", {}),
    ],
    ("POST", f"{ENDPOINTS}/{{number}}/replay"): [
        lambda app, other: app.post(
            f"{ENDPOINTS}/{endpoint_of(other)}/replay", {"since": "2026-03-02T00:00:00Z"}
        ),
    ],
    ("GET", f"{ENDPOINTS}/{{number}}/deliveries"): [
        lambda app, other: app.get(f"{ENDPOINTS}/{endpoint_of(other)}/deliveries"),
    ],
    ("POST", f"{ENDPOINTS}/{{number}}/{{change}}"): [
        lambda app, other: app.post(f"{ENDPOINTS}/{endpoint_of(other)}/disable", {}),
    ],
}


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    """An application of an organization of its own, which may read and write."""
    made = Application(shared_installation)
    with shared_installation.engine.begin() as connection:
        token = tokens.create(
            connection, f"app of {made.name}", ["read", "write", "admin"], made.organization
        )
    made.bearer = {"Authorization": f"Bearer {token}"}
    return made


@pytest.fixture
def other(shared_installation: Installation) -> Application:
    """Another organization, with a contact, a message, a user, a notification and a task."""
    made = Application(shared_installation)
    made.contact("theirs", email="theirs@example.org")
    made.ask(to=[{"contact": "theirs"}], idempotency_key="k")
    made.value(
        "insert into crm.users (organization_id, external_id) values (:own, 'theirs') returning id",
        own=made.organization,
    )
    notification_of(made)
    task_of(made)
    action_of(made)
    export_of(made)
    endpoint_of(made)
    return made


def test_every_address_below_v1_is_tried_with_another_organization() -> None:
    routes = [r for router in ROUTERS for r in router.routes if isinstance(r, Route)]
    below = {
        (method, route.path)
        for route in routes
        if route.path.startswith("/v1")
        for method in route.methods or ()
    }
    assert below == set(FOREIGN)


@pytest.mark.parametrize("address", sorted(FOREIGN), ids=" ".join)
def test_another_organization_answers_404_and_nothing_is_written(
    app: Application, other: Application, address: tuple[str, str]
) -> None:
    before = app.written()
    for call in FOREIGN[address]:
        answer = call(app, other)
        assert answer.status_code == 404
        assert answer.json()["error"].endswith(".")
    assert app.written() == before


def test_a_token_of_one_organization_opens_nothing_of_the_whole_installation(
    app: Application, shared_installation: Installation
) -> None:
    with shared_installation.engine.begin() as connection:
        token = tokens.create(connection, "bound", ["admin"], app.organization)
    header = {"Authorization": f"Bearer {token}"}
    sentence = "This token is good for one organization only: use one of the installation."
    for method, path in (
        ("GET", "/admin/sessions"),
        ("GET", "/admin/queues"),
        ("GET", "/admin/tasks"),
        ("POST", "/admin/tasks/1/cancel"),
        ("POST", "/admin/dead-letters/1/redrive"),
        ("POST", "/admin/jobs/analytics/warehouse/trigger"),
    ):
        answer = app.client.request(method, path, headers=header)
        assert (answer.status_code, answer.json()) == (403, {"error": sentence}), path
    signing_in = app.client.post(SIGN_IN, data={"token": token}, follow_redirects=False)
    assert signing_in.status_code == 401
    assert sentence in signing_in.text
    assert app.client.post(MESSAGES, json=app.body("a@example.org"), headers=header).is_success


def test_a_token_of_the_installation_is_good_for_every_organization(
    app: Application, other: Application, shared_installation: Installation
) -> None:
    with shared_installation.engine.begin() as connection:
        app.bearer = {"Authorization": f"Bearer {tokens.create(connection, 'all', ['write'])}"}
        reader = {"Authorization": f"Bearer {tokens.create(connection, 'r', ['read'])}"}
    [number] = app.ids(app.ask("a@example.org", organization=str(other.organization)))
    assert app.get(f"{MESSAGES}/{number}").json()["organization"] == other.name
    assert app.post(EVENTS, {"events": [event(other.name)]}).status_code == 200
    assert app.client.get(f"{MESSAGES}/{number}", headers=reader).status_code == 403
    assert app.client.get(f"{MESSAGES}/{number}").status_code == 401
    logged = app.rows(
        "select method, path, organization_id, status from ops.audit_log order by id desc limit 5"
    )
    assert logged == [
        ("GET", f"{MESSAGES}/{number}", None, 401),
        ("GET", f"{MESSAGES}/{number}", None, 403),
        ("POST", EVENTS, other.organization, 200),
        ("GET", f"{MESSAGES}/{number}", other.organization, 200),
        ("POST", MESSAGES, other.organization, 202),
    ]


def test_a_refused_call_is_logged_with_the_organization_of_its_token(
    app: Application, other: Application
) -> None:
    app.ask("a@example.org", organization=other.name)
    app.ask("nobody")
    assert app.rows(
        "select actor, organization_id, status from ops.audit_log order by id desc limit 2"
    ) == [(f"app of {app.name}", app.organization, status) for status in (422, 404)]


def test_the_command_makes_and_lists_tokens_of_an_organization(app: Application) -> None:
    made = call_here("token", "create", "--scope", "write", "--organization", app.name)
    app.bearer = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert app.ask("a@example.org").status_code == 202
    assert app.ask("a@example.org", organization="nobody").status_code == 404
    listed = call_here("token", "list").stdout
    assert any(app.name in line for line in listed.splitlines())
    unknown = call_here("token", "create", "--scope", "write", "--organization", "nobody")
    assert unknown.returncode == 1
    assert "There is no organization 'nobody'" in unknown.stderr
    both = call_here(
        "token", "create", "--scope", "read", "--scope", "write", "--organization", app.name
    )
    app.bearer = {"Authorization": f"Bearer {both.stdout.strip()}"}
    assert app.get(f"{EXPORTS}/{export_of(app)}").json()["state"] == "queued"
    idle = call_here("token", "create", "--scope", "trigger", "--organization", app.name)
    assert idle.returncode == 2
    assert "opens only /v1: its scopes are read, write or both." in idle.stderr
