"""The answers of conditions on events, groups and segments, by hand from the specification.

Now is 2026-03-31T12:00:00Z, which is 08:00 in New York, the organization's zone.
"""

import datetime as dt
from decimal import Decimal
from typing import Any

from marketing_pipelines_tests.segments.naive import Event, Segment

ZONE = "America/New_York"
NOW = "2026-03-31T12:00:00+00:00"


def at(
    time: str,
    event_type: str = "opened",
    properties: dict[str, Any] | None = None,
    *,
    id: str = "e",
    source: str | None = None,
    source_type: str = "campaign",
) -> Event:
    """An event of March 2026 at a UTC time such as `31T11:59`, or at a whole ISO instant."""
    text = time if len(time) > 20 else f"2026-03-{time}Z"
    return Event(id, event_type, dt.datetime.fromisoformat(text), source, properties, source_type)


NEVER: list[Event] = []
ONCE = [at("30T12:00")]
TWICE = [at("30T12:00", id="e1"), at("30T12:00", id="e2")]
THRICE = [*TWICE, at("01T00:00", id="e3")]

# Events of a contact, condition, expected.
EventRow = tuple[list[Event], dict[str, Any], bool]

COUNTS: list[EventRow] = [
    (NEVER, {"event": "opened"}, False),
    (ONCE, {"event": "opened"}, True),
    (THRICE, {"event": "opened"}, True),
    (ONCE, {"event": "clicked"}, False),
    (ONCE, {"event": "opened", "op": ">="}, True),
    (ONCE, {"event": "opened", "times": 1}, True),
    (ONCE, {"event": "opened", "times": 2}, False),
    (TWICE, {"event": "opened", "times": 2}, True),
    (THRICE, {"event": "opened", "times": 2}, True),
    (NEVER, {"event": "opened", "op": "=", "times": 0}, True),
    (ONCE, {"event": "opened", "op": "=", "times": 0}, False),
    ([at("30T12:00", "clicked")], {"event": "opened", "op": "=", "times": 0}, True),
    (NEVER, {"event": "opened", "op": ">=", "times": 0}, True),
    (ONCE, {"event": "opened", "op": ">=", "times": 0}, True),
    (NEVER, {"event": "opened", "op": "!=", "times": 0}, False),
    (ONCE, {"event": "opened", "op": "!=", "times": 0}, True),
    (NEVER, {"event": "opened", "op": ">", "times": 0}, False),
    (ONCE, {"event": "opened", "op": ">", "times": 0}, True),
    (NEVER, {"event": "opened", "op": "<", "times": 0}, False),
    (NEVER, {"event": "opened", "op": "<=", "times": 0}, True),
    (ONCE, {"event": "opened", "op": "<=", "times": 0}, False),
    (NEVER, {"event": "opened", "op": "<", "times": 2}, True),
    (ONCE, {"event": "opened", "op": "<", "times": 2}, True),
    (TWICE, {"event": "opened", "op": "<", "times": 2}, False),
    (NEVER, {"event": "opened", "op": "<=", "times": 2}, True),
    (TWICE, {"event": "opened", "op": "<=", "times": 2}, True),
    (THRICE, {"event": "opened", "op": "<=", "times": 2}, False),
    (NEVER, {"event": "opened", "op": "!=", "times": 2}, True),
    (TWICE, {"event": "opened", "op": "!=", "times": 2}, False),
    (THRICE, {"event": "opened", "op": "!=", "times": 2}, True),
    (ONCE, {"event": "opened", "op": "=", "times": 2}, False),
    (TWICE, {"event": "opened", "op": "=", "times": 2}, True),
    (THRICE, {"event": "opened", "op": "=", "times": 2}, False),
    (TWICE, {"event": "opened", "op": ">", "times": 2}, False),
    (THRICE, {"event": "opened", "op": ">", "times": 2}, True),
    (NEVER, {"event": "opened", "op": "<", "times": 1000000}, True),
]

TYPES: list[EventRow] = [
    ([at("30T12:00", "Opened")], {"event": "opened"}, False),
    ([at("30T12:00", "opened")], {"event": "open"}, False),
    ([at("30T12:00", "opened")], {"event": "open*"}, True),
    ([at("30T12:00", "open")], {"event": "open*"}, True),
    ([at("30T12:00", "ope")], {"event": "open*"}, False),
    ([at("30T12:00", "reopened")], {"event": "open*"}, False),
    ([at("30T12:00", "Opened")], {"event": "open*"}, False),
    ([at("30T12:00", "whatever")], {"event": "*"}, True),
    (NEVER, {"event": "*"}, False),
    (NEVER, {"event": "*", "op": "=", "times": 0}, True),
    ([at("30T12:00", "a", id="1"), at("30T12:00", "b", id="2")], {"event": "*", "times": 2}, True),
    ([at("30T12:00", "a*b")], {"event": "a*b"}, True),
    ([at("30T12:00", "axb")], {"event": "a*b"}, False),
    ([at("30T12:00", "a*bc")], {"event": "a*b*"}, True),
    ([at("30T12:00", "axbc")], {"event": "a*b*"}, False),
    ([at("30T12:00", "a*")], {"event": "a**"}, True),
    ([at("30T12:00", "ab")], {"event": "a**"}, False),
    ([at("30T12:00", "page_view")], {"event": "page_*"}, True),
    ([at("30T12:00", "pagexview")], {"event": "page_*"}, False),
    ([at("30T12:00", "page%view")], {"event": "page%*"}, True),
    ([at("30T12:00", "pagexview")], {"event": "page%*"}, False),
    ([at("30T12:00", "a\\b")], {"event": "a\\*"}, True),
    ([at("30T12:00", "a*")], {"event": "a\\*"}, False),
    ([at("30T12:00", "axb")], {"event": "a%b"}, False),
    ([at("30T12:00", "caf\u00e9")], {"event": "cafe\u0301"}, False),
    ([at("30T12:00", "o'k")], {"event": "o'*"}, True),
]

WINDOWS: list[EventRow] = [
    # Nothing at or after now is seen, whatever the window.
    ([at("31T11:59:59.999999")], {"event": "opened"}, True),
    ([at("31T12:00")], {"event": "opened"}, False),
    ([at("31T12:00")], {"event": "opened", "op": "=", "times": 0}, True),
    ([at("31T12:00:00.000001")], {"event": "opened"}, False),
    ([at("31T13:00")], {"event": "opened", "since": "today"}, False),
    ([at("31T13:00")], {"event": "opened", "until": "tomorrow"}, False),
    ([at("31T11:00")], {"event": "opened", "until": "tomorrow"}, True),
    ([at("31T12:00")], {"event": "opened", "since": "2026-03-31T12:00:00Z"}, False),
    ([at("31T11:00")], {"event": "opened", "since": "tomorrow"}, False),
    ([at("31T12:00", id="e2"), *ONCE], {"event": "opened", "op": "=", "times": 1}, True),
    # within d = [now - d, now)
    ([at("01T12:00")], {"event": "opened", "within": "30d"}, True),
    ([at("01T11:59:59.999999")], {"event": "opened", "within": "30d"}, False),
    ([at("31T11:59:59.999999")], {"event": "opened", "within": "30d"}, True),
    ([at("31T12:00")], {"event": "opened", "within": "30d"}, False),
    ([at("24T12:00")], {"event": "opened", "within": "1w"}, True),
    ([at("24T11:59:59")], {"event": "opened", "within": "1w"}, False),
    ([at("31T10:30")], {"event": "opened", "within": "1.5h"}, True),
    ([at("31T10:29:59.999999")], {"event": "opened", "within": "1.5h"}, False),
    ([at("31T11:50")], {"event": "opened", "within": "10min"}, True),
    ([at("31T11:59:50")], {"event": "opened", "within": "10s"}, True),
    ([at("31T11:59:49")], {"event": "opened", "within": "10s"}, False),
    ([at("01T11:59")], {"event": "opened", "op": "=", "times": 0, "within": "30d"}, True),
    ([at("01T12:00")], {"event": "opened", "op": "=", "times": 0, "within": "30d"}, False),
    # since x = from its start; today began at 04:00 UTC.
    ([at("31T04:00")], {"event": "opened", "since": "today"}, True),
    ([at("31T03:59:59.999999")], {"event": "opened", "since": "today"}, False),
    ([at("30T04:00")], {"event": "opened", "since": "yesterday"}, True),
    ([at("30T03:59:59.999999")], {"event": "opened", "since": "yesterday"}, False),
    ([at("30T04:00")], {"event": "opened", "since": "this_week"}, True),
    ([at("30T03:59:59.999999")], {"event": "opened", "since": "this_week"}, False),
    ([at("01T05:00")], {"event": "opened", "since": "this_month"}, True),
    ([at("01T04:59:59.999999")], {"event": "opened", "since": "this_month"}, False),
    ([at("01T05:00")], {"event": "opened", "since": "-30d"}, True),
    ([at("01T04:59:59.999999")], {"event": "opened", "since": "-30d"}, False),
    ([at("2026-02-28T05:00:00+00:00")], {"event": "opened", "since": "-1mo"}, True),
    ([at("2026-02-28T04:59:59+00:00")], {"event": "opened", "since": "-1mo"}, False),
    ([at("2026-01-01T05:00:00+00:00")], {"event": "opened", "since": "this_quarter"}, True),
    ([at("2026-01-01T04:59:59+00:00")], {"event": "opened", "since": "this_year"}, False),
    ([at("30T12:00")], {"event": "opened", "since": "2026-03-30T12:00:00Z"}, True),
    ([at("30T11:59:59.999999")], {"event": "opened", "since": "2026-03-30T12:00:00Z"}, False),
    ([at("30T12:00")], {"event": "opened", "since": "2026-03-30T08:00-04:00"}, True),
    ([at("08T05:00")], {"event": "opened", "since": "2026-03-08"}, True),
    ([at("08T04:59:59")], {"event": "opened", "since": "2026-03-08"}, False),
    # until x = before its end.
    ([at("31T03:59:59.999999")], {"event": "opened", "until": "yesterday"}, True),
    ([at("31T04:00")], {"event": "opened", "until": "yesterday"}, False),
    ([at("31T11:00")], {"event": "opened", "until": "today"}, True),
    ([at("30T03:59:59.999999")], {"event": "opened", "until": "last_week"}, True),
    ([at("30T04:00")], {"event": "opened", "until": "last_week"}, False),
    ([at("01T04:59:59.999999")], {"event": "opened", "until": "last_month"}, True),
    ([at("01T05:00")], {"event": "opened", "until": "last_month"}, False),
    ([at("09T03:59:59.999999")], {"event": "opened", "until": "2026-03-08"}, True),
    ([at("09T04:00")], {"event": "opened", "until": "2026-03-08"}, False),
    ([at("30T12:00")], {"event": "opened", "until": "2026-03-30T12:00:00Z"}, True),
    ([at("30T12:00:00.000001")], {"event": "opened", "until": "2026-03-30T12:00:00Z"}, False),
    ([at("31T11:00")], {"event": "opened", "until": "this_year"}, True),
    # Combined.
    ([at("30T05:00")], {"event": "opened", "since": "yesterday", "until": "yesterday"}, True),
    ([at("31T05:00")], {"event": "opened", "since": "yesterday", "until": "yesterday"}, False),
    ([at("30T05:00")], {"event": "opened", "since": "today", "until": "yesterday"}, False),
    ([at("31T05:00")], {"event": "opened", "within": "6h", "since": "today"}, False),
    ([at("31T06:00")], {"event": "opened", "within": "6h", "since": "today"}, True),
    ([at("31T03:00")], {"event": "opened", "within": "10h", "since": "today"}, False),
    ([at("31T03:00")], {"event": "opened", "within": "10h", "until": "yesterday"}, True),
    ([at("31T05:00")], {"event": "opened", "within": "10h", "until": "yesterday"}, False),
    (
        [at("29T05:00", id="e1"), at("30T05:00", id="e2"), at("31T05:00", id="e3")],
        {"event": "opened", "op": "=", "times": 1, "since": "yesterday", "until": "yesterday"},
        True,
    ),
]

K1 = [at("30T12:00", source="k1")]
SOURCES: list[EventRow] = [
    (K1, {"event": "opened", "source": "k1"}, True),
    (K1, {"event": "opened", "source": "k2"}, False),
    (K1, {"event": "opened", "source": "K1"}, False),
    (K1, {"event": "opened", "source": ["k1"]}, True),
    (K1, {"event": "opened", "source": ["k2", "k1"]}, True),
    (K1, {"event": "opened", "source": ["k1", "k1"], "op": "=", "times": 1}, True),
    (K1, {"event": "opened", "source": ["k2", "k3"]}, False),
    (K1, {"event": "opened", "source": "nobody's"}, False),
    (K1, {"event": "opened", "source": ["nobody's", "k1"]}, True),
    (K1, {"event": "opened", "source": "nobody's", "op": "=", "times": 0}, True),
    (K1, {"event": "opened"}, True),
    (K1, {"event": "clicked", "source": "k1"}, False),
    (ONCE, {"event": "opened", "source": "k1"}, False),
    (ONCE, {"event": "opened", "source": "k1", "op": "=", "times": 0}, True),
    ([at("30T12:00", source="k1", source_type="journey")], {"event": "opened"}, True),
    (
        [at("30T12:00", source="k1", source_type="journey")],
        {"event": "opened", "source": "k1"},
        False,
    ),
    (
        [at("30T12:00", source="k1", id="e1"), at("30T12:00", source="k2", id="e2")],
        {"event": "opened", "source": ["k1", "k2"], "op": "=", "times": 2},
        True,
    ),
    (
        [at("30T12:00", source="k1", id="e1"), at("30T12:00", source="k2", id="e2")],
        {"event": "opened", "source": "k1", "op": "=", "times": 1},
        True,
    ),
]


def _where(*predicates: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"event": "purchase", "where": list(predicates), **others}


def _is(name: str, op: str, *value: Any) -> dict[str, Any]:
    return {"property": name, "op": op, **({"value": value[0]} if value else {})}


def _bought(properties: dict[str, Any] | None, time: str = "30T12:00", id: str = "e") -> Event:
    return at(time, "purchase", properties, id=id)


WHERE: list[EventRow] = [
    ([_bought({"amount": 10})], _where(_is("amount", "=", 10)), True),
    ([_bought({"amount": 10})], _where(_is("amount", ">", 10)), False),
    ([_bought({"amount": "10"})], _where(_is("amount", ">=", 10)), True),
    ([_bought({"amount": Decimal("10.50")})], _where(_is("amount", "=", "10.50")), True),
    ([_bought({"amount": "ten"})], _where(_is("amount", "!=", 10)), True),
    ([_bought({"amount": 10})], _where(_is("amount", "in", [1, 10])), True),
    ([_bought({"amount": 10})], _where(_is("amount", "between", [1, 9])), False),
    ([_bought(None)], _where(_is("amount", "exists")), False),
    ([_bought(None)], _where(_is("amount", "not_exists")), True),
    ([_bought(None)], _where(_is("amount", "!=", 10)), True),
    ([_bought({})], _where(_is("amount", "not_in", [10])), True),
    ([_bought({"amount": None})], _where(_is("amount", "exists")), False),
    ([_bought({"amount": ""})], _where(_is("amount", "not_exists")), True),
    ([_bought({"amount": []})], _where(_is("amount", "not_like", "%")), True),
    ([_bought({"amount": 10})], _where(_is("nobody's", "!=", 10)), True),
    ([_bought({"amount": 10})], _where(_is("nobody's", "=", 10)), False),
    ([_bought({"email": "x"})], _where(_is("email", "=", "x")), True),
    ([_bought({"intent_score": "x"})], _where(_is("intent_score", "=", "x")), True),
    ([_bought({"gift": True})], _where(_is("gift", "=", True)), True),
    ([_bought({"gift": "true"})], _where(_is("gift", "=", True)), True),
    ([_bought({"gift": 1})], _where(_is("gift", "=", True)), False),
    ([_bought({"a": {"b": 1}})], _where(_is("a.b", "=", 1)), True),
    ([_bought({"a.b": 2, "a": {"b": 1}})], _where(_is("a.b", "=", 1)), False),
    ([_bought({"a.b": 2, "a": {"b": 1}})], _where(_is("a.b", "=", 2)), True),
    ([_bought({"a": [1, 2]})], _where(_is("a.0", "exists")), False),
    ([_bought({"a": [1, 2]})], _where(_is("a", "contains", 2)), True),
    ([_bought({"url": "/pricing"})], _where(_is("url", "starts_with", "/pri")), True),
    ([_bought({"url": "/pricing"})], _where(_is("url", "like", "/pri%")), True),
    ([_bought({"url": "/pricing"})], _where(_is("url", "matches", "^/p")), True),
    ([_bought({"url": "/pricing"})], _where(_is("url", "contains", "ric")), True),
    ([_bought({"url": "/pricing"})], _where(_is("url", "ends_with", "ing")), True),
    ([_bought({"due": "2026-04-01"})], _where(_is("due", "on", "tomorrow")), True),
    ([_bought({"due": "2026-04-01T03:59Z"})], _where(_is("due", "on", "today")), True),
    ([_bought({"due": "2026-04-01"})], _where(_is("due", "within_next", "16h")), False),
    ([_bought({"due": "2026-04-01"})], _where(_is("due", "within_next", "16.5h")), True),
    ([_bought({"due": "1999-03-31"})], _where(_is("due", "anniversary")), True),
    ([_bought({"due": "2026-03-30"})], _where(_is("due", "before", "today")), True),
    # All on the same event.
    ([_bought({"a": 1, "b": 2})], _where(_is("a", "=", 1), _is("b", "=", 2)), True),
    (
        [_bought({"a": 1, "b": 0}, id="e1"), _bought({"a": 0, "b": 2}, id="e2")],
        _where(_is("a", "=", 1), _is("b", "=", 2)),
        False,
    ),
    (
        [_bought({"a": 1}, id="e1"), _bought({"a": 2}, id="e2")],
        _where(_is("a", "!=", 1)),
        True,
    ),
    (
        [_bought({"a": 1}, id="e1"), _bought({"a": 2}, id="e2")],
        _where(_is("a", "!=", 1), op="=", times=2),
        False,
    ),
    (
        [_bought({"a": 1}, id="e1"), _bought({"a": 2}, id="e2"), _bought({"a": 1}, id="e3")],
        _where(_is("a", "=", 1), op="=", times=2),
        True,
    ),
    ([_bought({"a": 1})], _where(_is("a", "=", 2), op="=", times=0), True),
    ([_bought({"a": 1})], _where(_is("a", "=", 1), op="=", times=0), False),
    ([at("30T12:00", "opened", {"a": 1})], _where(_is("a", "=", 1)), False),
    ([_bought({"a": 1}, "31T03:00")], _where(_is("a", "=", 1), since="today"), False),
]


def _last(*predicates: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"event": "purchase", "last": list(predicates), **others}


_FIRST_1_THEN_2 = [_bought({"a": 1}, "29T12:00", "e9"), _bought({"a": 2}, "30T12:00", "e1")]
LAST: list[EventRow] = [
    (NEVER, _last(_is("a", "=", 1)), False),
    (NEVER, _last(_is("a", "!=", 1)), False),
    (NEVER, _last(_is("a", "not_exists")), False),
    (_FIRST_1_THEN_2, _last(_is("a", "=", 2)), True),
    (_FIRST_1_THEN_2, _last(_is("a", "=", 1)), False),
    (_FIRST_1_THEN_2[::-1], _last(_is("a", "=", 2)), True),
    (_FIRST_1_THEN_2, _last(_is("a", "!=", 2)), False),
    (_FIRST_1_THEN_2, _last(_is("b", "not_exists")), True),
    (_FIRST_1_THEN_2, _last(_is("a", "=", 2), _is("b", "exists")), False),
    # The latest that passes the rest, not the latest of all.
    (_FIRST_1_THEN_2, _last(_is("a", "=", 1), where=[_is("a", "<", 2)]), True),
    (_FIRST_1_THEN_2, _last(_is("a", "=", 1), until="2026-03-29"), True),
    (_FIRST_1_THEN_2, _last(_is("a", "=", 2), within="1d"), True),
    (_FIRST_1_THEN_2, _last(_is("a", "=", 2), within="23h"), False),
    (_FIRST_1_THEN_2, _last(_is("a", "=", 2), where=[_is("a", "=", 3)]), False),
    ([*_FIRST_1_THEN_2, _bought({"a": 3}, "31T12:00")], _last(_is("a", "=", 2)), True),
    ([*_FIRST_1_THEN_2, at("31T10:00", "opened", {"a": 3})], _last(_is("a", "=", 2)), True),
    (
        [*_FIRST_1_THEN_2, at("31T10:00", "opened", {"a": 3})],
        {"event": "*", "last": [_is("a", "=", 3)]},
        True,
    ),
    (
        [at("29T12:00", "purchase", {"a": 1}, source="k1"), _bought({"a": 2}, id="e2")],
        _last(_is("a", "=", 1), source="k1"),
        True,
    ),
    (
        [_bought({"a": 1}, "30T12:00:00.000001", "e1"), _bought({"a": 2}, "30T12:00", "e2")],
        _last(_is("a", "=", 1)),
        True,
    ),
    # At the same instant, the larger event id by code point.
    ([_bought({"a": 1}, id="e1"), _bought({"a": 2}, id="e2")], _last(_is("a", "=", 2)), True),
    ([_bought({"a": 2}, id="e2"), _bought({"a": 1}, id="e1")], _last(_is("a", "=", 1)), False),
    ([_bought({"a": 1}, id="e10"), _bought({"a": 2}, id="e2")], _last(_is("a", "=", 2)), True),
    ([_bought({"a": 1}, id="e"), _bought({"a": 2}, id="e1")], _last(_is("a", "=", 2)), True),
    ([_bought({"a": 1}, id="B"), _bought({"a": 2}, id="a")], _last(_is("a", "=", 2)), True),
    ([_bought({"a": 1}, id="a"), _bought({"a": 2}, id="B")], _last(_is("a", "=", 1)), True),
    (
        [_bought({"a": 1}, id="\uff5e"), _bought({"a": 2}, id="\U0001f600")],
        _last(_is("a", "=", 2)),
        True,
    ),
    ([_bought({"a": 1}, id="a b"), _bought({"a": 2}, id="aa")], _last(_is("a", "=", 2)), True),
    ([_bought({"a": {"b": "x"}})], _last(_is("a.b", "like", "x%")), True),
    ([_bought({"due": "2026-03-31"})], _last(_is("due", "on", "today")), True),
    ([_bought(None)], _last(_is("a", "exists")), False),
    ([_bought(None)], _last(_is("a", "!=", 1)), True),
]

EVENTS: list[EventRow] = [*COUNTS, *TYPES, *WINDOWS, *SOURCES, *WHERE, *LAST]

TRUE: dict[str, Any] = {"attribute": "plan", "op": "=", "value": "x"}
FALSE: dict[str, Any] = {"attribute": "plan", "op": "=", "value": "y"}


def nested(depth: int, group: str, inner: Any) -> Any:
    """A condition inside so many groups."""
    rule = inner
    for _ in range(depth):
        rule = {group: rule} if group == "not" else {group: [rule]}
    return rule


# Rule, expected of a contact whose `plan` is `x` and who opened once and has no attribute `none`.
GROUPS: list[tuple[dict[str, Any], bool]] = [
    (TRUE, True),
    (FALSE, False),
    ({"all": []}, True),
    ({"any": []}, False),
    ({"not": {"all": []}}, False),
    ({"not": {"any": []}}, True),
    ({"all": [TRUE]}, True),
    ({"all": [FALSE]}, False),
    ({"all": [TRUE, TRUE]}, True),
    ({"all": [TRUE, FALSE]}, False),
    ({"all": [FALSE, TRUE]}, False),
    ({"any": [TRUE]}, True),
    ({"any": [FALSE]}, False),
    ({"any": [FALSE, TRUE]}, True),
    ({"any": [FALSE, FALSE]}, False),
    ({"not": TRUE}, False),
    ({"not": FALSE}, True),
    ({"not": {"not": TRUE}}, True),
    ({"all": [{"any": []}, TRUE]}, False),
    ({"any": [{"all": []}, FALSE]}, True),
    ({"all": [{"all": []}, TRUE]}, True),
    ({"any": [{"any": []}, TRUE]}, True),
    ({"all": [{"any": [FALSE, TRUE]}, {"not": FALSE}]}, True),
    ({"all": [{"any": [FALSE, TRUE]}, {"not": TRUE}]}, False),
    ({"not": {"all": [TRUE, FALSE]}}, True),
    ({"not": {"any": [TRUE, FALSE]}}, False),
    # `not` inverts the contact's answer, also of a missing value and of no event.
    ({"not": {"attribute": "none", "op": "=", "value": "x"}}, True),
    ({"not": {"attribute": "none", "op": "!=", "value": "x"}}, False),
    ({"not": {"attribute": "none", "op": ">", "value": 1}}, True),
    ({"not": {"attribute": "none", "op": "<=", "value": 1}}, True),
    ({"not": {"attribute": "none", "op": "before", "value": "today"}}, True),
    ({"not": {"attribute": "none", "op": "like", "value": "%"}}, True),
    ({"not": {"attribute": "none", "op": "in", "value": ["x"]}}, True),
    ({"not": {"attribute": "plan", "op": ">", "value": 1}}, True),
    ({"not": {"event": "opened"}}, False),
    ({"not": {"event": "clicked"}}, True),
    ({"not": {"event": "clicked", "op": "=", "times": 0}}, False),
    ({"not": {"event": "opened", "source": "k9"}}, True),
    (
        {
            "not": {
                "event": "opened",
                "where": [{"property": "none", "op": "=", "value": "x"}],
            }
        },
        True,
    ),
    ({"not": {"event": "clicked", "last": [{"property": "a", "op": "!=", "value": 1}]}}, True),
    ({"all": [{"event": "opened"}, TRUE]}, True),
    ({"any": [{"event": "clicked"}, FALSE]}, False),
    (nested(32, "all", TRUE), True),
    (nested(32, "any", FALSE), False),
    (nested(32, "not", TRUE), True),
    (nested(31, "not", TRUE), False),
    (nested(31, "all", {"all": []}), True),
    (nested(31, "not", {"any": []}), True),
]

# Segments, rule, expected of contact `c`, whose `plan` is `x`.
SEGMENTS: list[tuple[dict[str, Segment], dict[str, Any], bool]] = [
    ({"s": Segment(TRUE)}, {"segment": "s"}, True),
    ({"s": Segment(FALSE)}, {"segment": "s"}, False),
    ({"s": Segment(FALSE)}, {"not": {"segment": "s"}}, True),
    ({"s": Segment(FALSE, added=frozenset("c"))}, {"segment": "s"}, True),
    ({"s": Segment(FALSE, added=frozenset("c"))}, {"not": {"segment": "s"}}, False),
    ({"s": Segment(TRUE, removed=frozenset("c"))}, {"segment": "s"}, False),
    ({"s": Segment(TRUE, removed=frozenset("c"))}, {"not": {"segment": "s"}}, True),
    ({"s": Segment(FALSE, added=frozenset("d"))}, {"segment": "s"}, False),
    ({"s": Segment(TRUE, removed=frozenset("d"))}, {"segment": "s"}, True),
    ({"s": Segment(TRUE, added=frozenset("c"))}, {"segment": "s"}, True),
    ({"s": Segment(FALSE, removed=frozenset("c"))}, {"segment": "s"}, False),
    ({"s": Segment({"any": []})}, {"segment": "s"}, False),
    ({"s": Segment({"any": []}, added=frozenset("c"))}, {"segment": "s"}, True),
    ({"s": Segment({"all": []})}, {"segment": "s"}, True),
    ({"s": Segment({"all": []}, removed=frozenset("c"))}, {"segment": "s"}, False),
    ({"s": Segment({"segment": "t"}), "t": Segment(TRUE)}, {"segment": "s"}, True),
    (
        {"s": Segment({"segment": "t"}), "t": Segment(FALSE, added=frozenset("c"))},
        {"segment": "s"},
        True,
    ),
    (
        {"s": Segment({"segment": "t"}), "t": Segment(TRUE, removed=frozenset("c"))},
        {"segment": "s"},
        False,
    ),
    (
        {
            "s": Segment({"not": {"segment": "t"}}, removed=frozenset("c")),
            "t": Segment(TRUE, removed=frozenset("c")),
        },
        {"segment": "s"},
        False,
    ),
    (
        {"s": Segment({"not": {"segment": "t"}}), "t": Segment(TRUE, removed=frozenset("c"))},
        {"segment": "s"},
        True,
    ),
    (
        {"s": Segment({"segment": "t"}, added=frozenset("c")), "t": Segment(FALSE)},
        {"all": [{"segment": "s"}, {"not": {"segment": "t"}}]},
        True,
    ),
    ({"s": Segment(TRUE), "t": Segment(TRUE)}, {"all": [{"segment": "s"}, {"segment": "t"}]}, True),
    ({"s": Segment(TRUE)}, {"all": [{"segment": "s"}, {"segment": "s"}]}, True),
    # An external id that is a number, named as text and as number.
    ({"987654321": Segment(TRUE)}, {"segment": "987654321"}, True),
    ({"987654321": Segment(TRUE)}, {"segment": 987654321}, True),
    ({"987654321": Segment(FALSE)}, {"not": {"segment": 987654321}}, True),
    ({'o\'k "q" %s': Segment(TRUE)}, {"segment": 'o\'k "q" %s'}, True),
]

# Contact, share and whether the contact is in it, by the buckets that `sha256sum` gives for
# "acme", the contact and the salt with U+001F between: c1 2963 (x) and 7685 (y), c2 3889 (x) and
# café 2954 (x).
SHARES: list[tuple[str, dict[str, Any], bool]] = [
    ("c1", {"percent": 0, "salt": "x"}, False),
    ("c1", {"percent": 100, "salt": "x"}, True),
    ("c1", {"percent": Decimal("29.63"), "salt": "x"}, False),
    ("c1", {"percent": Decimal("29.64"), "salt": "x"}, True),
    ("c1", {"percent": 76, "salt": "y"}, False),
    ("c1", {"percent": 77, "salt": "y"}, True),
    ("c2", {"percent": Decimal("38.9"), "salt": "x"}, True),
    ("c2", {"percent": Decimal("38.89"), "salt": "x"}, False),
    ("caf\u00e9", {"percent": Decimal("29.54"), "salt": "x"}, False),
    ("caf\u00e9", {"percent": Decimal("29.55"), "salt": "x"}, True),
]
