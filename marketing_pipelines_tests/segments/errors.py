"""Rules that cannot be, with the path of the smallest wrong thing.

The organization's contacts have the attributes `plan`, `born`, `a` and, in it, `b`; it has one
segment, `s`, and one event `opened` of campaign `k1` with the properties `p`, `a` and `a.b`. Only
what the specification calls an error is here.
"""

from decimal import Decimal
from typing import Any

from marketing_pipelines_tests.segments.events import TRUE, nested


def _attribute(op: Any, *value: Any, name: Any = "plan") -> dict[str, Any]:
    return {"attribute": name, "op": op, **({"value": value[0]} if value else {})}


def _property(op: Any, *value: Any) -> dict[str, Any]:
    return {"property": "p", "op": op, **({"value": value[0]} if value else {})}


def _event(**others: Any) -> dict[str, Any]:
    return {"event": "opened", **others}


_TEXT_ONLY = ("like", "not_like", "starts_with", "ends_with", "matches")
_ORDER = (">", ">=", "<", "<=")
_ON_DATES = ("before", "after", "on", "anniversary")

SHAPES: list[tuple[Any, str]] = [
    (None, ""),
    (True, ""),
    (17, ""),
    ("all", ""),
    ([], ""),
    ([TRUE], ""),
    ({}, ""),
    ({"op": "=", "value": 1}, ""),
    ({"property": "plan", "op": "=", "value": 1}, ""),
    ({"All": []}, ""),
    ({"all": [], "any": []}, ""),
    ({"all": [TRUE], "not": TRUE}, ""),
    ({"all": [], "name": "x"}, "name"),
    ({"segment": "s", "op": "="}, "op"),
    ({"all": None}, "all"),
    ({"all": TRUE}, "all"),
    ({"all": "x"}, "all"),
    ({"any": {}}, "any"),
    ({"any": 1}, "any"),
    ({"not": None}, "not"),
    ({"not": []}, "not"),
    ({"not": [TRUE]}, "not"),
    ({"not": {}}, "not"),
    ({"all": [None]}, "all[0]"),
    ({"all": [TRUE, {}]}, "all[1]"),
    ({"all": [TRUE, "x"]}, "all[1]"),
    ({"any": [TRUE, [TRUE]]}, "any[1]"),
    ({"all": [TRUE, {"any": [{"not": {}}]}]}, "all[1].any[0].not"),
    ({"all": [TRUE, {"any": [_attribute("like", 1)]}]}, "all[1].any[0].value"),
    ({"not": {"not": _attribute("near", "x")}}, "not.not.op"),
    ({"any": [{"all": [TRUE, {"not": _event(times=-1)}]}]}, "any[0].all[1].not.times"),
    ({"all": [{"not": {"any": [TRUE, _event(since="soon")]}}]}, "all[0].not.any[1].since"),
    (nested(33, "not", TRUE), ".".join(["not"] * 32)),
    (nested(33, "all", TRUE), ".".join(["all[0]"] * 32)),
    (nested(33, "any", TRUE), ".".join(["any[0]"] * 32)),
    (nested(40, "not", TRUE), ".".join(["not"] * 32)),
    ({"all": [TRUE, nested(32, "not", TRUE)]}, "all[1]" + ".not" * 31),
]

ATTRIBUTES: list[tuple[Any, str]] = [
    (_attribute("=", "x", name="plam"), "attribute"),
    (_attribute("!=", "x", name="plam"), "attribute"),
    (_attribute("not_exists", name="plam"), "attribute"),
    (_attribute("=", "x", name="Plan"), "attribute"),
    (_attribute("=", "x", name="plan "), "attribute"),
    (_attribute("=", "x", name="Email"), "attribute"),
    (_attribute("=", "x", name="organization_id"), "attribute"),
    (_attribute("=", "x", name="attributes"), "attribute"),
    (_attribute("=", "x", name="b"), "attribute"),
    (_attribute("=", "x", name="c.b"), "attribute"),
    (_attribute("=", "x", name="email.b"), "attribute"),
    (_attribute("=", "x", name=None), "attribute"),
    (_attribute("=", "x", name=17), "attribute"),
    (_attribute("=", "x", name=["plan"]), "attribute"),
    ({"all": [TRUE, _attribute("!=", "x", name="plam")]}, "all[1].attribute"),
    ({"attribute": "plan"}, ""),
    ({"attribute": "plan", "value": "x"}, ""),
    *((_attribute(op), "") for op in ("=", "!=", *_ORDER, *_TEXT_ONLY, "contains")),
    *((_attribute(op), "") for op in ("in", "not_in", "between", "within_last", "within_next")),
    *((_attribute(op), "") for op in ("before", "after", "on")),
    (_attribute("==", "x"), "op"),
    (_attribute("eq", "x"), "op"),
    (_attribute("<>", "x"), "op"),
    (_attribute("LIKE", "x"), "op"),
    (_attribute("not_contains", "x"), "op"),
    (_attribute("not_between", [1, 2]), "op"),
    (_attribute("", "x"), "op"),
    (_attribute(None, "x"), "op"),
    (_attribute(1, "x"), "op"),
    (_attribute(["="], "x"), "op"),
    ({**TRUE, "values": ["x"]}, "values"),
    ({**TRUE, "times": 1}, "times"),
    ({**TRUE, "within": "1d"}, "within"),
    ({**TRUE, "where": []}, "where"),
    ({"not": {**TRUE, "case": "ignore"}}, "not.case"),
    (_attribute("exists", True), "value"),
    (_attribute("exists", None), "value"),
    (_attribute("not_exists", "x"), "value"),
    *((_attribute(op, None), "value") for op in ("=", "!=", "contains", *_ORDER, *_TEXT_ONLY)),
    *((_attribute(op, ["x"]), "value") for op in ("=", "!=", "contains", *_ORDER, *_TEXT_ONLY)),
    *((_attribute(op, {"x": 1}), "value") for op in ("=", "!=", "contains", *_ORDER)),
    *((_attribute(op, True), "value") for op in (*_ORDER, *_TEXT_ONLY)),
    *((_attribute(op, 5), "value") for op in _TEXT_ONLY),
    *((_attribute(op, Decimal("1.5")), "value") for op in _TEXT_ONLY),
    *(
        (_attribute(op, value), "value")
        for op in ("in", "not_in")
        for value in (
            [],
            ["x", 1],
            [1, True],
            [0, False],
            ["true", True],
            ["x", None],
            [None],
            [["x"]],
            [{}],
            "x",
            1,
            True,
            None,
            {},
        )
    ),
    *(
        (_attribute("between", value), "value")
        for value in (
            [],
            [1],
            [1, 2, 3],
            ["today"],
            ["today", "today", "today"],
            [1, "2"],
            [1, "today"],
            ["today", 1],
            ["a", "b"],
            ["1", "2"],
            ["today", "b"],
            [True, False],
            [None, 1],
            [1, None],
            [[1], [2]],
            ["2026-01-01", "2026-02-30"],
            ["2026-01-01T10:00", "2026-01-02T10:00"],
            "1",
            1,
            None,
            {"from": 1, "to": 2},
        )
    ),
]

_NO_DATES: tuple[Any, ...] = (
    "",
    "soon",
    "Today",
    "TODAY",
    " today",
    "today ",
    "now",
    "this_day",
    "last_day",
    "this_hour",
    "thisweek",
    "this week",
    "this-week",
    "week",
    "last_weeks",
    "next_decade",
    "previous_month",
    "30d",
    "+d",
    "-",
    "+1",
    "+1h",
    "-1min",
    "-1s",
    "+1m",
    "+1q",
    "+1.5d",
    "+ 1d",
    "+1 d",
    "--1d",
    "+1D",
    "+1mo ",
    "2026-2-1",
    "2026-02-29",
    "2026-13-01",
    "20260101",
    "0000-01-01",
    "10000-01-01",
    "2026-01-01T10:00",
    "2026-01-01 10:00:00",
    "2026-01-01T10:00:00.5",
    "2026-01-01T25:00Z",
    "2026-01-01T10:00z",
    "2026-01-01T10:00+15:00",
    "2026-01-01T10:00 Z",
    "2026-01-01Z",
    "01/02/2026",
    "infinity",
    20260101,
    1767312000,
    True,
    None,
    ["today"],
    {"day": "today"},
)
_NO_LENGTHS: tuple[Any, ...] = (
    "",
    "d",
    "30",
    "0d",
    "0.0h",
    "-1d",
    "1y",
    "1mo",
    "1m",
    "1ms",
    "1D",
    "1H",
    "1day",
    "1 days",
    "1e3s",
    "1,5h",
    "1d12h",
    "today",
    "this_week",
    "P30D",
    "300000d",
    "99999999999999999999w",
    "\u0663d",
    30,
    Decimal("1.5"),
    True,
    None,
    ["1d"],
    {"days": 1},
)
DATES: list[tuple[Any, str]] = [
    *((_attribute(op, value, name="born"), "value") for op in _ON_DATES for value in _NO_DATES),
    # An instant is neither a day nor a period.
    (_attribute("anniversary", "2026-01-01T10:00Z", name="born"), "value"),
    (_attribute("anniversary", "2026-01-01 00:00:00+00:00", name="born"), "value"),
    *(
        (_attribute(op, value, name="born"), "value")
        for op in ("within_last", "within_next")
        for value in _NO_LENGTHS
    ),
]

COLUMNS: list[tuple[Any, str]] = [
    *(
        (_attribute(op, "5", name="intent_score"), "value")
        for op in ("=", "!=", ">", ">=", "<", "<=")
    ),
    (_attribute("=", True, name="intent_score"), "value"),
    (_attribute("!=", "x", name="id"), "value"),
    (_attribute("=", "5", name="company_id"), "value"),
    (_attribute("=", "5", name="owner_id"), "value"),
    (_attribute("in", ["5"], name="intent_score"), "value"),
    (_attribute("not_in", [True], name="intent_score"), "value"),
    (_attribute("between", ["today", "tomorrow"], name="intent_score"), "value"),
    *((_attribute(op, "5", name="intent_score"), "op") for op in _TEXT_ONLY),
    *((_attribute(op, "today", name="intent_score"), "op") for op in _ON_DATES),
    (_attribute("anniversary", name="intent_score"), "op"),
    (_attribute("within_last", "1d", name="intent_score"), "op"),
    (_attribute("within_next", "1d", name="owner_id"), "op"),
    *(
        (_attribute(op, "2026-01-01", name="created_at"), "op")
        for op in ("=", "!=", *_ORDER, *_TEXT_ONLY, "contains")
    ),
    (_attribute("=", 1, name="created_at"), "op"),
    (_attribute("in", ["2026-01-01"], name="created_at"), "op"),
    (_attribute("between", [1, 2], name="created_at"), "value"),
    (_attribute("before", "2026-01-01T10:00", name="created_at"), "value"),
]

EVENTS: list[tuple[Any, str]] = [
    ({"event": None}, "event"),
    ({"event": 1}, "event"),
    ({"event": ["opened"]}, "event"),
    (_event(count=1), "count"),
    (_event(value=1), "value"),
    (_event(property="a"), "property"),
    *((_event(times=times), "times") for times in (-1, Decimal("1.5"), "2", True, None, [1])),
    *((_event(op=op, times=1), "op") for op in ("==", "in", "between", "exists", "", None, 1, [])),
    *((_event(within=within), "within") for within in _NO_LENGTHS),
    *((_event(since=since), "since") for since in _NO_DATES),
    *((_event(until=until), "until") for until in _NO_DATES),
    *((_event(source=source), "source") for source in (None, True, {}, {"id": "k1"})),
    *((_event(where=where), "where") for where in (None, "x", 1, {}, _property("=", 1))),
    *((_event(last=last), "last") for last in (None, "x", 1, {}, _property("=", 1))),
    (_event(where=[None]), "where[0]"),
    (_event(where=["p"]), "where[0]"),
    (_event(where=[{}]), "where[0]"),
    (_event(where=[{"op": "=", "value": 1}]), "where[0]"),
    (_event(where=[{"property": "p"}]), "where[0]"),
    (_event(where=[{"property": "p", "value": 1}]), "where[0]"),
    (_event(where=[_property("=")]), "where[0]"),
    (_event(where=[{"property": 1, "op": "exists"}]), "where[0].property"),
    (_event(where=[{"property": None, "op": "exists"}]), "where[0].property"),
    (_event(where=[_property("near", 1)]), "where[0].op"),
    (_event(where=[_property("like", 1)]), "where[0].value"),
    (_event(where=[_property(">", True)]), "where[0].value"),
    (_event(where=[_property("in", [])]), "where[0].value"),
    (_event(where=[_property("in", [1, "x"])]), "where[0].value"),
    (_event(where=[_property("between", [1])]), "where[0].value"),
    (_event(where=[_property("on", "soon")]), "where[0].value"),
    (_event(where=[_property("on", "2026-01-01T10:00")]), "where[0].value"),
    (_event(where=[_property("within_last", "1y")]), "where[0].value"),
    (_event(where=[_property("exists", 1)]), "where[0].value"),
    (_event(where=[{**_property("=", 1), "times": 1}]), "where[0].times"),
    (_event(where=[_property("=", 1), _property("like", 1)]), "where[1].value"),
    (_event(last=[_property("like", 1)]), "last[0].value"),
    (_event(last=[_property("=", 1), {}]), "last[1]"),
    (_event(last=[_property("=", 1)], times=1), "times"),
    (_event(last=[_property("=", 1)], op=">="), "op"),
    ({"all": [TRUE, _event(where=[_property("like", 1)])]}, "all[1].where[0].value"),
    ({"not": _event(last=[_property("in", [])])}, "not.last[0].value"),
]

SEGMENTS: list[tuple[Any, str]] = [
    ({"segment": "nobody's"}, "segment"),
    ({"segment": "S"}, "segment"),
    ({"segment": ""}, "segment"),
    ({"segment": 999999999999}, "segment"),
    ({"segment": "999999999999"}, "segment"),
    ({"segment": -1}, "segment"),
    ({"segment": None}, "segment"),
    ({"segment": True}, "segment"),
    ({"segment": ["s"]}, "segment"),
    ({"segment": {"id": "s"}}, "segment"),
    ({"segment": Decimal("1.5")}, "segment"),
    ({"all": [TRUE, {"not": {"segment": "nobody's"}}]}, "all[1].not.segment"),
]

_ABSENT = {"property": "q", "op": "not_exists"}

NAMES: list[tuple[Any, str]] = [
    (_event(source="k9"), "source"),
    (_event(source="K1", times=0), "source"),
    (_event(source=["k1", "k9"]), "source[1]"),
    ({"event": "never received", "source": "k9"}, "source"),
    (_event(where=[_ABSENT]), "where[0].property"),
    (_event(where=[_property("=", 1), _ABSENT], times=0), "where[1].property"),
    (_event(last=[_ABSENT]), "last[0].property"),
    (_event(where=[{"property": "P", "op": "exists"}]), "where[0].property"),
    (_event(where=[{"property": "b", "op": "exists"}]), "where[0].property"),
    (_event(where=[{"property": "a.c", "op": "exists"}]), "where[0].property"),
    (_event(where=[{"property": "p.b", "op": "exists"}]), "where[0].property"),
    ({"event": "open*", "where": [_ABSENT]}, "where[0].property"),
    ({"any": [TRUE, {"not": _event(source="k9")}]}, "any[1].not.source"),
]

SHARES: list[tuple[Any, str]] = [
    ({"random": 20}, "random"),
    ({"random": None}, "random"),
    ({"random": {}}, "random"),
    ({"random": {"percent": 20}}, "random"),
    ({"random": {"salt": "x"}}, "random"),
    ({"random": {"percent": 20, "salt": "x", "of": 1}}, "random.of"),
    ({"random": {"percent": 20, "salt": "x"}, "op": "="}, "op"),
    *(
        ({"random": {"percent": percent, "salt": "x"}}, "random.percent")
        for percent in (None, "20", True, [20], -1, 101, Decimal("100.01"), Decimal("33.333"))
    ),
    ({"random": {"percent": 20, "salt": ""}}, "random.salt"),
    ({"random": {"percent": 20, "salt": 1}}, "random.salt"),
    ({"any": [TRUE, {"random": {"percent": 200, "salt": "x"}}]}, "any[1].random.percent"),
]

ERRORS: list[tuple[Any, str]] = [
    *SHAPES,
    *ATTRIBUTES,
    *DATES,
    *COLUMNS,
    *EVENTS,
    *SEGMENTS,
    *SHARES,
    *NAMES,
]
