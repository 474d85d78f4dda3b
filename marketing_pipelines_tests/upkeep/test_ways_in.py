"""An erased person is refused at every way in, until it begins a new relationship itself."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.delivery.hooks import recording
from marketing_pipelines.domains.delivery.hooks.events import HookEvent
from marketing_pipelines.domains.delivery.hooks.verdicts import HookVerdict
from marketing_pipelines.stores import ledger
from marketing_pipelines.stores.ledger import REASON
from marketing_pipelines_tests.api.applications import (
    CONTENT,
    EVENTS,
    NOW,
    SUBSCRIPTIONS,
    Application,
)
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.upkeep.erased import erase


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    """An organization whose contact jane was erased, and whose contact ben was not."""
    app = Application(shared_installation)
    app.contact("jane", email="Jane@Example.org", phone="+49 30 1234567")
    app.installation.execute(
        'update crm.contacts set attributes = \'{"push_token": "token-of-jane"}\''
        " where organization_id = :own",
        own=app.organization,
    )
    app.contact("ben", email="ben@example.org")
    erase(shared_installation.engine, shared_installation.settings, app.name, "jane")
    return app


def load(app: Application, kind: str, folder: Path, *rows: dict[str, Any], **options: Any) -> Any:
    path = folder / f"{kind}-{len(list(folder.iterdir()))}.jsonl"
    path.write_text("\n".join(json.dumps({"organization_id": app.name} | row) for row in rows))
    return app.installation.load(kind, path, **options)


def reasons(result: Any) -> list[str]:
    return [] if result.rejects is None else result.rejects.read_text().splitlines()[1:]


def suppressions(app: Application) -> list[tuple[Any, ...]]:
    return app.rows(
        "select channel, reason, contact_id, address from delivery.suppressions"
        " where organization_id = :own order by channel"
    )


def test_the_ledger_holds_keyed_hashes_of_every_name(app: Application) -> None:
    with app.installation.engine.begin() as connection:
        found = ledger.open_ledger(connection, app.installation.settings)
    assert found is not None
    key = bytes(byte ^ 0x36 for byte in found.inner)[:32]
    names = ["external_id jane", "email jane@example.org", "sms +49301234567", "push token-of-jane"]
    expected = sorted(
        hmac.new(key, f"{app.organization} {name}".encode(), hashlib.sha256).hexdigest()
        for name in names
    )
    assert app.rows("select hashes from ops.erasures where organization_id = :own") == [(expected,)]
    assert suppressions(app) == [
        ("email", "erased", None, None), ("push", "erased", None, None),
        ("sms", "erased", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "row", "other", "column"),
    [
        ("contacts", {"external_id": "jane"}, {"external_id": "ann"}, "external_id"),
        ("contacts", {"external_id": "new", "email": " JANE@example.org"},
         {"external_id": "ann", "email": "ann@example.org"}, "email"),
        ("contacts", {"external_id": "new", "phone": "0049301234567"},
         {"external_id": "ann", "phone": "+49305555555"}, "phone"),
        ("contacts", {"external_id": "new", "push_token": "token-of-jane"},
         {"external_id": "ann", "push_token": "token-of-ann"}, "push_token"),
        ("deals", {"external_id": "d1", "contact_id": "jane"},
         {"external_id": "d2", "contact_id": "ben"}, "contact_id"),
        ("meetings", {"external_id": "m1", "starts_at": "2026-03-01T09:00Z",
                      "attendees": ["ben", "jane@example.org"]},
         {"external_id": "m2", "starts_at": "2026-03-01T09:00Z", "attendees": ["ben"]},
         "attendees"),
        ("suppressions", {"address": "jane@example.org", "reason": "do_not_contact"},
         {"address": "ann@example.org", "reason": "do_not_contact"}, "address"),
        ("events", {"event_id": "e1", "contact_id": "jane", "event_type": "sent",
                    "occurred_at": "2026-03-01T09:00Z"},
         {"event_id": "e2", "contact_id": "ben", "event_type": "sent",
          "occurred_at": "2026-03-01T09:00Z"}, "contact_id"),
    ],
)  # fmt: skip
def test_a_load_refuses_the_row_and_keeps_the_others(
    app: Application,
    tmp_path: Path,
    kind: str,
    row: dict[str, Any],
    other: dict[str, Any],
    column: str,
) -> None:
    result = load(app, kind, tmp_path, row, other)
    assert reasons(result) == [f"1,{column},{REASON}"]
    assert (result.loaded, result.rejected) == (1, 1)
    assert app.rows(
        "select count(*) from crm.contacts where organization_id = :own"
        " and (external_id in ('jane', 'new') or email ilike '%jane%')"
    ) == [(0,)]


def test_restore_consent_is_a_new_relationship(app: Application, tmp_path: Path) -> None:
    row = {"external_id": "jane", "email": "jane@example.org"}
    assert load(app, "contacts", tmp_path, row).rejected == 1
    assert load(app, "contacts", tmp_path, row, restore_consent=True).loaded == 1
    assert [channel for channel, *_ in suppressions(app)] == ["push", "sms"]
    assert load(app, "contacts", tmp_path, row | {"first_name": "Jane"}).changed == 1
    assert load(app, "contacts", tmp_path, {"external_id": "x", "phone": "+49301234567"}).rejected


def test_applications_are_refused_until_the_person_begins_anew(app: Application) -> None:
    event = {
        "event_id": "e", "organization_id": app.name, "contact_id": "jane", "event_type": "sent",
        "occurred_at": "2026-03-01T09:00Z",
    }  # fmt: skip
    answer = app.client.post(EVENTS, json={"events": [event]}, headers=app.bearer)
    assert answer.status_code == 422
    assert answer.json()["rejected"] == [{"row": 1, "column": "contact_id", "reason": REASON}]
    marketing = app.ask("jane@example.org", kind="marketing", content=CONTENT)
    assert marketing.status_code == 404
    assert "erased" in marketing.text
    assert len(suppressions(app)) == 3
    order = app.ask("jane@example.org", kind="transactional", content=CONTENT)
    assert order.status_code == 202
    assert [channel for channel, *_ in suppressions(app)] == ["push", "sms"]
    assert app.ask("jane@example.org", kind="marketing", content=CONTENT).status_code == 202


def test_a_sign_up_begins_anew_and_leaving_does_not(app: Application) -> None:
    app.installation.execute(
        "insert into delivery.categories (organization_id, external_id, mode)"
        " values (:own, 'news', 'opt_out')",
        own=app.organization,
    )
    order = {
        "organization": app.name, "address": "jane@example.org", "category": "news",
        "evidence": {"ip": "192.0.2.1"},
    }  # fmt: skip
    gone = order | {"state": "unsubscribed"}
    assert app.client.post(SUBSCRIPTIONS, json=gone, headers=app.bearer).status_code == 404
    order |= {"state": "subscribed"}
    answer = app.client.post(SUBSCRIPTIONS, json=order, headers=app.bearer)
    assert answer.status_code == 200, answer.text
    assert [channel for channel, *_ in suppressions(app)] == ["push", "sms"]


def test_events_of_providers_are_refused_for_the_erased_alone(app: Application) -> None:
    old = message(app, "select contact_ids[1] from ops.erasures where organization_id = :own")
    other = message(app, "select id from crm.contacts where organization_id = :own"
                         " and external_id = 'ben'")  # fmt: skip
    events = [
        told(app, "1", old, None), told(app, "2", None, "Jane@example.org"),
        told(app, "3", other, None), told(app, "4", None, "somebody@example.org"),
    ]  # fmt: skip
    with app.installation.engine.begin() as connection:
        recording.record(connection, events, now=NOW)
    assert app.rows(
        "select provider_event_id from delivery.message_events where provider = :provider"
        " order by 1",
        provider=app.name,
    ) == [("3",), ("4",)]


def message(app: Application, contact: str) -> int:
    [(contact_id,)] = app.rows(contact)
    number: int = app.value(
        "insert into delivery.messages (organization_id, channel, contact_id, content_id,"
        " queued_at, state) values (:own, 'email', :contact, 1, now(), 'sent') returning id",
        own=app.organization,
        contact=contact_id,
    )
    return number


def told(app: Application, event_id: str, number: int | None, recipient: str | None) -> HookEvent:
    return HookEvent(
        provider=app.name,
        own_id=event_id,
        verdict=HookVerdict("delivered"),
        message_id=number,
        recipient=recipient,
        occurred_at=NOW,
        payload={"to": recipient},
    )
