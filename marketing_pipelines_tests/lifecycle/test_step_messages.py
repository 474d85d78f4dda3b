"""Steps that name a template, a category, a sending domain or a webhook endpoint."""

import json
from pathlib import Path
from typing import Any

from marketing_pipelines.domains.lifecycle.checking import problems
from marketing_pipelines.loading import LoadResult
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

TEMPLATE = {"external_id": "offer", "subject": "An offer", "text": "For {{ first_name }}"}
NAMES = {
    "template": "offer",
    "category": "news",
    "from": "ann@news.acme.example",
    "kind": "transactional",
    "priority": 9,
    "valid_for": "2h",
}


def load(world: ProgramWorld, kind: str, folder: Path, *rows: dict[str, Any]) -> LoadResult:
    """Loads rows of the world's organization."""
    path = folder / f"{kind}.jsonl"
    path.write_text("\n".join(json.dumps({"organization_id": world.name, **row}) for row in rows))
    return world.load(kind, path)


def step(name: str, **config: Any) -> dict[str, Any]:
    """A row of a file: a step of the campaign `welcome` that sends a mail."""
    return {
        "program_kind": "campaign",
        "program": "welcome",
        "external_id": name,
        "position": 10,
        "type": "send_email",
        "config": config,
    }


def prepare(world: ProgramWorld, folder: Path) -> tuple[int, int]:
    """Loads a template, a category and a domain; returns the numbers of the last two."""
    load(world, "categories", folder, {"external_id": "main", "is_default": "true"})
    load(world, "categories", folder, {"external_id": "news"})
    domain = {"domain": "news.acme.example", "from_address": "hello@news.acme.example"}
    load(world, "sending_domains", folder, domain)
    assert load(world, "templates", folder, TEMPLATE).loaded == 1
    return category(world, "news"), world.scalar(
        "select id from delivery.sending_domains where organization_id = :organization",
        organization=world.organization_id,
    )


def category(world: ProgramWorld, name: str) -> int:
    """The number of a category of the world's organization."""
    return int(
        world.scalar(
            "select id from delivery.categories where organization_id = :organization"
            " and external_id = :name",
            organization=world.organization_id,
            name=name,
        )
    )


def messages(world: ProgramWorld) -> list[tuple[Any, ...]]:
    """The messages of the world's organization, oldest first."""
    return world.rows(
        "select category_id, domain_id, kind, priority,"
        " case when expires_at < '9000-01-01' then (expires_at - queued_at)::text else 'never' end,"
        " content from delivery.messages as message"
        " join delivery.contents as content on content.id = content_id"
        " where message.organization_id = :organization order by message.id",
        organization=world.organization_id,
    )


def test_a_message_is_queued_with_all_that_its_step_and_template_give(
    world: ProgramWorld, tmp_path: Path
) -> None:
    news, domain = prepare(world, tmp_path)
    program = world.program([])
    assert load(world, "steps", tmp_path, step("hello", **NAMES)).loaded == 1
    world.enrol(program, world.contacts(1), at("03-02 10:00"))
    world.move(at("03-02 10:05"))
    sent = {"subject": "An offer", "text": "For {{ first_name }}", "from": NAMES["from"]}
    assert messages(world) == [(news, domain, "transactional", 9, "02:00:00", sent)]
    # A queued message stays as it is; the template gives the fields that the step leaves open.
    edited = {"external_id": "offer", "text": "New", "category": "main", "valid_for": "0"}
    load(world, "templates", tmp_path, edited)
    load(world, "steps", tmp_path, step("hello", template="offer"))
    world.enrol(program, world.contacts(1), at("03-02 11:00"))
    world.move(at("03-02 11:05"))
    [before, after] = messages(world)
    assert before == (news, domain, "transactional", 9, "02:00:00", sent)
    content = {"subject": "An offer", "text": "New"}
    assert after == (category(world, "main"), None, "marketing", 0, "never", content)


def test_a_row_that_names_something_unknown_is_refused_with_the_known_names(
    world: ProgramWorld, tmp_path: Path
) -> None:
    prepare(world, tmp_path)
    world.endpoint("https://hooks.example.org/in")
    texts = {"subject": "s", "text": "t"}
    result = load(
        world,
        "steps",
        tmp_path,
        step("a", template="ofer"),
        step("b", category="nws", **texts),
        {**step("c", template="offer"), "type": "send_sms"},
        step("d", template="welcome"),
        {**step("e", **{"from": "acme.example"}, **texts), "organization_id": "unknown"},
        {**step("f", url="https://hooks.example.org/in"), "type": "webhook"},
        {**step("g", url="https://hooks.example.org/out"), "type": "webhook"},
    )
    assert (result.loaded, result.rejected) == (2, 5)
    assert result.stubs == {"programs": 1}
    assert [note.partition(" (line")[0] for note in result.notes[:5]] == [
        "Refused: config template: there is no template 'ofer': the known ones are"
        " confirm_subscription, daily_report, export_ready, newsletter, notification, offer,"
        " verification,"
        " welcome",
        "Refused: config category: there is no category 'nws': the known ones are main, news",
        "Refused: config template: 'offer' is a template of the channel email, not sms",
        "Refused: config from: there is no sending domain 'acme.example': the known ones are none",
        f"Refused: config url: {world.name} has no webhook endpoint 'https://hooks.example.org/out'"
        f": add it by `webhook add URL --organization {world.name} --type step.reached`",
    ]
    assert world.rows(
        "select external_id from lifecycle.steps where organization_id = :organization",
        organization=world.organization_id,
    ) == [("d",), ("f",)]


def test_a_step_whose_template_cannot_be_read_any_more_is_named_once_and_keeps_its_contacts(
    world: ProgramWorld,
) -> None:
    world.execute(
        "insert into delivery.templates (organization_id, external_id, subject, text)"
        " values (:own, 'broken', 'News', '{% for x in %}')",
        own=world.organization_id,
    )
    program = world.program([("hello", "send_email", {"template": "broken"})])
    world.enrol(program, world.contacts(2), at("03-02 10:00"))
    report = world.move(at("03-02 10:05"))
    reason = "template: 'broken' cannot be used, load it again: text: "
    assert reason in report.blocked[f"campaign welcome of {world.name}"]
    assert world.standing(program) == {"hello": 2}
    assert world.messages() == {}
    world.execute(
        "update delivery.templates set text = 'Hello' where organization_id = :own",
        own=world.organization_id,
    )
    world.move(at("03-02 10:10"))
    assert world.messages() == {"hello": 2}


def test_a_step_whose_template_is_gone_is_named_and_keeps_its_contacts(
    world: ProgramWorld,
) -> None:
    program = world.program([("hello", "send_email", {"template": "gone"})])
    world.enrol(program, world.contacts(1), at("03-02 10:00"))
    reason = "template: there is no template 'gone': the known ones are confirm_subscription, "
    with world.engine.connect() as connection:
        [found] = [line for line in problems(connection) if f" of {world.name}, " in line]
    assert found.startswith(f"campaign welcome of {world.name}, step hello: {reason}")
    report = world.move(at("03-02 10:05"))
    assert reason in report.blocked[f"campaign welcome of {world.name}"]
    assert world.standing(program) == {"hello": 1}
