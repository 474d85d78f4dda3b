"""What a template says for a contact, and what it cannot do."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines.domains.delivery.rendering import MessageError, fill_in

FIELDS = {
    "first_name": "Ann",
    "nothing": None,
    "intent_score": 7,
    "bold": "<b>&</b>",
    "cart": [{"name": "tea"}, {"name": "<cup>"}],
    "attributes": {"a b": "c"},
}


def text(template: str) -> str:
    return str(fill_in("sms", {"text": template}, FIELDS)["text"])


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
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "maximum recursion depth exceeded"),
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
    assert fill_in("email", content, FIELDS) == {
        "subject": "<b>&</b>",
        "text": "<b>&</b>",
        "html": "<p>&lt;b&gt;&amp;&lt;/b&gt;</p>",
    }


def test_a_mail_without_html_has_none() -> None:
    content = {"subject": "s", "text": "t", "html": None}
    assert fill_in("email", content, FIELDS) == {"subject": "s", "text": "t"}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (None, {"contact": FIELDS}),
        (
            {"who": "{{ first_name }}", "n": 1, "deep": [{"x": "{{ intent_score }}"}, None, True]},
            {"who": "Ann", "n": 1, "deep": [{"x": "7"}, None, True]},
        ),
        ({}, {}),
    ],
)
def test_a_webhook_carries_its_body_filled_in_or_the_contact(body: Any, sent: Any) -> None:
    content = {"url": "https://example.org/{{ first_name }}", "body": body}
    assert fill_in("webhook", content, FIELDS) == {
        "url": "https://example.org/{{ first_name }}",
        "body": sent,
    }


def test_a_hostile_template_takes_no_time() -> None:
    started = dt.datetime.now(dt.UTC)
    for template in ("{{ 'a' * 10000000000 }}", "{{ range(100000) | list }}", "{% for a in " * 99):
        with pytest.raises(MessageError):
            text(template)
    assert dt.datetime.now(dt.UTC) - started < dt.timedelta(seconds=5)
