"""The rows of the tables as cases: a rule, and whether one contact of a world satisfies it.

The rows of one table share a world with a contact for each, so that a world is stored once for
hundreds of rules; `by_world` brings together what shares one.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from marketing_pipelines_tests.segments import dates, events, operators
from marketing_pipelines_tests.segments.naive import (
    MISSING,
    NUMBER_COLUMNS,
    Contact,
    Event,
    World,
)

NOON = "2026-03-31T12:00:00+00:00"


class Case(NamedTuple):
    """True if the contact is to be a member."""

    table: str
    world: World
    rule: Any
    contact: str
    expected: bool


def every_case() -> list[Case]:
    """All rows of all tables."""
    return [
        *_of_values("values", "UTC", NOON, operators.VALUES),
        *(
            case
            for zone, now, rows in dates.DATES
            for case in _of_values(f"dates in {zone} at {now}", zone, now, rows)
        ),
        *_of_columns(),
        *_of_created_at(),
        *_of_names(),
        *_of_events(),
        *_of_groups(),
        *_of_segments(),
        *_of_shares(),
    ]


def by_world(cases: Iterable[Case]) -> list[tuple[World, list[Case]]]:
    """The cases of each world."""
    found: dict[int, tuple[World, list[Case]]] = {}
    for case in cases:
        found.setdefault(id(case.world), (case.world, []))[1].append(case)
    return list(found.values())


def error_world() -> World:
    """The world in which the rules of `errors` are wrong."""
    rule = {"attribute": "plan", "op": "exists"}
    contact = Contact("c", {"plan": "x", "born": "2000-01-01", "a": {"b": 1}})
    return replace(
        _world("UTC", NOON, [contact]),
        segments={"s": events.Segment(rule)},
        events={"c": [events.at("30T12:00", properties={"p": 1, "a": {"b": 2}}, source="k1")]},
        any_name=False,
    )


def _rule(name: str, op: str, value: Any) -> dict[str, Any]:
    rule = {"attribute": name, "op": op}
    return rule if value is MISSING else {**rule, "value": value}


def _world(zone: str, now: str, contacts: list[Contact]) -> World:
    return World(ZoneInfo(zone), dt.datetime.fromisoformat(now), contacts)


def _of_values(table: str, zone: str, now: str, rows: list[operators.Row]) -> Iterator[Case]:
    # One contact has the attribute in any case, so that it is known.
    contacts = [Contact("known", {"f": "x"})]
    contacts += [
        Contact(f"c{number}", {} if stored is MISSING else {"f": stored})
        for number, (stored, *_) in enumerate(rows)
    ]
    world = _world(zone, now, contacts)
    for number, (_, op, value, expected) in enumerate(rows):
        yield Case(table, world, _rule("f", op, value), f"c{number}", expected)


def _of_columns() -> Iterator[Case]:
    rows = operators.COLUMN_ROWS
    contacts = [
        Contact(f"c{number}", columns={column: stored})
        for number, (column, stored, *_) in enumerate(rows)
    ]
    # The database gives the numbers: only what is so of every number can be said.
    contacts.append(Contact("Ann-1", columns=dict.fromkeys(NUMBER_COLUMNS[:3], 1)))
    world = _world("UTC", NOON, contacts)
    for number, (column, _, op, value, expected) in enumerate(rows):
        yield Case("columns", world, _rule(column, op, value), f"c{number}", expected)
    for column in NUMBER_COLUMNS[:3]:
        for op, value, expected in (
            ("exists", MISSING, True),
            ("not_exists", MISSING, False),
            (">", 0, True),
            ("<=", 0, False),
            ("!=", -1, True),
            ("=", 10**30, False),
            ("between", [1, 10**30], True),
            ("not_in", [-1, 0], True),
        ):
            yield Case("columns", world, _rule(column, op, value), "Ann-1", expected)
    for op, value, expected in (
        ("=", "Ann-1", True),
        ("=", "ann-1", False),
        ("!=", "Ann-1", False),
        ("in", ["Ann-1", "Bob"], True),
        ("like", "Ann%", True),
        ("starts_with", "Ann", True),
        ("exists", MISSING, True),
        ("!=", 1, True),
    ):
        yield Case("columns", world, _rule("external_id", op, value), "Ann-1", expected)


def _of_created_at() -> Iterator[Case]:
    zone, now, _ = dates.DATES[0]
    rows = dates.CREATED_AT
    contacts = [
        Contact(f"c{number}", columns={"created_at": dt.datetime.fromisoformat(stored)})
        for number, (stored, *_) in enumerate(rows)
    ]
    world = _world(zone, now, contacts)
    for number, (_, op, value, expected) in enumerate(rows):
        yield Case("created_at", world, _rule("created_at", op, value), f"c{number}", expected)


def _of_names() -> Iterator[Case]:
    rows = operators.NAMES
    contacts = [Contact("known", _with_every_name(name for _, name, *_ in rows))]
    contacts += [Contact(f"c{number}", row[0]) for number, row in enumerate(rows)]
    world = _world("UTC", NOON, contacts)
    for number, (_, name, op, value, expected) in enumerate(rows):
        yield Case("names", world, _rule(name, op, value), f"c{number}", expected)


def _with_every_name(names: Iterable[str]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name in names:
        attributes[name] = "known"
        *objects, last = name.split(".")
        inside = attributes
        for key in objects:
            deeper = inside.get(key)
            inside[key] = deeper if isinstance(deeper, dict) else {}
            inside = inside[key]
        inside.setdefault(last, "known")
    return attributes


def _of_events() -> Iterator[Case]:
    rows = events.EVENTS
    contacts = [Contact(f"c{number}") for number in range(len(rows))]
    # An event id is taken once in an organization; what stands before it keeps a row's order.
    happened = {
        f"c{number}": [
            replace(event, event_id=f"{number}-{_distinct(row[0], place)}")
            for place, event in enumerate(row[0])
        ]
        for number, row in enumerate(rows)
    }
    world = replace(_world(events.ZONE, events.NOW, contacts), events=happened)
    for number, (_, rule, expected) in enumerate(rows):
        yield Case("events", world, rule, f"c{number}", expected)


def _distinct(row: list[Event], place: int) -> str:
    own = row[place].event_id
    assert own not in [event.event_id for event in row[:place]], f"{own} twice in a row"
    return own


def _of_groups() -> Iterator[Case]:
    contacts = [Contact("c", {"plan": "x"}), Contact("known", {"plan": "y", "none": "x"})]
    world = replace(
        _world(events.ZONE, events.NOW, contacts),
        events={"c": [events.at("30T12:00", source="k1")]},
    )
    for rule, expected in events.GROUPS:
        yield Case("groups", world, rule, "c", expected)


def _of_shares() -> Iterator[Case]:
    world = replace(
        _world("UTC", NOON, [Contact(name) for name in ("c1", "c2", "caf\u00e9")]),
        organization="acme",
    )
    for contact, share, expected in events.SHARES:
        yield Case("shares", world, {"random": share}, contact, expected)


def _of_segments() -> Iterator[Case]:
    contacts = [Contact("c", {"plan": "x"}), Contact("d", {"plan": "x"})]
    for segments, rule, expected in events.SEGMENTS:
        world = replace(_world("UTC", NOON, contacts), segments=segments)
        yield Case("segments", world, rule, "c", expected)
