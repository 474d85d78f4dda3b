"""The plain evaluator says what the tables say; whatever else is tried against it rests on this."""

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines_tests.segments.cases import by_world, error_world, every_case
from marketing_pipelines_tests.segments.checking import OPERATORS, RuleError, check, names
from marketing_pipelines_tests.segments.days import instant, period, written
from marketing_pipelines_tests.segments.errors import ERRORS
from marketing_pipelines_tests.segments.naive import World, holds, read_text
from marketing_pipelines_tests.segments.operators import VALUES

CASES = by_world(every_case())


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: f"{n}-{CASES[n][1][0].table}")
def test_every_row_of_the_tables_holds(number: int) -> None:
    world, cases = CASES[number]
    contacts = {contact.external_id: contact for contact in world.contacts}
    wrong = [
        f"{case.rule} of {contacts[case.contact]}, {world.events.get(case.contact)}"
        for case in cases
        if holds(case.rule, contacts[case.contact], world) != case.expected
    ]
    assert wrong == []


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: f"{n}-{CASES[n][1][0].table}")
def test_every_rule_of_the_tables_is_valid(number: int) -> None:
    world, cases = CASES[number]
    for case in cases:
        check(case.rule, world)
    for segment in world.segments.values():
        check(segment.rule, world)


def test_every_operator_has_rows_of_both_answers() -> None:
    said = {(case.rule["op"], case.expected) for case in every_case() if "attribute" in case.rule}
    assert said == {(op, answer) for op in OPERATORS for answer in (True, False)}


def test_no_row_of_a_table_contradicts_another() -> None:
    said: dict[str, bool] = {}
    for stored, op, value, expected in VALUES:
        assert said.setdefault(f"{stored!r} {op} {value!r}", expected) is expected


@pytest.mark.parametrize(("rule", "path"), ERRORS)
def test_a_wrong_rule_is_refused_where_it_is_wrong(rule: Any, path: str) -> None:
    with pytest.raises(RuleError) as caught:
        check(rule, error_world())
    assert caught.value.path == path


def test_a_number_is_text_as_postgresql_prints_it() -> None:
    printed = {
        "1.50": "1.50",
        "1e3": "1000",
        "1.5e3": "1500",
        "1e-3": "0.001",
        "0e3": "0",
        "0e-3": "0.000",
        "-0.0": "0.0",
        "-1.10": "-1.10",
    }
    assert {text: read_text(Decimal(text)) for text in printed} == printed


def test_words_name_days_of_the_organization() -> None:
    world = World(ZoneInfo("Pacific/Auckland"), dt.datetime(2026, 3, 31, 11, 0, tzinfo=dt.UTC))
    named = {
        word: tuple(day.isoformat() for day in period(word, world.now, world.zone).days)
        for word in ("today", "this_week", "last_month", "this_quarter", "next_year", "-1mo")
    }
    assert named == {
        "today": ("2026-04-01", "2026-04-01"),
        "this_week": ("2026-03-30", "2026-04-05"),
        "last_month": ("2026-03-01", "2026-03-31"),
        "this_quarter": ("2026-04-01", "2026-06-30"),
        "next_year": ("2027-01-01", "2027-12-31"),
        "-1mo": ("2026-03-01", "2026-03-01"),
    }


def test_a_name_finds_what_it_names() -> None:
    values = {"a": {"b": {"c": 1}, "x.y": 2}, "d.e": {"f": 3}, "g": [{"h": 4}]}
    assert names(values) == ["a", "a.b", "a.b.c", "d.e", "g"]


def test_an_instant_in_a_rule_is_a_period_of_a_microsecond() -> None:
    now = dt.datetime(2026, 3, 31, tzinfo=dt.UTC)
    found = period("2026-03-31T02:00+02:00", now, ZoneInfo("UTC"))
    assert found == (instant(now), instant(now) + 1, None)


def test_a_day_is_told_from_its_midnight() -> None:
    assert written("2026-03-31").is_day
    assert not written("2026-03-31T00:00").is_day
