"""`/v1/subscriptions`: the choice of a contact, and the mail that asks for its confirmation."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx2 import Response

from marketing_pipelines_tests.api.applications import NOW, SUBSCRIPTIONS, Application
from marketing_pipelines_tests.delivery.world import Recorder
from marketing_pipelines_tests.installation import Installation

WEEK = dt.timedelta(days=7)
INSTANT = dt.timedelta(microseconds=1)
EVIDENCE = {"ip": "203.0.113.7", "form": "footer", "at": "2026-03-02T08:59:00Z"}


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    """An application of an organization with a category of each mode."""
    shared_installation.execute("delete from delivery.messages where state = 'queued'")
    app = Application(shared_installation)
    for name, mode in (("offers", "opt_out"), ("news", "opt_in"), ("tips", "double_opt_in")):
        shared_installation.execute(
            "insert into delivery.categories (organization_id, external_id, name, mode)"
            " values (:own, :name, initcap(:name), :mode)",
            own=app.organization,
            name=name,
            mode=mode,
        )
    return app


def choose(app: Application, category: str, state: str = "subscribed", **fields: Any) -> Response:
    body = {"organization": app.name, "category": category, "state": state}
    who = {} if "contact" in fields else {"address": "Ann@example.org"}
    return app.post(SUBSCRIPTIONS, body | who | fields)


def state(answer: Response) -> str:
    assert answer.status_code == 200
    return str(answer.json()["state"])


def mails(app: Application) -> list[tuple[Any, ...]]:
    return app.rows(
        "select kind, state, channel from delivery.messages where organization_id = :own"
    )


def problem(app: Application, contact: str, category: str) -> str | None:
    found: str | None = app.value(
        "select delivery.consent_problem(contact.organization_id, contact.id, category.id,"
        " delivery.address_of('email', email)) from crm.contacts as contact"
        " join delivery.categories as category"
        " on category.organization_id = contact.organization_id"
        " where contact.organization_id = :own and contact.external_id = :contact"
        " and category.external_id = :category",
        own=app.organization,
        contact=contact,
        category=category,
    )
    return found


def test_an_unknown_address_becomes_a_contact_that_is_subscribed(app: Application) -> None:
    for _ in range(2):
        answer = choose(app, "news", evidence=EVIDENCE)
        assert answer.json() == {"contact": "address:ann@example.org", "state": "subscribed"}
    assert problem(app, "address:ann@example.org", "news") is None
    assert app.rows(
        "select state, source, evidence, changed_at from delivery.subscription_changes"
        " where organization_id = :own"
    ) == [("subscribed", "api", EVIDENCE, NOW)]
    assert mails(app) == []


def test_an_address_and_a_contact_are_one_subscriber(app: Application) -> None:
    app.contact("c1", email="ann@example.org")
    assert choose(app, "news").json()["contact"] == "c1"
    assert choose(app, "news", contact="c1").json() == {"contact": "c1", "state": "subscribed"}
    assert app.rows("select count(*) from crm.contacts where organization_id = :own") == [(1,)]


def test_a_double_opt_in_mails_once_in_seven_days_and_the_link_confirms(app: Application) -> None:
    app.contact("c1", email="ann@example.org", first_name="Ann")
    for at in (NOW, NOW, NOW + WEEK - INSTANT):
        app.now = at
        assert state(choose(app, "tips")) == "unconfirmed"
    assert mails(app) == [("transactional", "queued", "email")]
    assert problem(app, "c1", "tips") == "unconfirmed"
    app.now = NOW
    transport = Recorder()
    assert app.send(transport).sent == 1
    text = transport.taken[0].content["text"]
    assert "Hello Ann" in text
    assert f"“Tips” from {app.name}." in text
    assert transport.taken[0].unsubscribe_url is None
    [path] = re.findall(r"http://127.0.0.1:8000(/confirm/\S+)", text)
    for method in ("GET", "HEAD"):
        app.client.request(method, path)
    assert problem(app, "c1", "tips") == "unconfirmed"
    assert "confirmed" in app.client.post(path).text
    assert problem(app, "c1", "tips") is None
    app.now = NOW + 2 * WEEK
    assert state(choose(app, "tips")) == "subscribed"
    assert len(mails(app)) == 1


def test_after_seven_days_a_second_mail_goes_out_and_the_first_link_has_expired(
    app: Application,
) -> None:
    paths = []
    for at in (NOW, NOW + WEEK):
        app.now = at
        choose(app, "tips")
        transport = Recorder()
        app.send(transport)
        paths += re.findall(r"8000(/confirm/\S+)", transport.taken[0].content["text"])
    assert [app.client.post(path).status_code for path in paths] == [410, 200]


def test_who_left_and_comes_back_is_asked_again_at_once(app: Application) -> None:
    app.contact("c1", email="ann@example.org")
    for at, choice, number in (
        (NOW, "subscribed", 1),
        (NOW + INSTANT, "unsubscribed", 1),
        (NOW + 2 * INSTANT, "subscribed", 2),
        (NOW + 3 * INSTANT, "subscribed", 2),
    ):
        app.now = at
        choose(app, "tips", choice)
        assert len(mails(app)) == number
    assert problem(app, "c1", "tips") == "unconfirmed"


@pytest.mark.fault
def test_calls_at_once_send_one_mail(app: Application) -> None:
    app.contact("c1", email="ann@example.org")
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(choose, app, "tips") for _ in range(8)]
        assert {state(call.result()) for call in calls} == {"unconfirmed"}
    assert len(mails(app)) == 1


def test_a_template_of_the_organization_replaces_the_built_in_one(app: Application) -> None:
    app.installation.execute(
        "insert into delivery.templates (organization_id, external_id, kind, subject, text)"
        " values (:own, 'confirm_subscription', 'marketing', 'Yes?', '{{ confirm_url }}')",
        own=app.organization,
    )
    choose(app, "tips")
    transport = Recorder()
    app.send(transport)
    [taken] = transport.taken
    assert taken.content["subject"] == "Yes?"
    assert taken.content["text"].startswith("http://127.0.0.1:8000/confirm/")
    assert mails(app)[0][0] == "transactional", "whatever the template says"


def test_a_contact_that_is_taken_out_has_an_event_and_comes_back_by_subscribing(
    app: Application,
) -> None:
    app.contact("c1", email="ann@example.org")
    app.contact("c2", email="ANN@example.org")
    for _ in range(2):
        assert state(choose(app, "offers", "unsubscribed", contact="c2")) == "unsubscribed"
    assert [problem(app, name, "offers") for name in ("c1", "c2")] == ["unsubscribed"] * 2
    assert app.rows(
        "select event_type, properties from analytics.contact_activity where organization_id = :own"
    ) == [("unsubscribed", {"category": "offers", "channel": "email"})]
    assert app.rows("select count(*) from delivery.suppressions where organization_id = :own") == [
        (0,)
    ]
    assert state(choose(app, "offers", contact="c1")) == "subscribed"
    assert [problem(app, name, "offers") for name in ("c1", "c2")] == [None, None]


def test_the_newsletter_can_be_subscribed_to_before_there_is_one(app: Application) -> None:
    assert state(choose(app, "newsletter")) == "subscribed"
    assert app.rows(
        "select external_id, mode, is_default from delivery.categories"
        " where organization_id = :own and external_id = 'newsletter'"
    ) == [("newsletter", "opt_in", False)]


@pytest.mark.parametrize("category", ["newsletter", "general"])
def test_an_organization_without_categories_keeps_the_one_it_has(
    shared_installation: Installation, category: str
) -> None:
    app = Application(shared_installation)
    app.contact("c1", email="ann@example.org")
    assert state(choose(app, category, "unsubscribed")) == "unsubscribed"
    found = app.rows(
        "select external_id, mode, is_default from delivery.categories"
        " where organization_id = :own order by 1"
    )
    assert found == [("general", "opt_out", True), ("newsletter", "opt_in", False)][: len(found)]
    assert len(found) == (2 if category == "newsletter" else 1)
    assert problem(app, "c1", category) == "unsubscribed"


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"contact": "none"}, 404, "There is no contact 'none'."),
    (
        {"category": "none"},
        404,
        "There is no category 'none': the known ones are news, newsletter,",
    ),
    ({"organization": "none"}, 404, "There is no organization 'none'"),
    ({"address": "nobody"}, 422, "address: 'nobody' is no e-mail address."),
    ({"contact": "c1", "address": "a@b"}, 422, "a recipient has either a contact or an address"),
    ({"state": "unconfirmed"}, 422, "state: "),
    ({"evidence": {"confirmed_at": "2026-01-01T00:00:00Z"}}, 422, "evidence.confirmed_at: "),
    ({"evidence": {"at": "yesterday"}}, 422, "evidence.at: write an instant with its zone"),
]


@pytest.mark.parametrize(("fields", "status", "sentence"), REFUSED)
def test_what_cannot_be_used_is_refused_and_changes_nothing(
    app: Application, fields: dict[str, Any], status: int, sentence: str
) -> None:
    before = app.written()
    answer = choose(app, **{"category": "news", **fields})
    assert (answer.status_code, sentence in answer.json()["error"]) == (status, True), answer.text
    assert app.written() == before
    assert app.rows("select count(*) from delivery.subscriptions where organization_id = :own") == [
        (0,)
    ]


def test_a_confirmation_template_of_another_channel_is_named_and_changes_nothing(
    app: Application,
) -> None:
    app.installation.execute(
        "insert into delivery.templates (organization_id, external_id, channel, kind, text)"
        " values (:own, 'confirm_subscription', 'sms', 'transactional', 'Hello')",
        own=app.organization,
    )
    answer = choose(app, "tips")
    assert answer.status_code == 404
    assert "'confirm_subscription' is a template of the channel sms" in answer.json()["error"]
    assert mails(app) == []
