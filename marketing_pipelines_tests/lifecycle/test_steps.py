"""The valid steps of every type, and every error with its sentence."""

import json
from decimal import Decimal
from typing import Any

import pytest

from marketing_pipelines.documentation import DOCS
from marketing_pipelines.domains.lifecycle import step_schema, steps
from marketing_pipelines.domains.lifecycle.tables import STEP_TYPES

GOOD: dict[str, list[dict[str, Any]]] = {
    "send_email": [
        {"subject": "Hi {{ first_name }}", "text": "Hello"},
        {"subject": "s", "text": "t", "html": "<p>t</p>", "next": "later"},
        {"subject": "s", "text": "t", "html": None, "next": None},
        {"subject": "s", "text": "t", "kind": "transactional", "priority": -100, "valid_for": "0d"},
        {"subject": "s", "html": "<p>t</p>", "category": "news", "from": "news.acme.example"},
        {"template": "welcome", "category": "news", "from": "ann@acme.example", "valid_for": "0"},
    ],
    "send_sms": [{"text": "t"}, {"text": "t", "next": "end"}, {"template": "t", "category": "c"}],
    "send_push": [{"title": "t", "text": "t"}, {"template": "t", "priority": 5}],
    "wait": [
        {"for": "3d"},
        {"for": "1.5h"},
        {"for": "0d"},
        {"until": "09:00"},
        {"weekday": "monday"},
        {"weekday": "friday", "until": "23:59", "next": "later"},
    ],
    "branch": [
        {"rule": {"event": "opened"}, "yes": "a", "no": "b"},
        {"rule": {"any": []}},
        {"rule": {"attribute": "score", "op": "between", "value": [1.5, 2.5]}, "no": "end"},
    ],
    "wait_for": [
        {"event": "clicked", "timeout": "2d"},
        {"event": "clicked", "timeout": "2d", "source": "program", "yes": "a", "no": "b"},
        {"event": "clicked", "timeout": "0h", "source": ["k1", "k2"]},
    ],
    "split": [
        {"ways": [{"percent": 45}, {"percent": 45, "next": "b"}, {"percent": 10, "name": "none"}]},
        {"ways": [{"percent": 33.33}, {"percent": 66.67}], "decide_after": 100, "next": "end"},
        {"ways": [{"percent": 0}, {"percent": 100.0}]},
    ],
    "update_contact": [
        {"set": {"lifecycle_stage": "mql", "intent_score": 12, "timezone": "Asia/Tokyo"}},
        {"set": {"phone": None, "intent_score": None, "vip": True, "ratio": 1.5, "tags": ["a"]}},
    ],
    "create_task": [{"title": "Call"}, {"title": "Call", "due_in": "2d"}],
    "webhook": [
        {"url": "https://example.com/hook"},
        {"url": "http://localhost:8000/x", "body": {"a": [1]}},
    ],
    "exit": [{}, {"reason": "not interested"}],
}

MAIL = {"subject": "s", "text": "t"}
HALF = {"percent": 50}
BAD: list[tuple[str, Any, str]] = [
    ("send_email", {}, "The step has no 'subject'"),
    ("send_email", {"subject": "s"}, "The step has no 'text'"),
    ("send_email", MAIL | {"subject": ""}, "subject: is empty"),
    ("send_email", MAIL | {"subject": None}, "The step has no 'subject' and no 'template'"),
    ("send_email", MAIL | {"template": "t"}, "a step with a template has no texts of its own: le"),
    ("send_email", {"template": ""}, "template: is empty"),
    ("send_email", MAIL | {"text": 1}, "text: takes a text"),
    ("send_email", MAIL | {"sender": "x"}, "sender: is an unknown key: use next, kind, priority, "),
    ("send_email", MAIL | {"kind": "news"}, "kind: 'news' is none of marketing, transactional"),
    ("send_email", MAIL | {"priority": 101}, "priority: takes a whole number up to 100"),
    ("send_email", MAIL | {"priority": -101}, "priority: takes a whole number from -100 on"),
    ("send_email", MAIL | {"valid_for": "soon"}, "valid_for: "),
    ("send_email", MAIL | {"next": ""}, "next: is empty"),
    ("send_email", [MAIL], "is not a JSON object"),
    ("send_email", "s", "is not a JSON object"),
    ("send_sms", {"text": "t", "title": "t"}, "title: is an unknown key: use next, kind, "),
    ("send_sms", {"template": "t", "from": "x"}, "from: is an unknown key: use next, kind, "),
    ("send_sms", {"category": "c"}, "The step has no 'text' and no 'template'"),
    ("send_push", {"text": "t"}, "The step has no 'title'"),
    ("wait", {}, 'a wait has either "for", a length, or "until" and "weekday", or one of the two'),
    ("wait", {"for": "1d", "until": "09:00"}, 'a wait has either "for"'),
    ("wait", {"for": "soon"}, "for: 'soon' is no length: write a number and s, min, h, d or w"),
    ("wait", {"for": 3}, "for: takes a text"),
    ("wait", {"for": "999999999999w"}, "for: '999999999999w' is no length between an instant and"),
    ("wait", {"until": "9:00"}, "until: '9:00' is no time of day: write hours and minutes"),
    ("wait", {"until": "24:00"}, "until: '24:00' is no time of day"),
    ("wait", {"weekday": "Monday"}, "weekday: 'Monday' is none of monday, tuesday, wednesday"),
    ("split", {}, "The step has no 'ways'"),
    ("split", {"ways": 2}, "ways: takes a list"),
    ("split", {"ways": [{"percent": 100}]}, "ways: takes 2 to 26 ways"),
    ("split", {"ways": [HALF, 50]}, "ways[1]: takes an object"),
    ("split", {"ways": [HALF, {"name": "B"}]}, "ways[1]: has no 'percent'"),
    ("split", {"ways": [HALF, {"percent": "50"}]}, "ways[1].percent: takes a number"),
    ("split", {"ways": [HALF, {"percent": True}]}, "ways[1].percent: takes a number"),
    ("split", {"ways": [HALF, {"percent": 150}]}, "ways[1].percent: takes a percentage from 0 to"),
    ("split", {"ways": [{"percent": 33.333}, HALF]}, "ways[0].percent: has more than two decimals"),
    ("split", {"ways": [HALF, {"percent": 40}]}, "ways: the percentages are 90 together, not 100"),
    ("split", {"ways": [{**HALF, "name": "B"}, HALF]}, "ways: two ways have the same name"),
    ("split", {"ways": [{**HALF, "name": ""}, HALF]}, "ways[0].name: is empty"),
    (
        "split",
        {"ways": [HALF, {**HALF, "to": "a"}]},
        "ways[1].to: is an unknown key: use name, percent, next",
    ),
    (
        "split",
        {"ways": [HALF, HALF], "decide_after": 0},
        "decide_after: takes a whole number from 1 on",
    ),
    ("branch", {}, "The step has no 'rule'"),
    ("branch", {"rule": {}}, "rule: must be an object with just one of the keys all, any, not"),
    ("branch", {"rule": {"event": ""}}, "rule: event: "),
    (
        "branch",
        {"rule": {"all": [{"attribute": "a", "op": "before", "value": 1}]}},
        "rule: all[0].value: takes a date",
    ),
    ("branch", {"rule": {"any": []}, "maybe": "a"}, "maybe: is an unknown key: use next, yes, no"),
    ("wait_for", {"event": "opened"}, "The step has no 'timeout'"),
    ("wait_for", {"event": "o*", "timeout": "1d"}, "event: names one event type exactly"),
    ("wait_for", {"event": "o", "timeout": "1"}, "timeout: '1' is no length"),
    (
        "wait_for",
        {"event": "o", "timeout": "1d", "source": []},
        "source: takes the external id of a campaign, a list of them, or program",
    ),
    ("wait_for", {"event": "o", "timeout": "1d", "source": 1}, "source: takes the external id"),
    ("wait_for", {"event": "o", "timeout": "1d", "source": [1]}, "source: takes the external id"),
    ("update_contact", {}, "The step has no 'set'"),
    ("update_contact", {"set": {}}, "set: is empty"),
    ("update_contact", {"set": []}, "set: takes an object"),
    ("update_contact", {"set": {"": 1}}, "set: has an empty name"),
    ("update_contact", {"set": {"external_id": "x"}}, "set: 'external_id' cannot be set by a step"),
    ("update_contact", {"set": {"created_at": "x"}}, "set: 'created_at' cannot be set by a step"),
    ("update_contact", {"set": {"intent_score": "1"}}, "set: 'intent_score' takes a whole number"),
    ("update_contact", {"set": {"intent_score": True}}, "set: 'intent_score' takes a whole number"),
    ("update_contact", {"set": {"intent_score": 1.5}}, "set: 'intent_score' takes a whole number"),
    (
        "update_contact",
        {"set": {"intent_score": 2**31}},
        "set: 'intent_score' takes a whole number",
    ),
    ("update_contact", {"set": {"email": 1}}, "set: 'email' is a text"),
    ("update_contact", {"set": {"timezone": "Mars"}}, "set: 'Mars' is not an IANA time zone"),
    ("create_task", {"title": ""}, "title: is empty"),
    ("create_task", {"title": "t", "due_in": "x"}, "due_in: 'x' is no length"),
    ("webhook", {}, "The step has no 'url'"),
    ("webhook", {"url": "https://x", "category": "c"}, "category: is an unknown key: use next, "),
    ("webhook", {"url": "https://x", "bulk": True}, "bulk: is an unknown key: use next, url, body"),
    (
        "webhook",
        {"url": "ftp://x"},
        "url: 'ftp://x' is no address that begins with http:// or https://",
    ),
    ("webhook", {"url": "https://x", "body": [1]}, "body: takes an object"),
    ("exit", {"reason": ""}, "reason: is empty"),
]


def test_every_type_has_its_cases_here() -> None:
    assert list(steps.TYPES) == list(STEP_TYPES) == list(GOOD)
    assert {kind for kind, _, _ in BAD} == set(STEP_TYPES)


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_step_is_read(kind: str) -> None:
    for config in GOOD[kind]:
        assert steps.problem_of(kind, json.dumps(config)) is None
        assert type(steps.parse(kind, config)) is steps.TYPES[kind]


@pytest.mark.parametrize(("kind", "config", "sentence"), BAD)
def test_a_bad_step_says_what_is_wrong_and_where(kind: str, config: Any, sentence: str) -> None:
    problem = steps.problem_of(kind, json.dumps(config))
    assert problem is not None
    assert problem.startswith(sentence)
    assert not problem.endswith(".")
    if isinstance(config, dict):
        with pytest.raises(steps.StepError) as raised:
            steps.parse(kind, config)
        assert str(raised.value) == problem + "."


@pytest.mark.parametrize("text", ["", "{", "nul", '{"a": ' * 100_000])
def test_text_that_is_no_json_says_so(text: str) -> None:
    assert steps.problem_of("exit", text) == "is not valid JSON"


def test_an_unknown_type_names_those_that_exist() -> None:
    with pytest.raises(steps.StepError, match=r"'post' is no type of step: use send_email, send_"):
        steps.parse("post", {})
    assert steps.problem_of("post", "{}") is None


@pytest.mark.parametrize("value", [1.5, Decimal("1.5")])
def test_decimal_numbers_stay_numbers(value: float | Decimal) -> None:
    rule = {"attribute": "a", "op": "between", "value": [value, 2]}
    read = steps.parse("branch", {"rule": rule})
    assert isinstance(read, steps.Branch)
    assert read.rule.value == [Decimal("1.5"), 2]
    update = steps.parse("update_contact", {"set": {"ratio": value}})
    assert isinstance(update, steps.UpdateContact)
    assert update.values == {"ratio": value}


@pytest.mark.parametrize(
    ("kind", "config", "reason"),
    [
        (
            "send_email",
            {"subject": "Hi {{ name", "text": "x"},
            "subject: unexpected end of template",
        ),
        ("send_sms", {"text": "{{ 2*3 }}"}, "text: a template cannot use mul"),
        (
            "webhook",
            {"url": "https://a.example/{{", "body": {"a": ["{% if %}"]}},
            "body.a: Expected",
        ),
        ("send_push", {"title": "Hi {{ name }}", "text": "x"}, None),
    ],
)
def test_a_template_that_cannot_be_read_is_refused_when_it_is_loaded(
    kind: str, config: dict[str, object], reason: str | None
) -> None:
    found = steps.problem_of(kind, json.dumps(config))
    assert found is None if reason is None else str(found).startswith(reason)


def test_a_step_says_where_it_leads() -> None:
    assert steps.parse("wait", {"for": "1d", "next": "a"}).targets == {"next": "a"}
    fork = {"rule": {"any": []}, "next": "a", "yes": "b"}
    assert steps.parse("branch", fork).targets == {"next": "a", "yes": "b", "no": "a"}


def test_the_steps_in_the_documentation_are_good_and_of_every_type() -> None:
    page = (DOCS / "programs.md").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in page.splitlines() if line.startswith('{"organization_id"')]
    assert {row["type"] for row in rows} == set(STEP_TYPES)
    for row in rows:
        assert steps.problem_of(row["type"], json.dumps(row["config"])) is None
    names = [row["external_id"] for row in sorted(rows, key=lambda row: row["position"])]
    for row in rows:
        for target in steps.parse(row["type"], row["config"]).targets.values():
            later = names[names.index(row["external_id"]) + 1 :]
            assert target in {None, steps.END, *later}


def test_the_schema_has_every_type_with_its_keys() -> None:
    listed = step_schema.json_schema()["oneOf"]
    assert [one["properties"]["type"]["const"] for one in listed] == list(STEP_TYPES)
    for one, (kind, model) in zip(listed, steps.TYPES.items(), strict=True):
        config = one["properties"]["config"]
        assert set(config["properties"]) == {
            field.alias or name for name, field in model.model_fields.items()
        }
        assert config["additionalProperties"] is False
        assert ("config" in one["required"]) == (kind != "exit")
