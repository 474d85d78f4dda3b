"""Contacts, events and conditions by chance, from one `Random` each.

Pools are small, so that values collide; most values of a rule are made from what some contact
has, so that conditions are true about as often as not. Every attribute that a condition names is
one that a contact of its world has.

What the specification leaves open is not made: `times` of 0 without an operator, empty text in
a rule, `last` or `where` without predicates, patterns that end in a backslash, regular
expressions that PostgreSQL and Python read differently.
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from marketing_pipelines_tests.segments.checking import OPERATORS, names
from marketing_pipelines_tests.segments.days import period
from marketing_pipelines_tests.segments.naive import (
    MISSING,
    TEXT_COLUMNS,
    Contact,
    Event,
    World,
    find,
    holds,
    is_missing,
    read_number,
    read_text,
)

Maker = Callable[[Random], Any]

# Of so many conditions, the one is taken that nearest to half of the contacts satisfy.
MAX_TRIES = 4

# Instants around which a calendar does something, each in its zone.
MOMENTS = {
    "UTC": ["2026-03-31T12:00", "2024-02-29T00:00", "2026-02-28T23:59", "2027-01-01T00:00"],
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00", "2026-03-09T04:00"],
    "Asia/Kolkata": ["2026-12-31T18:30", "2026-03-01T18:30", "2024-02-28T18:30"],
    "Pacific/Auckland": ["2026-04-04T14:00", "2026-09-26T14:00", "2026-06-30T12:00"],
    "Australia/Lord_Howe": ["2026-04-04T15:00", "2026-10-03T15:30", "2026-05-31T13:30"],
    "America/Sao_Paulo": ["2018-11-04T03:00", "2018-02-18T02:00"],
    "America/Havana": ["2025-11-02T05:00", "2026-03-08T05:00"],
    "Asia/Beirut": ["2026-03-28T22:00", "2026-10-24T21:00"],
}
SHIFTS = [
    dt.timedelta(0),
    dt.timedelta(microseconds=1),
    dt.timedelta(seconds=1),
    dt.timedelta(minutes=30),
    dt.timedelta(hours=1),
    dt.timedelta(hours=2),
    dt.timedelta(hours=12),
    dt.timedelta(hours=23),
    dt.timedelta(days=1),
    dt.timedelta(days=2),
    dt.timedelta(days=7),
    dt.timedelta(days=30),
    dt.timedelta(days=31),
    dt.timedelta(days=90),
    dt.timedelta(days=365),
    dt.timedelta(days=366),
]

TEXTS = [
    "a",
    "b",
    "ab",
    "abc",
    "A",
    "ABC",
    "abc ",
    "a%c",
    "a_c",
    "a\\c",
    "a.c",
    "line\nbreak",
    "caf\u00e9",
    "cafe\u0301",
    "\uff5e",
    "\U0001f600",
    "o'k\"",
    "true",
    "false",
    "True",
    "null",
    "1",
    "10",
    "9",
    "1.50",
    "-0.5",
    ".5",
    "5.",
    "1e3",
    " 1",
]
NUMBERS: list[Any] = [0, 1, 2, 5, 9, 10, -1, 1000, Decimal("1.5"), Decimal("1.50"), Decimal("-0.5")]
EXTENTS: list[Any] = [*NUMBERS, Decimal("1E+3"), Decimal("0.0"), Decimal("5E-1"), 2**53 + 1]
ODD: list[Any] = [None, "", [], {}, [None], [[]], [{}], [""], {"b": None}, {"b": {"c": "a"}}]
LISTS: list[Any] = [
    ["a"],
    ["a", "b"],
    ["abc", 1],
    [1, 2],
    ["1", True],
    [True],
    ["true", None],
    [Decimal("1.50"), 10],
    [["a"], {"a": 1}, "b"],
    ["caf\u00e9"],
]
OBJECTS: list[Any] = [
    {"b": 1},
    {"b": "a"},
    {"b": {"c": "abc"}},
    {"b": {"c": 10}, "x": True},
    {"b": ["a", 1]},
    {"b.c": "b", "b": {"c": "a"}},
    {"0": "a"},
]
UNREADABLE_DATES: list[Any] = ["2026-02-29", "2026-1-1", "2026-01-01T24:00", "today", 20260101]
PATTERNS = [
    "a",
    "^a",
    "c$",
    "^abc$",
    "^(a|b)$",
    "(?i)ABC",
    "(?i)^a",
    "[0-9]+",
    "^-?[0-9.]+$",
    "a.c",
    "a\\.c",
    "b|1",
    "^.$",
    "^t",
    "x",
    "%",
    "e\nb",
]
LENGTHS = [
    "1s",
    "30min",
    "90min",
    "1h",
    "1.5h",
    "12h",
    "23h",
    "24h",
    "25h",
    "1d",
    "2d",
    "7d",
    "1w",
    "30d",
    "31d",
    "90d",
    "52w",
    "365d",
    "366d",
    "3650d",
]
PERIODS = [
    f"{which}_{unit}"
    for which in ("this", "last", "next")
    for unit in ("week", "month", "quarter", "year")
]
NAMED_DAYS = ["today", "yesterday", "tomorrow"]
DISTANCES = [
    f"{sign}{number}{unit}"
    for sign in "+-"
    for number, unit in (
        (0, "d"),
        (1, "d"),
        (7, "d"),
        (30, "d"),
        (1, "w"),
        (4, "w"),
        (1, "mo"),
        (2, "mo"),
        (11, "mo"),
        (13, "mo"),
        (1, "y"),
        (4, "y"),
    )
]

ATTRIBUTES = ["plan", "score", "born", "labels", "a", "a.b", "caf\u00e9", 'o\'k "%s" :x']
PROPERTIES = ["amount", "url", "due", "a", "a.b", "labels"]
TYPES = ["opened", "open", "clicked", "purchase", "page_view", "page%view", "a*b", "Opened"]
TYPES_IN_RULES = [*TYPES, "open*", "op*", "page_*", "page*", "*", "a*", "a**", "nothing*", "never"]
CAMPAIGNS = ["k1", "k2", "17", "o'k"]
ZONES_IN_TEXT = ["Z", "+00:00", "-05:00", "+05:30", "+1300"]

TEXT_VALUES = {
    "lifecycle_stage": ["lead", "mql", "sql", None],
    "lead_grade": ["A", "B", "a", "10", None],
    "email": ["a@x.org", "A@x.org", "", None],
    "phone": ["10", "+1", "12", None],
    "first_name": ["caf\u00e9", "cafe\u0301", "true", "2026-03-31", None],
    "last_name": ["a", "b", "a%c", None],
    "timezone": ["UTC", "Europe/Paris", None],
    "follow_up_note": ["call; a", "1", None],
}
TAGS = [[], ["a"], ["a", "b"], ["abc"], ["1", "2"], ["true"], ["2026-03-31"]]
# Of a number that the database gives, only what is so of every number can be foretold.
GIVEN_NUMBERS = ["id", "company_id", "owner_id"]
FORETOLD: list[Any] = [0, -1, Decimal("0.5"), 10**15, 10**30]

DATE_OPERATORS = ["before", "after", "on", "within_last", "within_next", "anniversary"]
TEXT_OPERATORS = ["like", "not_like", "starts_with", "ends_with", "matches"]
ORDER = [">", ">=", "<", "<="]
ALL_OPERATORS = sorted(OPERATORS)
COMPARING = ["=", "!=", "in", "not_in"]
OPERATORS_FOR = {
    "date": [*DATE_OPERATORS, "between", "like"],
    "list": ["contains"],
    "number": [*COMPARING, *ORDER, "between", "matches"],
    "text": [*COMPARING, *ORDER, *TEXT_OPERATORS, "contains"],
    "true or false": [*COMPARING, *COMPARING, "ends_with"],
}


def moment(dice: Random) -> World:
    """A zone and an instant, without contacts."""
    zone = ZoneInfo(dice.choice(sorted(MOMENTS)))
    at = dt.datetime.fromisoformat(f"{dice.choice(MOMENTS[zone.key])}:00+00:00")
    return World(zone, at + _shift(dice, 6))


def attribute_names(dice: Random) -> list[str]:
    """The few attributes that contacts of a world have."""
    found = dice.sample(ATTRIBUTES, dice.randint(1, 4))
    return found if "born" in found or dice.random() < 0.3 else [*found, "born"]


def contact(dice: Random, name: str, attributes: Sequence[str], world: World) -> Contact:
    """A contact with some of the attributes."""
    values = {attribute: _stored(dice, attribute, world) for attribute in attributes}
    columns: dict[str, Any] = {
        column: dice.choice(values) for column, values in TEXT_VALUES.items() if dice.random() < 0.5
    }
    columns |= {
        "intent_score": dice.choice([None, 0, 1, 5, 10]),
        "lead_score": dice.choice([None, 0, 10, 100]),
        "manual_override": dice.choice([None, True, False]),
        "tags": dice.choice(TAGS),
        "created_at": world.now + _shift(dice),
        "id": 1,
        "company_id": dice.choice([None, 1]),
        "owner_id": dice.choice([None, 1]),
    }
    return Contact(name, {k: v for k, v in values.items() if v is not MISSING}, columns)


def event(dice: Random, place: int, world: World) -> Event:
    """An event near `now`, mostly before it."""
    chosen = dice.sample(PROPERTIES, dice.randint(0, 3))
    values = {name: _stored(dice, name, world) for name in chosen}
    properties = {name: value for name, value in values.items() if value is not MISSING}
    midnight = world.now.astimezone(world.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    near = dice.choice([world.now, world.now, midnight.astimezone(dt.UTC)])
    shift = dice.choice(SHIFTS)
    jitter = dice.choice([0, 0, 0, 1, -1]) * dt.timedelta(microseconds=1)
    source = dice.choice([None, *CAMPAIGNS])
    return Event(
        # Ids in an order that is neither that of numbers nor that of a dictionary.
        f"{dice.choice('aBe')}{place}",
        dice.choice(TYPES[:4] * 4 + TYPES),
        near + (shift if dice.random() < 0.15 else -shift) + jitter,
        source,
        properties or dice.choice([None, {}]),
        dice.choice(["campaign"] * 5 + ["journey"]) if source else "campaign",
    )


def condition(dice: Random, world: World, kind: str) -> dict[str, Any]:
    """A valid condition of the kind `attribute` or `event`, often one that tells contacts apart."""
    make = {"attribute": _attribute_condition, "event": _event_condition}[kind]
    tried = [make(dice, world) for _ in range(dice.randint(1, MAX_TRIES))]
    return min(tried, key=lambda found: abs(_share(found, world) - 0.5))


def _share(rule: dict[str, Any], world: World) -> float:
    return sum(holds(rule, each, world) for each in world.contacts) / len(world.contacts)


def _attribute_condition(dice: Random, world: World) -> dict[str, Any]:
    """A condition on a column or on an attribute that some contact has."""
    known = sorted({name for each in world.contacts for name in names(each.attributes)})
    if known and dice.random() < 0.75:
        # Dates have the most ways to be misread.
        name = dice.choice([*known, *[name for name in known if name == "born"] * 2])
        stored = [find(each.attributes, name) for each in world.contacts]
        return {"attribute": name, **_predicate(dice, name, stored, world)}
    scores = ["intent_score", "intent_score", "lead_score"]
    others = ["created_at"] * 6 + ["manual_override", "tags", "tags"]
    name = dice.choice([*TEXT_COLUMNS, *scores, *others, *GIVEN_NUMBERS])
    if name in GIVEN_NUMBERS:
        return {"attribute": name, **_number_predicate(dice, FORETOLD)}
    if name in scores:
        return {"attribute": name, **_number_predicate(dice, NUMBERS)}
    if name == "created_at":
        op = dice.choice([*DATE_OPERATORS * 2, "on", "on", "between", "exists", "not_exists"])
        return {"attribute": name, **_date_predicate(dice, op, world)}
    stored = [each.column(name) for each in world.contacts]
    return {"attribute": name, **_predicate(dice, name, stored, world)}


def _event_condition(dice: Random, world: World) -> dict[str, Any]:
    """A condition on events, with any of its options."""
    known = [each.event_type for events in world.events.values() for each in events]
    types = known * 2 + TYPES_IN_RULES if dice.random() < 0.4 else known or TYPES
    rule: dict[str, Any] = {"event": dice.choice(types)}
    if dice.random() < 0.3:
        rule["event"] = dice.choice([rule["event"][:2] + "*", "*"])
    options = ["within", "since", "until", "source", "where"]
    chosen = dice.sample(options, dice.choice([0, 0, 1, 1, 1, 2, 3]))
    if "within" in chosen:
        rule["within"] = dice.choice(LENGTHS)
    for key in ("since", "until"):
        if key in chosen:
            rule[key] = _date_value(dice, world)
    if "source" in chosen:
        sources = [*CAMPAIGNS * 2, "never seen"]
        rule["source"] = dice.choice([sources[0], dice.choice(sources), dice.sample(sources, 3)])
    if "where" in chosen:
        rule["where"] = _property_predicates(dice, world, rule["event"])
    counted = dice.choice(["", "times", "op", "both", "both", "both", "last", "last"])
    if counted == "last":
        rule["last"] = _property_predicates(dice, world, rule["event"])
    if counted in ("op", "both"):
        rule["op"] = dice.choice(["=", "!=", *ORDER])
    if counted in ("times", "both"):
        rule["times"] = dice.choice([1, 1, 2, 3] + [0, 0] * (counted == "both"))
    return rule


def _shift(dice: Random, largest: int = len(SHIFTS)) -> dt.timedelta:
    return dice.choice([1, -1]) * dice.choice(SHIFTS[:largest])


def _stored(dice: Random, name: str, world: World) -> Any:
    """A value of every JSON type, mostly one that goes with the name."""
    if dice.random() < 0.3:
        pool = dice.choice([[MISSING], ODD, TEXTS, EXTENTS, [True, False], LISTS, OBJECTS])
        return dice.choice(pool)
    match name:
        case "score" | "amount":
            return dice.choice([*EXTENTS, "1", "10", "1.50", "5."])
        case "born" | "due":
            if dice.random() < 0.1:
                return dice.choice(UNREADABLE_DATES)
            return _written(dice, world, ["day", "local", "instant"])
        case "labels":
            return dice.choice(LISTS)
        case "a":
            return dice.choice(OBJECTS)
    return dice.choice(TEXTS)


def _written(dice: Random, world: World, forms: Sequence[str]) -> str:
    """A date near `now` or near where its day, week, month or year begins."""
    local = world.now.astimezone(world.zone).replace(tzinfo=None)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - dt.timedelta(days=midnight.weekday())
    near = [local, midnight, midnight, monday, midnight.replace(day=1)]
    near.append(midnight.replace(month=1, day=1))
    at = dice.choice(near) + _shift(dice)
    form = dice.choice(forms)
    if form == "day":
        return _years_before(at.date(), dice.choice([0, 0, 0, 1, 4, 30])).isoformat()
    text = at.isoformat(dice.choice(["T", " "]))
    if form == "local":
        return text if at.second or at.microsecond else text[:16]
    zone = dice.choice(ZONES_IN_TEXT)
    offset = dt.datetime.strptime(zone, "%z").tzinfo
    return at.replace(tzinfo=world.zone).astimezone(offset).replace(tzinfo=None).isoformat() + zone


def _years_before(day: dt.date, years: int) -> dt.date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def _property_predicates(dice: Random, world: World, event_type: str) -> list[dict[str, Any]]:
    events = [
        each
        for events in world.events.values()
        for each in events
        if each.event_type.startswith(event_type.rstrip("*"))
    ]
    known = [name for each in events for name in names(each.properties or {})]
    found = []
    for _ in range(dice.choice([1, 1, 1, 2])):
        name = dice.choice(known if known and dice.random() < 0.8 else [*PROPERTIES, "never"])
        stored = [find(each.properties or {}, name) for each in events]
        found.append({"property": name, **_predicate(dice, name, stored, world)})
    return found


def _predicate(dice: Random, name: str, stored: Sequence[Any], world: World) -> dict[str, Any]:
    """An operator and a value that is mostly near one of the stored values."""
    present = [value for value in stored if not is_missing(value)]
    by_chance = not present or dice.random() < 0.1
    target = _stored(dice, name, world) if by_chance else dice.choice(present)
    looks = _looks(target)
    op = dice.choice(ALL_OPERATORS if dice.random() < 0.4 else OPERATORS_FOR[looks])
    if op == "between":
        if (looks == "date") == (dice.random() < 0.8):
            return _date_predicate(dice, op, world)
        return {"op": op, "value": _between(dice, lambda dice: _number_near(dice, target))}
    if op in (*DATE_OPERATORS, "exists", "not_exists"):
        return _date_predicate(dice, op, world)
    if op in TEXT_OPERATORS:
        return {"op": op, "value": _pattern(dice, op, read_text(target))}
    if op == "contains" and isinstance(target, list) and target and dice.random() < 0.8:
        target = dice.choice(target)
        looks = _looks(target)
    kinds = ["number", "text"] if op in ORDER else ["number", "text", "true or false"]
    usual = {"number": "number", "true or false": "true or false"}.get(looks, "text")
    kind = usual if usual in kinds and dice.random() < 0.8 else dice.choice(kinds)
    one: Maker = {
        "number": lambda dice: _number_near(dice, target),
        "text": lambda dice: _text_near(dice, target),
        "true or false": lambda dice: dice.choice([True, False]),
    }[kind]
    if op in ("in", "not_in"):
        return {"op": op, "value": [one(dice) for _ in range(dice.randint(1, 3))]}
    return {"op": op, "value": one(dice)}


def _looks(value: Any) -> str:
    if isinstance(value, bool) or value in ("true", "false"):
        return "true or false"
    if isinstance(value, list):
        return "list"
    if isinstance(value, str) and re.match("[0-9]{4}-", value):
        return "date"
    return "text" if read_number(value) is None else "number"


def _number_near(dice: Random, target: Any) -> Any:
    number = read_number(target)
    return dice.choice(NUMBERS) if number is None or dice.random() < 0.4 else number


def _text_near(dice: Random, target: Any) -> str:
    return (read_text(target) if dice.random() < 0.6 else None) or dice.choice(TEXTS)


def _pattern(dice: Random, op: str, text: str | None) -> str:
    if op == "matches":
        return dice.choice(PATTERNS)
    near = text if text and dice.random() < 0.8 else dice.choice(TEXTS)
    cut = dice.randint(0, len(near))
    if op == "starts_with":
        return near[:cut] or near
    if op == "ends_with":
        return near[cut:] or near
    head, tail = (re.sub(r"([%_\\])", r"\\\1", part) for part in (near[:cut], near[cut + 1 :]))
    return dice.choice([head + "_" + tail, f"{head}%{tail}", f"%{tail}", f"{head}%", f"%{head}%"])


def _number_predicate(dice: Random, pool: Sequence[Any]) -> dict[str, Any]:
    op = dice.choice(["=", "!=", *ORDER, "in", "not_in", "between", "exists", "not_exists"])
    if op in ("exists", "not_exists"):
        return {"op": op}
    if op in ("in", "not_in"):
        return {"op": op, "value": dice.sample(pool, dice.randint(1, 3))}
    if op == "between":
        return {"op": op, "value": _between(dice, lambda dice: dice.choice(pool))}
    return {"op": op, "value": dice.choice(pool)}


def _between(dice: Random, one: Maker) -> list[Any]:
    both = [one(dice), one(dice)]
    return both if dice.random() < 0.2 else sorted(both)


def _date_predicate(dice: Random, op: str, world: World) -> dict[str, Any]:
    if op in ("exists", "not_exists"):
        return {"op": op}
    if op in ("within_last", "within_next"):
        return {"op": op, "value": dice.choice(LENGTHS)}
    if op == "between":
        both = [_date_value(dice, world), _date_value(dice, world)]
        if dice.random() < 0.8:
            both.sort(key=lambda text: period(text, world.now, world.zone) or ())
        return {"op": op, "value": both}
    if op == "anniversary":
        if dice.random() < 0.3:
            return {"op": op}
        return {"op": op, "value": _date_value(dice, world, ("day",))}
    return {"op": op, "value": _date_value(dice, world)}


def _date_value(dice: Random, world: World, forms: Sequence[str] = ("day", "instant")) -> str:
    if dice.random() < 0.3:
        return _written(dice, world, forms)
    return dice.choice(dice.choice([NAMED_DAYS, PERIODS, DISTANCES]))
