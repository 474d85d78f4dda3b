"""A template is rendered for a contact, within the limits of templates."""

import time
import tracemalloc
from typing import Any

import pytest

from marketing_pipelines.domains.delivery.rendering import (
    MessageError,
    fill_in,
    fill_in_body,
    problem_of,
)
from marketing_pipelines_tests.scale import soak_only

FIELDS = {
    "first_name": "Ann",
    "nothing": None,
    "intent_score": 7,
    "bold": "<b>&</b>",
    "cart": [{"name": "tea"}, {"name": "<cup>"}],
    "attributes": {"a b": "c"},
}


def deep(levels: int) -> Any:
    """A text in so many lists."""
    found: Any = "x"
    for _ in range(levels):
        found = [found]
    return found


def text(template: str) -> str:
    return str(fill_in({"text": template}, FIELDS)["text"])


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("plain", "plain"),
        ("Hi {{ first_name }}!", "Hi Ann!"),
        ("Hi {{ last_name }}!", "Hi !"),
        ("{{ company.address.city }}", ""),
        ("{{ nothing }}", ""),
        ('{{ last_name | default("friend") }}', "friend"),
        ("{{ first_name | upper }}", "ANN"),
        ("{{ first_name[:1] }}", "A"),
        ("{{ intent_score + 1 }}", "8"),
        ("{% if intent_score > 5 %}hot{% else %}cold{% endif %}", "hot"),
        ('{{ "a" if first_name == "Bob" else "b" }}', "b"),
        ("{% for item in cart %}{{ loop.index }}{{ item.name }} {% endfor %}", "1tea 2<cup> "),
        ("{% for item in wishes %}x{% endfor %}", ""),
        ('{{ attributes["a b"] }}', "c"),
        ("{{ bold }}", "<b>&</b>"),
        ("Grüße 🎉\n", "Grüße 🎉\n"),
        ("{{ cycler.__init__.__globals__ }}", ""),
        ("{{ first_name.__class__.__mro__ }}", ""),
        ("{{ first_name }} \\{\\{", "Ann \\{\\{"),
    ],
)
def test_a_template_says(template: str, says: str) -> None:
    assert text(template) == says


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ first_name", "unexpected end of template"),
        ("{{ first_name | nope }}", "No filter named 'nope'"),
        ("{{ range(10) }}", "a template cannot use call"),
        ("{{ 'a' * 10000000000 }}", "a template cannot use mul"),
        ("{{ 9 ** 9999999 }}", "a template cannot use pow"),
        ("{{ '%1000000000d' % 1 }}", "a template cannot use mod"),
        ("{{ '{:>1000000000}'.format(1) }}", "a template cannot use call"),
        ("{{ 'x' | center(1000000000) }}", "No filter named 'center'"),
        ("{% set x = 'a' %}", "a template cannot use assign"),
        ("{% for a in cart %}{% for b in cart %}x{% endfor %}{% endfor %}", "a loop cannot stand"),
        ("{% include 'etc/passwd' %}", "a template cannot use include"),
        ("{% macro m() %}{{ m() }}{% endmacro %}", "a template cannot use macro"),
        ("{{ first_name + 1 }}", "can only concatenate str"),
        ("{{ last_name > 3 }}", "'last_name' is undefined"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "it is nested deeper than 30 levels"),
        ("{{ range(100000) | list }}", "a template cannot use call"),
        ("{% for a in " * 99, "it is nested deeper than 30 levels"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_a_failure_with_a_sentence(
    template: str, reason: str
) -> None:
    with pytest.raises(MessageError) as refused:
        text(template)
    sentence = str(refused.value)
    assert sentence.startswith(f"Its text cannot be filled in: {reason}")
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_only_html_is_escaped() -> None:
    content = {"subject": "{{ bold }}", "text": "{{ bold }}", "html": "<p>{{ bold }}</p>"}
    assert fill_in(content, FIELDS) == {
        "subject": "<b>&</b>",
        "text": "<b>&</b>",
        "html": "<p>&lt;b&gt;&amp;&lt;/b&gt;</p>",
    }


def test_a_mail_without_html_has_none() -> None:
    content = {"subject": "s", "text": "t", "html": None}
    assert fill_in(content, FIELDS) == {"subject": "s", "text": "t"}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (
            {"who": "{{ first_name }}", "n": 1, "deep": [{"x": "{{ intent_score }}"}, None, True]},
            {"who": "Ann", "n": 1, "deep": [{"x": "7"}, None, True]},
        ),
        ({}, {}),
    ],
)
def test_a_webhook_carries_its_body_filled_in(body: Any, sent: Any) -> None:
    assert fill_in_body(body, FIELDS) == sent


def hostile_loop(body: str) -> str:
    return "{% for item in long %}" + body + "{% endfor %}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for c in first_name %}{{ c }}{% endfor %}", "a loop goes over lists, not over text"),
        ("{% for c in 'abc' %}{{ c }}{% endfor %}", "a loop goes over lists, not over text"),
        ("{% for c in attributes %}{{ c }}{% endfor %}", "a loop goes over lists, not over object"),
        ("{% for c in 7 %}{{ c }}{% endfor %}", "a loop goes over lists, not over number"),
        ("{% if 1 %}" * 500 + "{% endif %}" * 500, "it is nested deeper than 30 levels"),
        ("{{ " + "[" * 500 + "]" * 500 + " }}", "it is nested deeper than 30 levels"),
        ("{{ " + "not " * 500 + "1 }}", "it is nested deeper than 30 levels"),
        ("{{ " + "a.b" + ".c" * 500 + " }}", "it is nested deeper than 30 levels"),
        ("{{ " + "a | upper" + " | lower" * 500 + " }}", "it is nested deeper than 30 levels"),
        ("{{ " + " + ".join(["large"] * 500) + " }}", "it is nested deeper than 30 levels"),
        ("{{ first_name }}" * 20_001, "it is longer than 20,000 words"),
        (hostile_loop("{{ large }}"), "it is longer than 1,000,000 characters"),
        (hostile_loop("x" * 30_000), "it is longer than 1,000,000 characters"),
        (hostile_loop("{% if large ~ large == 'x' %}{% endif %}"), "it takes too long"),
        (hostile_loop("{% if large + large == 'x' %}{% endif %}"), "it takes too long"),
        (hostile_loop("{% if large[1:] %}{% endif %}"), "it takes too long"),
        (hostile_loop("{% if large == larger %}{% endif %}"), "it takes too long"),
        (hostile_loop("{% if large is in larger %}{% endif %}"), "it takes too long"),
        (hostile_loop("{% if large | striptags %}{% endif %}"), "it takes too long"),
        (hostile_loop("{% if [large] | last == [larger] %}{% endif %}"), "it takes too long"),
        (hostile_loop("{% if 'a' | default(large | upper) %}{% endif %}"), "it takes too long"),
        ("{{ [" + ", ".join(["large"] * 2000) + "] }}", "it takes too long"),
        pytest.param(
            "{{ " + " ~ ".join(["large"] * 2000) + " }}",
            "it takes too long",
            marks=[pytest.mark.soak, soak_only],
        ),
        ("{{ 1 | round(1000000000, 'floor') }}", "round keeps at most 20 digits"),
        ("{{ 1.5 | round(precision=1000000000) }}", "round keeps at most 20 digits"),
        ("{{ " + "9" * 5000 + " }}", "Exceeds the limit"),
        ("{% if " + "a" * 20_000 + "! %}", "unexpected char '!'"),
    ],
)
def test_no_template_takes_much_time_or_memory(template: str, reason: str) -> None:
    fields = {**FIELDS, "large": "<a>" * 10_000, "larger": "<a>" * 10_001, "long": [1] * 10_000}
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(MessageError) as refused:
        fill_in({"text": template}, fields)
    seconds = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(refused.value).startswith(f"Its text cannot be filled in: {reason}")
    assert seconds < 15, "tracing memory takes most of it"
    assert peak < 60_000_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"text": "{% if 1 %}" * 500 + "{% endif %}" * 500}, "text: it is nested deeper than 30"),
        ({"text": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}"}, "text: it is nested deeper than"),
        ({"text": "{{ " + "9" * 5000 + " }}"}, "text: Exceeds the limit"),
        ({"html": "{% for a in 'text' %}{% endfor %}"}, "html: a loop goes over lists"),
        ({"body": deep(400)}, "body: it is nested deeper than 30 levels"),
        ({"body": {"a": [{"b": "{{ range(3) }}"}]}}, "body.a.b: a template cannot use call"),
    ],
)
def test_what_no_contact_can_get_is_said_when_the_step_is_loaded(
    content: dict[str, Any], reason: str
) -> None:
    assert (problem_of(content) or "").startswith(reason)


def test_the_limits_of_a_message_hold_for_all_its_parts_together() -> None:
    half = "x" * 600_000
    with pytest.raises(MessageError, match="Its html cannot be filled in: it is longer than"):
        fill_in({"subject": "s", "text": half, "html": half}, {})
    with pytest.raises(MessageError, match=r"Its body\.b cannot be filled in: it is longer than"):
        fill_in_body({"a": half, "b": half}, {})
    assert fill_in({"text": half}, {}) == {"text": half}


def test_a_template_that_is_accepted_is_filled_in_however_deep_its_caller_stands() -> None:
    brackets = "{{ " + "(" * 29 + "first_name" + ")" * 29 + " }}"
    conditions = "{% if 1 %}" * 27 + "x" + "{% endif %}" * 27

    def stand(depth: int) -> str:
        return stand(depth - 1) if depth else text(brackets) + text(conditions)

    assert problem_of({"text": brackets}) is None
    assert problem_of({"text": conditions}) is None
    assert stand(300) == "Annx"


def test_a_body_that_is_nested_too_deep_is_a_failure_of_its_message() -> None:
    with pytest.raises(MessageError, match="Its body cannot be filled in: it is nested deeper"):
        fill_in_body(deep(2000), {})


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for item in nothing %}x{% endfor %}", ""),
        ("{% for item in [1, 2] %}{{ item }}{% else %}none{% endfor %}", "12"),
        ("{% for item in [] %}{{ item }}{% else %}none{% endfor %}", "none"),
        ("{% for item in cart if item.name == 'tea' %}{{ item.name }}{% endfor %}", "tea"),
        ("{% for item in cart[:1] %}{{ item.name }}{{ loop.last }}{% endfor %}", "teaTrue"),
        ("{{ cart | length }}{{ (cart | first).name | upper }}", "2TEA"),
        ("{{ 2.345 | round(2) }} {{ 2.6 | round | int }}", "2.35 3"),
        ("{{ '<p>a <!-- b --> &amp; <b>c</b>' | striptags }}", "a & c"),
        ("{{ first_name ~ '-' ~ (intent_score + 1) }}", "Ann-8"),
        ("{% if 'nn' in first_name and last_name is not defined %}y{% endif %}", "y"),
        ("{{ cart }}", "[{'name': 'tea'}, {'name': '<cup>'}]"),
    ],
)
def test_bounds_change_nothing_of_what_a_template_says(template: str, says: str) -> None:
    assert text(template) == says


def test_html_stays_escaped_once_whatever_joins_it() -> None:
    content = {
        "subject": "s",
        "text": "t",
        "html": "{{ bold ~ '<i>' }}{{ bold | upper }}{{ cart }}",
    }
    assert fill_in(content, FIELDS)["html"] == (
        "&lt;b&gt;&amp;&lt;/b&gt;&lt;i&gt;&lt;B&gt;&amp;&lt;/B&gt;"
        "[{&#39;name&#39;: &#39;tea&#39;}, {&#39;name&#39;: &#39;&lt;cup&gt;&#39;}]"
    )
