"""Own tracking: links and the image are signed, each hit counts as what it is, all lead on."""

import datetime as dt
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from marketing_pipelines.api.app import build_app
from marketing_pipelines.api.rates import CALLS_OF_LINK
from marketing_pipelines.domains.delivery.hooks.events import HookEvent
from marketing_pipelines.domains.delivery.hooks.recording import lock_events, record
from marketing_pipelines.domains.delivery.hooks.verdicts import CLICKED, OPENED
from marketing_pipelines.domains.delivery.links import ClickedLink, Links
from marketing_pipelines.domains.delivery.rendering import fill_in
from marketing_pipelines.domains.delivery.tracking import count_open, counted, numbered
from marketing_pipelines_tests.api.conftest import NOW
from marketing_pipelines_tests.installation import Installation

KEY, FIREFOX = "k" * 32, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SHOP = "https://shop.example.org/?a=1&b=2"
EMPTIED = (
    "delivery.message_events",
    "delivery.messages",
    "analytics.contact_activity",
    "analytics.event_keys",
)


@dataclass
class Tracked:
    """The API with a clock that can be moved, and a mail that was sent an hour ago."""

    installation: Installation
    links: Links
    client: TestClient = field(init=False)
    now: dt.datetime = NOW

    def message(self, state: str = "sent", sent_at: dt.datetime | None = None) -> int:
        with self.installation.engine.begin() as connection:
            return int(
                connection.execute(
                    sa.text(
                        "insert into delivery.messages (organization_id, contact_id, channel,"
                        " content_id, state, queued_at, sent_at) select organization_id, id,"
                        " 'email', 1, :state, :queued, :sent from crm.contacts returning id"
                    ),
                    {
                        "state": state,
                        "queued": NOW - dt.timedelta(hours=1),
                        "sent": sent_at or NOW - dt.timedelta(hours=1),
                    },
                ).scalar_one()
            )

    def get(self, url: str, agent: str = FIREFOX, method: str = "GET") -> Any:
        path = url.removeprefix("http://127.0.0.1:8000")
        return self.client.request(method, path, headers={"User-Agent": agent})

    def activity(self) -> list[tuple[Any, ...]]:
        return self.installation.rows(
            "select event_id, coalesce(properties ->> 'url', ''),"
            " coalesce(properties ->> 'machine_open', properties ->> 'machine_click', '')"
            " from analytics.contact_activity order by event_id"
        )

    def set(self, settings: str) -> None:
        self.installation.execute(
            "update crm.organizations set settings = cast(:settings as jsonb)", settings=settings
        )


@pytest.fixture(scope="module")
def served(shared_installation: Installation) -> Tracked:
    settings = shared_installation.settings.model_copy(update={"secret_key": KEY})
    shared_installation.execute(
        "with organization as (insert into crm.organizations (external_id) values ('acme')"
        " returning id) insert into crm.contacts (organization_id, external_id, email)"
        " select id, 'ann', 'ann@example.org' from organization"
    )
    tracked = Tracked(shared_installation, Links.of(settings))
    app = build_app(
        settings=settings,
        engine=shared_installation.engine,
        instance=shared_installation.instance,
        now=lambda: tracked.now,
    )
    tracked.client = TestClient(app, follow_redirects=False)
    return tracked


@pytest.fixture
def tracked(served: Tracked) -> Tracked:
    with served.installation.engine.begin() as connection:
        # Without triggers: one keeps events from being removed.
        connection.exec_driver_sql("set local session_replication_role = replica")
        for table in EMPTIED:
            connection.exec_driver_sql(f"delete from {table}")
    served.now = NOW
    served.set('{"tracking": {"opens": true, "clicks": true}}')
    return served


def test_the_first_hit_counts_and_each_minute_of_repeats(tracked: Tracked) -> None:
    message = tracked.message()
    link = tracked.links.click(ClickedLink(message, 2, SHOP))
    for seconds in (0, 1, 2, 65):
        tracked.now = NOW + dt.timedelta(seconds=seconds)
        answer = tracked.get(tracked.links.open(message))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        answer = tracked.get(link)
        assert (answer.status_code, answer.headers["location"]) == (302, SHOP)
    opened, clicked = f"message:{message}:opened:own:{message}:open", f"{message}:link 2"
    clicked = f"message:{message}:clicked:own:{clicked}"
    assert tracked.activity() == [
        (f"{clicked}:2026-03-01 12:30", SHOP, ""),
        (f"{clicked}:2026-03-01 12:31", SHOP, ""),
        (f"{clicked}:first", SHOP, ""),
        (f"{opened}:2026-03-01 12:30", "", ""),
        (f"{opened}:2026-03-01 12:31", "", ""),
        (f"{opened}:first", "", ""),
    ]
    [(state,)] = tracked.installation.rows("select state from delivery.messages")
    assert state == "delivered"


def test_a_link_that_is_called_too_often_leads_on_and_is_not_counted(tracked: Tracked) -> None:
    url = tracked.links.click(ClickedLink(tracked.message(), 1, SHOP))
    tracked.set("{}")
    for _ in range(CALLS_OF_LINK):
        assert tracked.get(url).status_code == 302
    tracked.set('{"tracking": {"clicks": true}}')
    assert tracked.get(url).headers["location"] == SHOP
    assert tracked.activity() == []
    tracked.now += dt.timedelta(minutes=1)
    tracked.get(url)
    assert len(tracked.activity()) == 1


def test_a_further_hit_of_a_minute_waits_for_no_other_event(tracked: Tracked) -> None:
    message, engine = tracked.message(), tracked.installation.engine
    for _ in range(2):
        tracked.get(tracked.links.open(message))
    with engine.begin() as holder, engine.begin() as connection:
        lock_events(holder)
        connection.exec_driver_sql("set local lock_timeout = '1s'")
        count_open(connection, message, by=FIREFOX, now=NOW)
    assert len(tracked.activity()) == 2


@pytest.mark.parametrize(
    ("agent", "method", "seconds", "machine"),
    [
        (FIREFOX, "GET", 2, ""),
        (FIREFOX, "GET", 1, "true"),
        (FIREFOX, "HEAD", 60, "true"),
        ("Mozilla/5.0 (compatible; Barracuda Sentinel)", "GET", 60, "true"),
        ("python-requests/2.32", "GET", 60, "true"),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com "
         "GoogleImageProxy)", "GET", 60, ""),
    ],
)  # fmt: skip
def test_hits_of_machines_are_marked(
    tracked: Tracked, agent: str, method: str, seconds: int, machine: str
) -> None:
    message = tracked.message(sent_at=NOW - dt.timedelta(seconds=seconds))
    tracked.get(tracked.links.open(message), agent, method)
    tracked.get(tracked.links.click(ClickedLink(message, 1, SHOP)), agent, method)
    assert [row[2] for row in tracked.activity()] == [machine, machine]


@pytest.mark.parametrize(
    ("settings", "own", "theirs"),
    [
        ({}, 0, 1),
        ({"opens": True, "clicks": True}, 1, 0),
        ({"opens": True, "clicks": True, "source": "provider"}, 0, 1),
        ({"source": "own"}, 1, 0),
    ],
)
def test_opens_and_clicks_count_from_one_source(
    tracked: Tracked, settings: dict[str, Any], own: int, theirs: int
) -> None:
    tracked.set(json.dumps({"tracking": settings}))
    message = tracked.message()
    tracked.get(tracked.links.open(message))
    tracked.get(tracked.links.click(ClickedLink(message, 1, SHOP)))
    reported = [
        HookEvent("sendgrid", verdict, {}, message_id=message, own_id=verdict.type)
        for verdict in (OPENED, CLICKED)
    ]
    with tracked.installation.engine.begin() as connection:
        record(connection, reported, now=NOW)
    ids = [row[0] for row in tracked.activity()]
    assert sum(":own:" in one for one in ids) == 2 * own
    assert sum(":sendgrid:" in one for one in ids) == 2 * theirs


def test_a_forged_link_leads_nowhere(tracked: Tracked) -> None:
    message = tracked.message()
    forger = Links("http://127.0.0.1:8000", ["x" * 32])
    for url in (
        forger.open(message),
        forger.click(ClickedLink(message, 1, "https://evil.example")),
        tracked.links.click(ClickedLink(message, 1, SHOP)) + "x",
        tracked.links.unsubscribe(message).replace("/unsubscribe/", "/c/"),
    ):
        assert tracked.get(url).status_code == 404
    assert tracked.installation.rows("select 1 from delivery.message_events") == []


def test_a_click_leads_on_where_the_database_is_gone(tracked: Tracked) -> None:
    away = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    settings = tracked.installation.settings.model_copy(update={"secret_key": KEY})
    app = build_app(settings=settings, engine=away, instance=tracked.installation.instance)
    path = tracked.links.click(ClickedLink(1, 1, SHOP)).removeprefix("http://127.0.0.1:8000")
    answer = TestClient(app, follow_redirects=False).get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, SHOP)


def test_links_of_a_mail_are_counted_as_the_settings_say() -> None:
    links = Links("https://m.example.org", [KEY])
    leave = links.unsubscribe(7)
    page = (
        "<html><body><a class=x href='https://shop.example.org/?a=1&amp;b=2'>shop</a>"
        f'<A HREF="{leave}">leave</A> <a href="mailto:a@b">mail</a>'
        ' <a href="http://b.example.org">b</a><img src="https://c.example.org/x.png"></body></html>'
    )
    content = {"text": "https://shop.example.org", "html": page}
    assert counted(content, 7, links, {}) == content
    marked = content | {"html": numbered(page)}
    both = counted(marked, 7, links, {"opens": True, "clicks": True})
    first = links.click(ClickedLink(7, 1, SHOP))
    second = links.click(ClickedLink(7, 4, "http://b.example.org"))
    assert both["text"] == content["text"]
    assert both["html"] == (
        f"<html><body><a class=x href='{first}'>shop</a>"
        f'<A HREF="{leave}">leave</A> <a href="mailto:a@b">mail</a>'
        f' <a href="{second}">b</a><img src="https://c.example.org/x.png">'
        f'<img src="{links.open(7)}" width="1" height="1" alt="" style="border:0"></body></html>'
    )


def test_a_link_has_its_number_in_every_mail_of_a_content() -> None:
    links = Links("https://m.example.org", [KEY])
    page = (
        "<style>a {color: red}</style>{% if plan == '<a b>' %}<a href='https://a.example'>a</a>"
        '{% endif %}<a class="x" href="{{ url }}">b</a>'
    )
    content = {"subject": "s", "text": "t", "html": numbered(page)}
    for plan, numbers in (("<a b>", [1, 2]), ("", [2])):
        fields = {"plan": plan, "url": "https://b.example/?a=1&b=2"}
        filled = counted(fill_in(content, fields), 7, links, {"clicks": True})
        found = re.findall(r'/c/([^"]+)"', filled["html"])
        assert [one.number for one in map(links.clicked, found) if one] == numbers
        assert links.clicked(found[-1]) == ClickedLink(7, 2, "https://b.example/?a=1&b=2")
        assert "data-link" not in filled["html"]
