"""Web pages of destinations: pages with versions, failures that keep, and what is gone."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines.domains.integrations import web_urls
from marketing_pipelines.domains.integrations.syncs import Pacing
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import (
    BROKEN,
    NO_JSON,
    OTHER_JSON,
    TRUNCATED,
    Asked,
    Said,
    Service,
    service,
)
from marketing_pipelines_tests.integrations.world import NIGHT, Connected

DAY = dt.timedelta(days=1)
TABLES = ("crm.destinations",)


class Content:
    """A service that lists destinations, two a page, with the hash of a page as its version."""

    def __init__(self, outside: Service) -> None:
        self.items: list[Any] = []
        self.broken: set[str] = set()
        self.mood = BROKEN
        outside.answer = self.answer

    def list(self, *ids: str, **changed: str) -> None:
        self.items = [
            {"id": one, "name": one.title(), "url": changed.get(one, f"https://x.example/{one}"),
             "updated_at": "2026-02-01T00:00:00Z"}
            for one in ids
        ]  # fmt: skip

    def answer(self, asked: Asked) -> Said:
        assert asked.path == "/destinations"
        cursor = asked.query.get("cursor", "")
        if cursor in self.broken:
            return self.mood
        start = int(cursor or 0)
        items, later = self.items[start : start + 2], self.items[start + 2 :]
        body = {"items": items, "next": str(start + 2) if later else None}
        etag = f'"{hash(str(body))}"'
        if asked.headers.get("If-None-Match") == etag:
            return Said(status=304)
        return Said(body, headers={"ETag": etag})


@pytest.fixture
def world(shared_installation: Installation, outside: Service) -> Connected:
    world = Connected(shared_installation)
    world.connect("content_service", url=outside.url, token="content-token-5d1")
    return world


@pytest.fixture
def content(outside: Service) -> Content:
    return Content(outside)


def stored(world: Connected) -> list[tuple[Any, ...]]:
    return world.rows("select external_id, url, gone_at from crm.destinations order by external_id")


def there(world: Connected) -> list[str]:
    return [name for name, _, gone in stored(world) if gone is None]


def test_a_listing_is_inserted_and_read_again_only_where_it_has_changed(
    world: Connected, content: Content, outside: Service
) -> None:
    content.list("a", "b", "c", "d", "e")
    done = world.run(web_urls.fetch)
    assert (done["ok"], done["rows"], done["pages"], done["pages_unchanged"]) == (1, 5, 3, 0)
    assert outside.asked[0].headers["Authorization"] == "Bearer content-token-5d1"
    assert world.rows(
        "select name, updated_at, page from crm.destinations order by id limit 3"
    ) == [
        ("A", dt.datetime(2026, 2, 1, tzinfo=dt.UTC), ""),
        ("B", dt.datetime(2026, 2, 1, tzinfo=dt.UTC), ""),
        ("C", dt.datetime(2026, 2, 1, tzinfo=dt.UTC), "2"),
    ]
    before = world.dump(TABLES)
    again = world.run(web_urls.fetch)
    assert (again["rows"], again["pages"], again["pages_unchanged"]) == (0, 3, 3)
    assert world.dump(TABLES) == before
    content.list("a", "b", "c", "d", "e", c="https://x.example/new")
    changed = world.run(web_urls.fetch, NIGHT + DAY)
    assert (changed["rows"], changed["pages_unchanged"], changed["gone"]) == (1, 2, 0)
    assert stored(world)[2] == ("c", "https://x.example/new", None)


def test_a_complete_listing_marks_what_is_gone_and_brings_back_what_returns(
    world: Connected, content: Content
) -> None:
    content.list("a", "b", "c", "d")
    world.run(web_urls.fetch)
    content.list("a", "b", "d")
    assert world.run(web_urls.fetch, NIGHT + DAY)["gone"] == 1
    assert stored(world)[2] == ("c", "https://x.example/c", NIGHT + DAY)
    content.list("a", "b", "c", "d")
    assert world.run(web_urls.fetch, NIGHT + 2 * DAY)["gone"] == 0
    assert there(world) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "mood",
    [
        BROKEN,
        TRUNCATED,
        NO_JSON,
        OTHER_JSON,
        Said({"next": None}),
        Said({"items": [], "next": "2"}),
        Said(status=302, headers={"Location": "/destinations?cursor=2"}),
    ],
    ids=["500", "truncated", "html", "list", "no items", "leads back", "redirects in a loop"],
)
def test_a_page_that_fails_keeps_its_last_state_and_nothing_is_gone(
    world: Connected, content: Content, mood: Said
) -> None:
    content.list("a", "b", "c", "d", "e")
    world.run(web_urls.fetch)
    content.list("b", "c", "f", "g", "h", b="https://x.example/new")
    content.broken, content.mood = {"2"}, mood
    failed = world.run(web_urls.fetch, NIGHT + DAY)
    assert (failed["failed"], failed["succeeded"]) == (1, False)
    assert there(world) == ["a", "b", "c", "d", "e"]
    assert stored(world)[1] == ("b", "https://x.example/new", None)
    assert world.state("content_service")[0][1] == "failing"
    content.broken = set()
    assert world.run(web_urls.fetch, NIGHT + 2 * DAY)["ok"] == 1
    assert there(world) == ["b", "c", "f", "g", "h"]
    assert world.state("content_service")[0][1:] == ("ok", None)


def test_a_listing_that_was_read_in_part_and_changes_back_is_read_again(
    world: Connected, content: Content
) -> None:
    content.list("a", "b", "c")
    world.run(web_urls.fetch)
    before = world.dump(TABLES)
    content.list("a", "b", "c", a="https://x.example/wrong")
    content.broken = {"2"}
    world.run(web_urls.fetch, NIGHT + DAY)
    content.list("a", "b", "c")
    content.broken = set()
    world.run(web_urls.fetch, NIGHT + 2 * DAY)
    assert world.dump(TABLES) == before


def test_an_item_that_cannot_be_read_keeps_what_it_had_and_harms_no_other(
    world: Connected, content: Content
) -> None:
    content.list("a", "b", "c")
    world.run(web_urls.fetch)
    content.list("a", "b", "c", a="javascript:alert(1)", b="https://x.example/new")
    done = world.run(web_urls.fetch, NIGHT + DAY)
    assert (done["ok"], done["items_refused"], done["gone"]) == (1, 1, 0)
    assert [url for _, url, _ in stored(world)] == [
        "https://x.example/a", "https://x.example/new", "https://x.example/c"
    ]  # fmt: skip


def test_destinations_of_files_and_of_other_organizations_are_never_gone(
    world: Connected, content: Content
) -> None:
    world.execute(
        "insert into crm.destinations (organization_id, external_id)"
        " select id, 'of-a-file' from crm.organizations"
    )
    content.list("a")
    world.run(web_urls.fetch)
    content.list()
    assert world.run(web_urls.fetch, NIGHT + DAY)["gone"] == 1
    assert there(world) == ["of-a-file", "of-a-file"]


def test_one_organization_with_a_broken_service_stops_no_other(
    world: Connected, content: Content, outside: Service
) -> None:
    content.list("a")
    world.connect("content_service", "umbra", url="http://127.0.0.1:1")
    done = world.run(web_urls.fetch)
    assert (done["ok"], done["failed"], done["succeeded"]) == (1, 1, True)
    assert there(world) == ["a"]
    assert [state for _, state, _ in world.state("content_service")] == ["ok", "failing"]


def test_a_service_that_is_slow_uses_up_its_own_share_of_the_time_alone(
    world: Connected, content: Content, outside: Service
) -> None:
    content.list("a")
    world.connect("content_service", "umbra", url=outside.url)

    def hurried(tick: Tick) -> None:
        tick.timeout = dt.timedelta(seconds=1)
        web_urls.fetch(tick, Pacing(least_seconds=0.5))

    with service() as slow:
        slow.answer = lambda asked: Said({"items": [], "next": None}, silent=60)
        world.connect("content_service", url=slow.url, token="content-token-5d1")
        done = world.run(hurried)
        assert len(slow.asked) == 1
    assert (done["ok"], done["failed"], done["succeeded"]) == (1, 1, True)
    assert there(world) == ["a"]
    [(_, state, error), healthy] = world.state("content_service")
    assert (state, error.endswith("did not answer in time.")) == ("failing", True)
    assert healthy == ("umbra", "ok", None)


def test_the_connection_without_a_success_for_longest_comes_first(
    world: Connected, content: Content, outside: Service
) -> None:
    def order(at: dt.datetime) -> list[str]:
        outside.asked.clear()
        world.run(web_urls.fetch, at)
        return [asked.headers["Authorization"].removeprefix("Bearer ") for asked in outside.asked]

    assert order(NIGHT) == ["content-token-5d1"]
    world.connect("content_service", "umbra", url=outside.url, token="token-of-umbra")
    assert order(NIGHT + DAY) == ["token-of-umbra", "content-token-5d1"]
    outside.misbehave(NO_JSON)
    assert order(NIGHT + 2 * DAY) == ["content-token-5d1", "token-of-umbra"]
    world.execute("update integrations.syncs set last_ok_at = :later where connection_id ="
                  " (select min(connection_id) from integrations.syncs)",
                  later=NIGHT + 3 * DAY)  # fmt: skip
    assert order(NIGHT + 4 * DAY) == ["token-of-umbra", "content-token-5d1"]
    # A run whose time did not suffice for both leaves the other the first turn of the next.
    world.execute("update integrations.syncs set tried_at = :later where connection_id ="
                  " (select max(connection_id) from integrations.syncs)",
                  later=NIGHT + 5 * DAY)  # fmt: skip
    assert order(NIGHT + 6 * DAY) == ["content-token-5d1", "token-of-umbra"]


def test_halves_of_characters_in_an_answer_harm_no_other_item(
    world: Connected, content: Content
) -> None:
    content.list("a", "b\ud800", "c")
    content.items[0]["name"] = "half \udfff, whole \N{GRINNING FACE}"
    done = world.run(web_urls.fetch)
    assert done["ok"] == 1
    assert there(world) == ["a", "b\N{REPLACEMENT CHARACTER}", "c"]
    names = world.rows("select name from crm.destinations where external_id = 'a'")
    assert names == [("half \N{REPLACEMENT CHARACTER}, whole \N{GRINNING FACE}",)]
