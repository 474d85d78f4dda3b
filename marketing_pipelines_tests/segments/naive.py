"""The members of a segment rule, contact by contact in plain Python.

Written from the specification alone, without a look at the compiler: where the two disagree, one
of them misread it. A rule is taken as valid; `checking` says whether it is.
"""

import datetime as dt
import hashlib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from marketing_pipelines_tests.segments.days import (
    Period,
    instant,
    length,
    month_and_day,
    period,
    stored_instant,
)

CREATED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NUMBER_COLUMNS = ("id", "company_id", "owner_id", "intent_score", "lead_score")
TEXT_COLUMNS = (
    "external_id",
    "email",
    "phone",
    "first_name",
    "last_name",
    "lifecycle_stage",
    "lead_grade",
    "follow_up_note",
    "timezone",
)
COLUMNS = (*NUMBER_COLUMNS, *TEXT_COLUMNS, "created_at", "manual_override", "tags")
COMPLEMENTS = {"!=": "=", "not_in": "in", "not_like": "like", "not_exists": "exists"}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


class _Nothing:
    """A missing value, as opposed to null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Nothing()


@dataclass(frozen=True)
class Contact:
    """One contact; a column that is not given is null, `created_at` then is `CREATED`.

    Args:
        columns: By name, without `external_id`; `created_at` is a datetime with zone.
        attributes: JSON, with `int` and `Decimal` for numbers.
    """

    external_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)

    def column(self, name: str) -> Any:
        """The value of a column."""
        if name == "external_id":
            return self.external_id
        return self.columns.get(name, CREATED if name == "created_at" else None)


@dataclass(frozen=True)
class Event:
    """One event of a contact.

    Args:
        source: External id of the campaign whose number the event carries.
        source_type: `campaign`, or what else that number is said to be of.
    """

    event_id: str
    event_type: str
    occurred_at: dt.datetime
    source: str | None = None
    properties: Mapping[str, Any] | None = None
    source_type: str = "campaign"


class Segment(NamedTuple):
    """A rule, and the external ids of contacts that were added and removed by hand."""

    rule: Any
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class World:
    """All that an organization knows.

    Args:
        organization: Its external id; without one, rules have no random shares.
        events: By external id of the contact.
        segments: By external id of the segment.
        any_name: Events have had so many properties, and so many campaigns are known, that rules
            may name any.
    """

    zone: ZoneInfo
    now: dt.datetime
    contacts: Sequence[Contact] = ()
    events: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    segments: Mapping[str, Segment] = field(default_factory=dict)
    any_name: bool = True
    organization: str = ""


def members(rule: Any, world: World) -> set[str]:
    """External ids of the contacts that satisfy a rule."""
    return {contact.external_id for contact in world.contacts if holds(rule, contact, world)}


def holds(rule: Any, contact: Contact, world: World) -> bool:
    """True if a contact satisfies a valid rule."""
    match rule:
        case {"all": inner}:
            return all(holds(each, contact, world) for each in inner)
        case {"any": inner}:
            return any(holds(each, contact, world) for each in inner)
        case {"not": inner}:
            return not holds(inner, contact, world)
        case {"segment": name}:
            return _is_member(world.segments[str(name)], contact, world)
        case {"random": {"percent": percent, "salt": salt}}:
            return bucket(world.organization, contact.external_id, salt) < percent * 100
        case {"event": _}:
            return _happened(rule, contact, world)
        case {"attribute": name}:
            if name not in COLUMNS:
                return passes(find(contact.attributes, name), rule, world)
            return passes(as_in_files(contact.column(name), rule["op"]), rule, world)
    raise AssertionError(f"no rule: {rule!r}")


def bucket(*names: str) -> int:
    """The bucket of a contact: of the names of organization and contact, and a salt."""
    hashed = hashlib.sha256("\x1f".join(names).encode()).digest()
    return int.from_bytes(hashed[:8]) % 10_000


def _is_member(segment: Segment, contact: Contact, world: World) -> bool:
    if contact.external_id in segment.removed:
        return False
    return contact.external_id in segment.added or holds(segment.rule, contact, world)


def _happened(condition: Mapping[str, Any], contact: Contact, world: World) -> bool:
    events = world.events.get(contact.external_id, ())
    counted = [event for event in events if _counts(event, condition, world)]
    if "last" in condition:
        if not counted:
            return False
        latest = max(counted, key=lambda event: (instant(event.occurred_at), event.event_id))
        return all(_has(latest, predicate, world) for predicate in condition["last"])
    compare = COMPARISONS[condition.get("op", ">=")]
    return compare(len(counted), condition.get("times", 1))


def _counts(event: Event, condition: Mapping[str, Any], world: World) -> bool:
    at, now = instant(event.occurred_at), instant(world.now)
    if at >= now or not _is_of_type(event, condition["event"]):
        return False
    if "within" in condition and at < now - _length(condition["within"]):
        return False
    if "since" in condition and at < _period(condition["since"], world).start:
        return False
    if "until" in condition and at >= _period(condition["until"], world).end:
        return False
    if "source" in condition and not _is_of_source(event, condition["source"]):
        return False
    return all(_has(event, predicate, world) for predicate in condition.get("where", ()))


def _is_of_type(event: Event, wanted: str) -> bool:
    if wanted.endswith("*"):
        return event.event_type.startswith(wanted[:-1])
    return event.event_type == wanted


def _is_of_source(event: Event, wanted: str | Sequence[str]) -> bool:
    if event.source is None or event.source_type != "campaign":
        return False
    return event.source in ([wanted] if isinstance(wanted, str) else wanted)


def _has(event: Event, predicate: Mapping[str, Any], world: World) -> bool:
    return passes(find(event.properties or {}, predicate["property"]), predicate, world)


def find(values: Mapping[str, Any], name: str) -> Any:
    """The value of a key exactly as written, else at the end of a dotted path into objects."""
    if name in values:
        return values[name]
    found: Any = values
    for key in name.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return MISSING
        found = found[key]
    return found


def passes(stored: Any, condition: Mapping[str, Any], world: World) -> bool:
    """True if a stored value satisfies `op` and `value` of a condition."""
    op, value = condition["op"], condition.get("value", MISSING)
    if op in COMPLEMENTS:
        return not _passes(stored, COMPLEMENTS[op], value, world)
    return _passes(stored, op, value, world)


def _passes(stored: Any, op: str, value: Any, world: World) -> bool:
    if is_missing(stored):
        return False
    match op:
        case "exists":
            return True
        case "contains":
            return _contains(stored, value)
        case "within_last" | "within_next" | "before" | "after" | "on" | "anniversary":
            return _passes_date(stored, op, value, world)
        case "between" if isinstance(value[0], str):
            return _passes_date(stored, op, value, world)
    read = read_like(stored, value[0] if isinstance(value, list) else value)
    if read is None:
        return False
    match op:
        case "in":
            return read in value
        case "between":
            return bool(value[0] <= read <= value[1])
        case "like":
            return _like(value).fullmatch(read) is not None
        case "starts_with":
            return bool(read.startswith(value))
        case "ends_with":
            return bool(read.endswith(value))
        case "matches":
            return _expression(value).search(read) is not None
    return COMPARISONS[op](read, value)


def as_in_files(stored: Any, op: str) -> Any:
    """A column's list as files write it, unless one of its elements is asked for."""
    return ";".join(stored) if isinstance(stored, list) and op != "contains" else stored


def is_missing(stored: Any) -> bool:
    """True if a stored value counts as missing."""
    return stored is MISSING or stored is None or stored in ("", [])


def read_like(stored: Any, value: Any) -> Any:
    """A stored value as the type that a rule's value has; None if it cannot be read so."""
    if isinstance(value, bool):
        return read_true_or_false(stored)
    return read_text(stored) if isinstance(value, str) else read_number(stored)


def read_true_or_false(stored: Any) -> bool | None:
    """True or false, also from their names."""
    if isinstance(stored, bool):
        return stored
    return {"true": True, "false": False}.get(stored.lower()) if isinstance(stored, str) else None


def read_number(stored: Any) -> int | Decimal | None:
    """A number, also from a text that is a decimal number."""
    if isinstance(stored, str):
        return Decimal(stored) if _NUMBER.fullmatch(stored) else None
    return stored if isinstance(stored, int | Decimal) and not isinstance(stored, bool) else None


def read_text(stored: Any) -> str | None:
    """A text, also from a number and from true or false, as PostgreSQL prints them."""
    if isinstance(stored, bool):
        return "true" if stored else "false"
    if isinstance(stored, Decimal):
        return format(stored if stored else abs(stored), "f")
    if isinstance(stored, int):
        return str(stored)
    return stored if isinstance(stored, str) else None


def _contains(stored: Any, value: Any) -> bool:
    if isinstance(stored, list):
        # Compared as read: in Python True equals 1, but neither is read as the other.
        return any(
            read is not None and read == value
            for read in (read_like(each, value) for each in stored)
        )
    text = read_text(stored)
    return isinstance(value, str) and text is not None and value in text


def _like(pattern: str) -> re.Pattern[str]:
    parts = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            parts.append(re.escape(next(characters)))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return re.compile("".join(parts), re.DOTALL)


def _expression(pattern: str) -> re.Pattern[str]:
    # `$` is the very end in PostgreSQL; in Python it also stands before a last line break. Only
    # what both kinds of expression write alike is tried here, so nothing else is translated.
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", pattern), re.DOTALL)


def _passes_date(stored: Any, op: str, value: Any, world: World) -> bool:
    at = _read_instant(stored, world)
    if at is None:
        return False
    now = instant(world.now)
    match op:
        case "within_last":
            return now - _length(value) <= at < now
        case "within_next":
            return now <= at < now + _length(value)
        case "between":
            return at >= _period(value[0], world).start and at < _period(value[1], world).end
        case "anniversary":
            return _is_anniversary(at, "today" if value is MISSING else value, world)
    named = _period(value, world)
    match op:
        case "before":
            return at < named.start
        case "after":
            return at >= named.end
    return named.start <= at < named.end


def _read_instant(stored: Any, world: World) -> int | None:
    if isinstance(stored, dt.datetime):
        return instant(stored)
    return stored_instant(stored, world.zone) if isinstance(stored, str) else None


def _is_anniversary(at: int, value: str, world: World) -> bool:
    days = _period(value, world).days
    assert days is not None
    month, day = month_and_day(at, world.zone)
    for ordinal in range(days[0].toordinal(), days[1].toordinal() + 1):
        date = dt.date.fromordinal(ordinal)
        if (date.month, date.day) == (month, day):
            return True
        if (month, day) == (2, 29) and (date.month, date.day) == (2, 28) and not _is_leap(date):
            return True
    return False


def _is_leap(date: dt.date) -> bool:
    return dt.date(date.year, 3, 1) - dt.date(date.year, 2, 1) == dt.timedelta(days=29)


def _period(text: str, world: World) -> Period:
    found = period(text, world.now, world.zone)
    assert found is not None, text
    return found


def _length(text: str) -> int:
    found = length(text)
    assert found is not None, text
    return found
