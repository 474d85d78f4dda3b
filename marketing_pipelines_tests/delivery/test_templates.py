"""Templates by name: their file, the built-in ones, and the names that they refer to."""

import json
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.delivery.links import Links
from marketing_pipelines.domains.delivery.named_templates.catalog import (
    Catalog,
    UnknownNameError,
    Wanted,
    find_template,
)
from marketing_pipelines.domains.delivery.named_templates.template import built_in
from marketing_pipelines.domains.delivery.rendering import fill_in, problem_of
from marketing_pipelines.domains.delivery.viewing import viewed
from marketing_pipelines.loading import LoadResult, load_file
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.world import CONTENTS, World, files, mail

MAIL = {
    "external_id": "hello",
    "subject": "Hello {{ first_name }}",
    "text": "Dear {{ first_name }}",
}
BUILT_IN = {
    "verification": {"user_name", "verification_url", "app_name"},
    "welcome": {"user_name", "app_name", "url"},
    "daily_report": {
        *("title", "organization", "totals", "before", "campaigns", "more", "contacts"),
        *("messages", "failing"),
    },
    "export_ready": {"url", "expires_at", "size"},
    "newsletter": {"title", "text", "items"},
    "notification": {"title", "text", "items", "url"},
    "confirm_subscription": {"confirm_url", "category"},
}


def load(world: World, folder: Path, *rows: dict[str, Any]) -> LoadResult:
    """Loads templates of the world's organization."""
    path = folder / "templates.jsonl"
    path.write_text("\n".join(json.dumps({"organization_id": world.name, **row}) for row in rows))
    return load_file(world.engine, "templates", path, settings=get_settings())


def add_category(world: World, name: str) -> int:
    return int(
        world.value(
            "insert into delivery.categories (organization_id, external_id)"
            " values (:organization, :name) returning id",
            organization=world.organization,
            name=name,
        )
    )


def add_domain(world: World, domain: str) -> int:
    return int(
        world.value(
            "insert into delivery.sending_domains (organization_id, domain, from_address)"
            " values (:organization, :domain, 'hello@' || :domain) returning id",
            organization=world.organization,
            domain=domain,
        )
    )


def test_a_file_sets_the_columns_that_it_has(world: World, tmp_path: Path) -> None:
    assert load(world, tmp_path, MAIL | {"priority": "5", "valid_for": "2d"}).loaded == 1
    before = world.value("select updated_at from delivery.templates")
    assert load(world, tmp_path, {"external_id": "hello", "html": "<p>Dear</p>"}).changed == 1
    assert load(world, tmp_path, {"external_id": "hello", "text": None}).changed == 1
    assert load(world, tmp_path, {"external_id": "hello", "text": None}).repeated == 1
    assert world.rows(
        "select channel, kind, subject, text, html, priority, valid_for, updated_at > :before"
        " from delivery.templates",
        before=before,
    ) == [("email", "marketing", "Hello {{ first_name }}", None, "<p>Dear</p>", 5, "2d", True)]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"text": "a\nb\n{% if x %}"}, "text,cannot be read: Unexpected end of template"),
    (
        {"html": "<p>\n{{ x | nope }}</p>"},
        "html,cannot be read: No filter named 'nope' (its line 2)",
    ),
    ({"subject": None}, "subject,is missing"),
    ({"text": None}, "text,is missing"),
    ({"title": "x"}, "title,has no place in a message of the channel email: leave it empty"),
    ({"channel": "sms"}, "subject,has no place in a message of the channel sms"),
    ({"channel": "sms", "subject": None, "from": "news.acme.example"}, "from,is for mails only"),
    ({"channel": "push", "subject": None}, "title,is missing"),
    ({"channel": "fax"}, "channel,\"'fax' is not one of email, sms, push"),
    ({"kind": "urgent"}, "kind,\"'urgent' is not one of marketing, transactional"),
    ({"category": "nws"}, "category,there is no category 'nws': the known ones are news"),
    (
        {"from": "else.example"},
        "from,there is no sending domain 'else.example': the known ones are news.acme.example",
    ),
    ({"from": "Ann <a@b>"}, "from,'Ann <a@b>' is neither a sending domain nor an address of"),
    ({"priority": "101"}, "priority,'101' is not between -100 and 100"),
    ({"priority": "9" * 5_000}, "priority,'9999"),
    ({"valid_for": "soon"}, "valid_for,\"'soon' is no length: write a number and s, min, h, d"),
]


def test_a_bad_row_says_what_is_wrong_and_the_others_are_stored(
    world: World, tmp_path: Path
) -> None:
    add_category(world, "news")
    add_domain(world, "news.acme.example")
    rows = [{**MAIL, "external_id": f"bad{place}", **row} for place, (row, _) in enumerate(BAD)]
    result = load(world, tmp_path, *rows, MAIL)
    assert (result.loaded, result.rejected) == (1, len(BAD))
    assert result.rejects is not None
    refused = sorted(
        result.rejects.read_text().splitlines()[1:], key=lambda line: int(line.partition(",")[0])
    )
    for line, (place, (_, reason)) in zip(refused, enumerate(BAD, start=1), strict=True):
        assert line.startswith(f"{place},{reason}")
    assert world.rows("select external_id from delivery.templates") == [("hello",)]


def test_an_organization_finds_its_own_template_before_the_built_in_one(
    world: World, tmp_path: Path
) -> None:
    load(world, tmp_path, {**MAIL, "external_id": "welcome"})
    other = World(world.engine, name="other")
    with world.begin() as connection:
        assert find_template(connection, world.organization, "welcome").content == {
            "subject": MAIL["subject"],
            "text": MAIL["text"],
        }
        assert find_template(connection, other.organization, "welcome") is built_in()["welcome"]
        with pytest.raises(UnknownNameError) as refused:
            find_template(connection, world.organization, "welcom")
    assert str(refused.value) == (
        "template: there is no template 'welcom': the known ones are confirm_subscription,"
        " daily_report, export_ready, newsletter, notification, verification, welcome."
    )


def test_a_template_fills_in_what_a_step_leaves_open(world: World, tmp_path: Path) -> None:
    news, domain = add_category(world, "news"), add_domain(world, "news.acme.example")
    own = {"category": "news", "from": "ann@News.acme.example", "kind": "transactional"}
    load(world, tmp_path, MAIL | own | {"priority": 7, "valid_for": "0"})
    with world.begin() as connection:
        catalog = Catalog.read(connection, [world.organization], ["hello"])
    found = catalog.outgoing(world.organization, Wanted("email", "hello"))
    assert (found.kind, found.category_id, found.domain_id) == ("transactional", news, domain)
    assert (found.priority, found.valid_for) == (7, "0")
    assert found.content == {
        "subject": MAIL["subject"],
        "text": MAIL["text"],
        "from": "ann@News.acme.example",
    }
    given = Wanted("email", "hello", kind="marketing", priority=0, valid_for="1d")
    changed = catalog.outgoing(world.organization, given)
    assert (changed.kind, changed.priority, changed.valid_for) == ("marketing", 0, "1d")
    with pytest.raises(UnknownNameError, match="'hello' is a template of the channel email, not s"):
        catalog.outgoing(world.organization, Wanted("sms", "hello"))


def test_a_mail_comes_from_the_address_of_its_content(world: World) -> None:
    add_domain(world, "acme.example")
    contacts = world.contacts(2)
    [one] = world.messages(contacts[:1])
    [other] = world.messages(
        contacts[1:], content={**CONTENTS["email"], "from": "ann@acme.example"}
    )
    assert world.send().sent == 2
    assert [mail(number)["From"] for number in (one, other)] == [
        "Acme <hello@acme.example>",
        "Acme <ann@acme.example>",
    ]


def test_without_categories_the_one_category_is_general(world: World) -> None:
    with world.begin() as connection:
        catalog = Catalog.read(connection, [world.organization])
    assert catalog.category_id(world.organization, "general") is None
    with pytest.raises(UnknownNameError, match="no category 'news': the known ones are general"):
        catalog.category_id(world.organization, "news")
    with pytest.raises(UnknownNameError, match=r"'acme\.example': the known ones are none"):
        catalog.domain_id(world.organization, "acme.example")


def test_the_callers_variables_and_the_organization_win_over_the_contact(world: World) -> None:
    [ann] = world.contacts(1, attributes={"organization": "none", "code": "old", "plan": "gold"})
    text = "{{ organization }} {{ code }} {{ message.code }} {{ plan }}"
    world.messages([ann], "sms", content={"text": text})
    world.execute("""update delivery.messages set variables = '{"code": "new"}'""")
    assert world.send("sms").sent == 1
    [file] = files()
    assert file.read_text().splitlines()[1:] == ["Acme new new gold"]


def test_a_mail_is_shown_again_with_the_variables_it_was_sent_with(world: World) -> None:
    [ann] = world.contacts(1)
    content = {"subject": "For {{ code }}", "html": "<p>{{ first_name }}: {{ message.code }}</p>"}
    [number] = world.messages([ann], content=content)
    world.execute("""update delivery.messages set variables = '{"code": "a<b"}'""")
    with world.begin() as connection:
        shown = viewed(connection, number, Links("https://m.example.org", ["k" * 32]))
    assert shown is not None
    assert shown.startswith("<p>Ann: a&lt;b</p>")


def test_a_newsletter_that_would_say_nothing_is_not_sent(world: World) -> None:
    content = dict(built_in()["newsletter"].content)
    numbers = world.messages(world.contacts(3), content=content)
    for number, variables in zip(
        numbers, ('{"items": []}', '{"text": "New"}', "null"), strict=True
    ):
        world.execute(
            "update delivery.messages set variables = cast(:given as jsonb) where id = :id",
            given=variables,
            id=number,
        )
    report = world.send()
    assert (report.sent, report.failed) == (1, 2)
    reason = "It says nothing: its template needs text or items."
    assert world.states() == [("failed", reason), ("sent", None), ("failed", reason)]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_template_says_its_variables(name: str) -> None:
    assert set(built_in()) == set(BUILT_IN)
    content = built_in()[name].content
    assert problem_of(content) is None
    values: dict[str, Any] = {variable: f"value-of-{variable}" for variable in BUILT_IN[name]}
    lists: dict[str, list[Any]] = {
        "items": [{"title": "t", "text": "value-of-items", "url": "u"}],
        "totals": [{"name": "Sent", "text": "value-of-totals"}],
        "campaigns": [{"name": "value-of-campaigns", "sent": "1"}],
        "failing": ["value-of-failing"],
    }
    values |= {variable: rows for variable, rows in lists.items() if variable in values}
    filled = fill_in(content, {"organization": "Acme", **values})
    for variable in BUILT_IN[name]:
        assert f"value-of-{variable}" in filled["text"] + filled["subject"]
        assert f"value-of-{variable}" in filled["html"]
    # Nothing that is left out leaves a gap in the sentences.
    bare = fill_in(content, {"organization": "Acme"})
    assert "None" not in bare["text"]
    assert "{" not in bare["subject"] + bare["text"]
