"""Pages of recipients: a GET changes nothing, a POST what it says, and a repeated one no more."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from marketing_pipelines.api.app import build_app
from marketing_pipelines.domains.delivery.contents import store
from marketing_pipelines.domains.delivery.links import Confirmation, Links
from marketing_pipelines_tests.api.browser import chromium
from marketing_pipelines_tests.api.conftest import NOW
from marketing_pipelines_tests.api.serving import in_process
from marketing_pipelines_tests.installation import Installation

KEY, OTHER = "k" * 32, "o" * 32
EMPTIED = (
    "delivery.subscription_changes",
    "delivery.subscriptions",
    "delivery.categories",
    "delivery.suppressions",
    "delivery.messages",
    "analytics.contact_activity",
    "analytics.event_keys",
)
CONTENT = {"subject": "Hello {{ first_name }}", "text": "Dear {{ first_name }}"}


@dataclass
class Recipients:
    """The API, and Ann, who got a message of the organization `acme`; Bob has her address."""

    installation: Installation
    app: Any
    client: TestClient
    links: Links

    def value(self, statement: str, **parameters: Any) -> Any:
        with self.installation.engine.begin() as connection:
            return connection.execute(sa.text(statement), parameters).scalar_one()

    def contact(self, name: str) -> int:
        return int(self.value("select id from crm.contacts where external_id = :n", n=name))

    def message(self, to: str = "ann", content: Any = None, category: int | None = None) -> int:
        organization = self.value("select id from crm.organizations where external_id = 'acme'")
        with self.installation.engine.begin() as connection:
            [number] = store(connection, {0: (organization, content or CONTENT)}).values()
        return int(
            self.value(
                "insert into delivery.messages (organization_id, contact_id, channel, content_id,"
                " category_id, state, queued_at, sent_at) values (:organization, :contact, 'email',"
                " :content, :category, 'sent', :now, :now) returning id",
                organization=organization,
                contact=self.contact(to),
                content=number,
                category=category,
                now=NOW,
            )
        )

    def category(self, name: str, mode: str = "opt_out", is_default: bool = False) -> int:
        return int(
            self.value(
                "insert into delivery.categories (organization_id, external_id, name, mode,"
                " is_default) select id, :name, initcap(:name), :mode, :is_default"
                " from crm.organizations where external_id = 'acme' returning id",
                name=name,
                mode=mode,
                is_default=is_default,
            )
        )

    def subscribe(self, contact: str, category: int, state: str, evidence: str = "{}") -> None:
        self.installation.execute(
            "insert into delivery.subscriptions (organization_id, contact_id, category_id, state,"
            " source, evidence, changed_at) select organization_id, id, :category, :state, 'file',"
            " cast(:evidence as jsonb), :now from crm.contacts where external_id = :contact",
            contact=contact,
            category=category,
            state=state,
            evidence=evidence,
            now=NOW - dt.timedelta(days=1),
        )

    def path(self, url: str) -> str:
        return url.removeprefix("http://127.0.0.1:8000")

    def get(self, url: str) -> str:
        answer = self.client.get(self.path(url))
        assert answer.status_code == 200
        return answer.text

    def post(self, url: str, **form: str) -> str:
        answer = self.client.post(self.path(url), data=form)
        assert answer.status_code == 200
        return answer.text

    def problem(self, contact: str, category: int | None = None) -> str | None:
        """The reason for which a message of the category does not go to the contact."""
        return self.value(
            "select delivery.consent_problem(organization_id, id, :category,"
            " delivery.address_of('email', email)) from crm.contacts where external_id = :contact",
            contact=contact,
            category=category,
        )

    def everything(self) -> list[list[tuple[Any, ...]]]:
        return [self.installation.rows(f"select * from {table}") for table in EMPTIED]

    def activity(self) -> list[tuple[Any, ...]]:
        return self.installation.rows(
            "select event_id, event_type, properties ->> 'category'"
            " from analytics.contact_activity order by event_id"
        )

    def suppressed(self) -> list[tuple[Any, ...]]:
        return self.installation.rows(
            "select distinct channel, reason from delivery.suppressions order by 1, 2"
        )


@pytest.fixture(scope="module")
def served(shared_installation: Installation) -> Recipients:
    settings = shared_installation.settings.model_copy(update={"secret_key": KEY})
    app = build_app(
        settings=settings,
        engine=shared_installation.engine,
        instance=shared_installation.instance,
        now=lambda: NOW,
    )
    shared_installation.execute(
        "with organization as (insert into crm.organizations (external_id, name)"
        " values ('acme', 'Acme') returning id) insert into crm.contacts (organization_id,"
        " external_id, first_name, email) select id, name, initcap(name), 'Ann@example.org '"
        " from organization, unnest(array['ann', 'bob']) as name"
    )
    return Recipients(shared_installation, app, TestClient(app), Links.of(settings))


@pytest.fixture
def people(served: Recipients) -> Recipients:
    with served.installation.engine.begin() as connection:
        # Without triggers: one keeps events from being removed.
        connection.exec_driver_sql("set local session_replication_role = replica")
        for table in EMPTIED:
            connection.exec_driver_sql(f"delete from {table}")
    return served


def test_nothing_changes_by_looking(people: Recipients) -> None:
    people.category("news", is_default=True)
    double = people.category("tips", "double_opt_in")
    people.subscribe("ann", double, "subscribed")
    message = people.message()
    ends = NOW + dt.timedelta(days=7)
    before = people.everything()
    for url in (
        people.links.unsubscribe(message),
        people.links.preferences(message),
        people.links.view(message),
        people.links.confirm(Confirmation(people.contact("ann"), double, ends)),
    ):
        people.get(url)
        answer = people.client.head(people.path(url))
        assert (answer.status_code, answer.content) == (200, b"")
    assert people.everything() == before


@pytest.mark.parametrize(
    "form", [{}, {"leave": "category"}, {"List-Unsubscribe": "One-Click"}]
)  # fmt: skip
def test_leaving_leaves_the_category_of_the_message_for_everybody_with_the_address(
    people: Recipients, form: dict[str, str]
) -> None:
    news, offers = people.category("news", is_default=True), people.category("offers")
    message = people.message()
    url = people.links.unsubscribe(message)
    assert "Unsubscribe from “News”" in people.get(url)
    for _ in range(2):
        assert "You are unsubscribed from “News”." in people.post(url, **form)
    assert people.activity() == [(f"message:{message}:unsubscribed", "unsubscribed", "news")]
    assert people.suppressed() == []
    assert [people.problem(name) for name in ("ann", "bob")] == ["unsubscribed"] * 2
    assert [people.problem(name, offers) for name in ("ann", "bob")] == [None, None]
    [(state, source, evidence)] = people.installation.rows(
        "select state, source, evidence from delivery.subscription_changes"
    )
    assert (state, source, evidence["ip"]) == ("unsubscribed", "link", "testclient")
    assert evidence["form"] == ("one-click" if "List-Unsubscribe" in form else "unsubscribe")
    assert people.problem("ann", news) == "unsubscribed"


def test_an_organization_without_categories_has_one(people: Recipients) -> None:
    assert people.problem("ann") is None
    people.post(people.links.unsubscribe(people.message()))
    assert people.problem("ann") == "unsubscribed"
    assert people.installation.rows(
        "select external_id, mode, is_default from delivery.categories"
    ) == [("general", "opt_out", True)]


def test_everything_is_a_suppression_of_the_channel(people: Recipients) -> None:
    people.category("news", is_default=True)
    message = people.message()
    url = people.links.unsubscribe(message)
    people.post(url)
    for _ in range(2):
        assert "from all messages of Acme" in people.post(url, leave="all")
    assert people.activity() == [
        (f"message:{message}:unsubscribed", "unsubscribed", "news"),
        (f"message:{message}:unsubscribed:all", "unsubscribed", None),
    ]
    assert people.suppressed() == [("email", "unsubscribed")]


def test_saving_choices_writes_what_changed_only(people: Recipients) -> None:
    news, tips = people.category("news", is_default=True), people.category("tips", "double_opt_in")
    kept = people.category("offers")
    message = people.message()
    url = people.links.preferences(message)
    page = people.get(url)
    assert [f'name="c{one}" checked' in page for one in (news, tips, kept)] == [True, False, True]
    for _ in range(2):
        page = people.post(url, **{f"c{tips}": "on", f"c{kept}": "on", "c99999999": "on"})
        assert "Your choice is saved." in page
    assert [people.problem("ann", one) for one in (news, tips, kept)] == [
        "unsubscribed", None, None
    ]  # fmt: skip
    changes = people.installation.rows(
        "select category_id, state, evidence ? 'confirmed_at' from delivery.subscription_changes"
        " order by category_id"
    )
    assert changes == [(news, "unsubscribed", False), (tips, "subscribed", True)]
    assert people.activity() == [(f"message:{message}:unsubscribed", "unsubscribed", "news")]


def test_who_left_everything_comes_back_by_choosing(people: Recipients) -> None:
    news = people.category("news", is_default=True)
    message = people.message()
    people.post(people.links.unsubscribe(message), leave="all")
    url = people.links.preferences(message)
    assert " checked" not in people.get(url)
    people.post(url, **{f"c{news}": "on"})
    assert " checked" in people.get(url)
    assert people.suppressed() == []


def test_coming_back_to_mail_leaves_the_other_channels_as_they_are(people: Recipients) -> None:
    news = people.category("news", is_default=True)
    for name in ("ann", "bob"):
        people.installation.execute(
            "insert into delivery.suppressions (organization_id, contact_id, channel, reason,"
            " since, source) select organization_id, id, 'all', 'unsubscribed', :now, 'file'"
            " from crm.contacts where external_id = :name",
            name=name,
            now=NOW - dt.timedelta(days=9),
        )
    people.post(people.links.preferences(people.message()), **{f"c{news}": "on"})
    assert people.installation.rows(
        "select external_id, channel, reason, since, suppressions.source from delivery.suppressions"
        " join crm.contacts on contacts.id = contact_id order by 1, 2"
    ) == [
        (name, channel, "unsubscribed", NOW - dt.timedelta(days=9), "file")
        for name in ("ann", "bob")
        for channel in ("push", "sms")
    ]
    assert (
        people.installation.rows(
            "select channel from delivery.suppressions where address is not null"
        )
        == []
    ), "their only address is that of mail"


def test_who_left_with_another_contact_comes_back_by_the_address(people: Recipients) -> None:
    news = people.category("news", is_default=True)
    people.post(people.links.unsubscribe(people.message("bob")))
    url = people.links.preferences(people.message("ann"))
    assert " checked" not in people.get(url)
    people.post(url, **{f"c{news}": "on"})
    assert [people.problem(name) for name in ("ann", "bob")] == [None, None]


def test_a_confirmation_is_pressed_and_not_followed(people: Recipients) -> None:
    tips = people.category("tips", "double_opt_in")
    people.subscribe("ann", tips, "subscribed")
    ends = NOW + dt.timedelta(seconds=1)
    url = people.links.confirm(Confirmation(people.contact("ann"), tips, ends))
    assert "Confirm the subscription" in people.get(url)
    assert people.problem("ann", tips) == "unconfirmed"
    for _ in range(2):
        assert "Your subscription is confirmed." in people.post(url)
    assert people.problem("ann", tips) is None
    assert len(people.installation.rows("select 1 from delivery.subscription_changes")) == 2
    expired = Confirmation(people.contact("bob"), tips, NOW)
    people.subscribe("bob", tips, "subscribed")
    for call in (people.client.get, people.client.post):
        assert call(people.path(people.links.confirm(expired))).status_code == 410
    assert people.problem("bob", tips) == "unconfirmed"


def test_a_confirmation_brings_nobody_back_who_left_since(people: Recipients) -> None:
    tips = people.category("tips", "double_opt_in")
    people.subscribe("ann", tips, "unsubscribed")
    ends = NOW + dt.timedelta(days=7)
    url = people.links.confirm(Confirmation(people.contact("ann"), tips, ends))
    assert "You are not subscribed." in people.post(url)
    assert people.problem("ann", tips) == "unsubscribed"


def test_confirming_brings_back_to_that_category_and_to_no_other(people: Recipients) -> None:
    news, tips = people.category("news", is_default=True), people.category("tips", "double_opt_in")
    people.post(people.links.unsubscribe(people.message("bob")), leave="all")
    people.subscribe("bob", tips, "unsubscribed")
    people.subscribe("ann", tips, "unconfirmed")
    written = people.activity()
    ends = NOW + dt.timedelta(days=7)
    url = people.links.confirm(Confirmation(people.contact("ann"), tips, ends))
    assert "Your subscription is confirmed." in people.post(url)
    assert people.suppressed() == []
    assert [people.problem(name, tips) for name in ("ann", "bob")] == [None, None]
    assert [people.problem(name, news) for name in ("ann", "bob")] == ["unsubscribed"] * 2
    assert people.activity() == written


def test_a_file_of_unconfirmed_subscriptions_mails_nobody(
    people: Recipients, tmp_path: Path
) -> None:
    people.category("tips", "double_opt_in")
    row = {"contact_id": "ann", "category": "tips"}
    assert load(people, tmp_path, "subscriptions", {**row, "state": "unconfirmed"}).loaded == 1
    again = load(people, tmp_path, "subscriptions", {**row, "state": "subscribed"})
    assert again.rejected == 0
    assert people.value("select count(*) from delivery.messages") == 0


@pytest.mark.parametrize("page", ["unsubscribe", "preferences", "view", "confirm"])
def test_a_forged_link_is_not_found(people: Recipients, page: str) -> None:
    ends = NOW + dt.timedelta(days=7)
    made: dict[str, Callable[[Links], str]] = {
        "unsubscribe": lambda links: links.unsubscribe(people.message()),
        "preferences": lambda links: links.preferences(people.message()),
        "view": lambda links: links.view(people.message()),
        "confirm": lambda links: links.confirm(Confirmation(people.contact("ann"), 1, ends)),
    }
    forged = people.path(made[page](Links("http://127.0.0.1:8000", [OTHER])))
    gone = people.path(Links("http://127.0.0.1:8000", [KEY]).unsubscribe(10**9))
    for path in (forged, forged[:-3], f"/{page}/x", gone):
        answer = people.client.get(path)
        assert answer.status_code == 404
        assert "This link is not valid." in answer.text
        if page != "view":
            assert people.client.post(path).status_code == 404


@pytest.mark.parametrize("page", ["unsubscribe", "preferences", "view"])
def test_a_link_of_a_test_copy_says_so(people: Recipients, page: str) -> None:
    answer = people.client.get(people.path(getattr(people.links, page)(-1)))
    assert answer.status_code == 404
    assert "This link is from a test copy of a message." in answer.text


def test_a_message_whose_body_is_no_longer_kept_is_gone(people: Recipients) -> None:
    path = people.path(people.links.view(people.message(content=CONTENT)))
    assert people.client.get(path).status_code == 200
    people.installation.execute("delete from delivery.contents")
    answer = people.client.get(path)
    assert answer.status_code == 410
    assert "This message is no longer kept." in answer.text


def test_a_message_is_shown_as_it_was_written(people: Recipients) -> None:
    page = people.get(people.links.view(people.message(content=CONTENT)))
    assert "<p>Dear Ann" in page
    html = "<html><body><p>Dear <b>{{ first_name }}</b></p></body></html>"
    answer = people.client.get(
        people.path(people.links.view(people.message(content={**CONTENT, "html": html})))
    )
    assert "Dear <b>Ann</b>" in answer.text
    assert answer.text.endswith("</p></body></html>"), "the footer stands within the page"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]


def test_a_loaded_event_that_names_a_category_leaves_it(people: Recipients, tmp_path: Path) -> None:
    people.category("news", is_default=True)
    row = {"event_id": "1", "contact_id": "ann", "event_type": "unsubscribed",
           "properties": {"category": "news"}, "occurred_at": "2026-03-01T12:00:00Z",
           "received_at": "2026-03-01T12:00:00Z"}  # fmt: skip
    assert people.installation.load_events(tmp_path, [row]).rejected == 0
    assert (people.problem("ann"), people.suppressed()) == ("unsubscribed", [])


def load(people: Recipients, folder: Path, kind: str, *rows: dict[str, Any]) -> Any:
    path = folder / f"{kind}-{len(list(folder.iterdir()))}.jsonl"
    path.write_text("\n".join(json.dumps({"organization_id": "acme", **row}) for row in rows))
    return people.installation.load(kind, path)


def test_files_bring_categories_and_subscriptions(people: Recipients, tmp_path: Path) -> None:
    load(
        people,
        tmp_path,
        "categories",
        {"external_id": "news", "mode": "opt_in", "is_default": True},
        {"external_id": "tips", "mode": "double_opt_in"},
    )
    proof = {"confirmed_at": "2026-01-01T00:00:00Z"}
    load(
        people,
        tmp_path,
        "subscriptions",
        {"contact_id": "ann", "category": "news", "state": "subscribed"},
        {"contact_id": "ann", "category": "tips", "state": "subscribed", "evidence": proof},
        {"contact_id": "bob", "category": "tips", "state": "subscribed"},
    )
    tips = people.value("select id from delivery.categories where external_id = 'tips'")
    assert [people.problem(name) for name in ("ann", "bob")] == [None, "not_subscribed"]
    assert [people.problem(name, tips) for name in ("ann", "bob")] == [None, "unconfirmed"]
    load(people, tmp_path, "categories", {"external_id": "tips", "is_default": True,
                                          "mode": "double_opt_in"})  # fmt: skip
    assert people.installation.rows(
        "select external_id from delivery.categories where is_default"
    ) == [("tips",)]


def test_an_old_file_brings_nobody_back(people: Recipients, tmp_path: Path) -> None:
    people.category("news", "opt_in", is_default=True)
    row = {"contact_id": "ann", "category": "news", "state": "subscribed"}
    old, new = (NOW + dt.timedelta(days=days) for days in (-1, 1))
    load(people, tmp_path, "subscriptions", {**row, "changed_at": old.isoformat()})
    assert people.problem("ann") is None
    people.post(people.links.unsubscribe(people.message()))
    for repeated in ({**row, "changed_at": old.isoformat()}, row):
        load(people, tmp_path, "subscriptions", repeated)
        assert people.problem("ann") == "unsubscribed"
    load(people, tmp_path, "subscriptions", {**row, "changed_at": new.isoformat()})
    assert people.problem("ann") is None


def test_the_pages_work_in_a_browser_of_a_phone(people: Recipients, tmp_path: Path) -> None:
    people.category("news", is_default=True)
    people.category("offers")
    message = people.message()
    phone = {"width": 360, "height": 640}
    with in_process(people.app) as base, chromium(viewport=phone) as page:
        page.goto(base + people.path(people.links.preferences(message)))
        page.get_by_label("Offers").uncheck()
        page.get_by_role("button", name="Save").click()
        assert page.get_by_role("status").inner_text() == "Your choice is saved."
        assert not page.get_by_label("Offers").is_checked()
        page.screenshot(path=tmp_path / "preferences.png")
        page.goto(base + people.path(people.links.unsubscribe(message)))
        page.screenshot(path=tmp_path / "unsubscribe.png")
        page.get_by_role("button", name="Unsubscribe from “News”").click()
        assert page.get_by_role("status").inner_text() == "You are unsubscribed from “News”."
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360
    assert people.problem("ann") == "unsubscribed"
