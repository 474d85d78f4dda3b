"""SQL expressions that read stored values of contacts and events and compare them, never null.

The stored value is converted to the type of the rule's value. A value that cannot be converted is
missing, and a missing value satisfies only the operators that are another's opposite.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.segments import dates
from marketing_pipelines.domains.segments.operators import COMPLEMENTS
from marketing_pipelines.domains.segments.rules import Comparison
from marketing_pipelines.stores.tables import zones

Condition = sa.ColumnElement[bool]
_AS_WRITTEN = "C"
# Columns of contacts that no rule means: an attribute may have the name.
NOT_FIELDS = {"attributes", "organization_id", "source"}


class Stored(Protocol):
    """A value that a rule can name."""

    def text(self) -> sa.ColumnElement[str]:
        """Read as text."""
        ...

    def number(self) -> sa.ColumnElement[Any]:
        """Read as a decimal number."""
        ...

    def boolean(self) -> Condition:
        """Read as true or false."""
        ...

    def instant(self, zone: ZoneInfo) -> sa.ColumnElement[Any]:
        """Read as an instant."""
        ...

    def is_present(self) -> Condition:
        """Returns the condition that there is a value."""
        ...

    def document(self) -> sa.ColumnElement[Any]:
        """As JSON."""
        ...


@dataclass(frozen=True)
class Document:
    """A JSON value: an attribute of a contact, a property of an event, an element of a list."""

    value: sa.ColumnElement[Any]

    def text(self) -> sa.ColumnElement[str]:
        return sa.func.segments.as_text(self.value, type_=sa.Text)

    def number(self) -> sa.ColumnElement[Any]:
        return sa.func.segments.as_number(self.value, type_=sa.Numeric)

    def boolean(self) -> Condition:
        return sa.func.segments.as_boolean(self.value, type_=sa.Boolean)

    def instant(self, zone: ZoneInfo) -> sa.ColumnElement[Any]:
        return _as_instant(self.text(), zone)

    def is_present(self) -> Condition:
        return sa.func.segments.is_present(self.value, type_=sa.Boolean)

    def document(self) -> sa.ColumnElement[Any]:
        return self.value


@dataclass(frozen=True)
class TextColumn:
    """A text column, which is read like a text in JSON."""

    column: sa.ColumnElement[Any]

    def text(self) -> sa.ColumnElement[str]:
        return sa.func.nullif(self.column, "", type_=sa.Text)

    def number(self) -> sa.ColumnElement[Any]:
        return sa.func.segments.text_as_number(self.column, type_=sa.Numeric)

    def boolean(self) -> Condition:
        text = sa.func.lower(self.column)
        return sa.case((text == "true", sa.true()), (text == "false", sa.false()))

    def instant(self, zone: ZoneInfo) -> sa.ColumnElement[Any]:
        return _as_instant(self.column, zone)

    def is_present(self) -> Condition:
        return sa.func.coalesce(self.column, "") != ""

    def document(self) -> sa.ColumnElement[Any]:
        return sa.func.to_jsonb(self.column, type_=pg.JSONB)


@dataclass(frozen=True)
class TypedColumn:
    """A column of numbers or instants; `fits` refuses rules that would read it as anything else."""

    column: sa.ColumnElement[Any]

    def text(self) -> sa.ColumnElement[str]:
        return sa.cast(sa.null(), sa.Text)

    def number(self) -> sa.ColumnElement[Any]:
        return sa.cast(self.column, sa.Numeric)

    def boolean(self) -> Condition:
        return sa.cast(sa.null(), sa.Boolean)

    def instant(self, zone: ZoneInfo) -> sa.ColumnElement[Any]:
        return self.column

    def is_present(self) -> Condition:
        return self.column.is_not(None)

    def document(self) -> sa.ColumnElement[Any]:
        return sa.func.to_jsonb(self.column, type_=pg.JSONB)


@dataclass(frozen=True)
class BooleanColumn(TypedColumn):
    """A column of true and false, also read as the texts `true` and `false`."""

    def text(self) -> sa.ColumnElement[str]:
        return sa.cast(self.column, sa.Text)

    def number(self) -> sa.ColumnElement[Any]:
        return sa.cast(sa.null(), sa.Numeric)

    def boolean(self) -> Condition:
        return self.column

    def instant(self, zone: ZoneInfo) -> sa.ColumnElement[Any]:
        return sa.cast(sa.null(), sa.DateTime(timezone=True))


@dataclass(frozen=True)
class ListColumn:
    """A column of texts: `contains` means one of them, other operators all, as files write them."""

    column: sa.ColumnElement[Any]

    @property
    def _joined(self) -> TextColumn:
        return TextColumn(sa.func.array_to_string(self.column, ";", type_=sa.Text))

    def text(self) -> sa.ColumnElement[str]:
        return self._joined.text()

    def number(self) -> sa.ColumnElement[Any]:
        return self._joined.number()

    def boolean(self) -> Condition:
        return self._joined.boolean()

    def instant(self, zone: ZoneInfo) -> sa.ColumnElement[Any]:
        return self._joined.instant(zone)

    def is_present(self) -> Condition:
        return sa.func.cardinality(self.column) > 0

    def document(self) -> sa.ColumnElement[Any]:
        return sa.func.to_jsonb(self.column, type_=pg.JSONB)


def _as_instant(text: sa.ColumnElement[str], zone: ZoneInfo) -> sa.ColumnElement[Any]:
    return sa.func.segments.as_instant(
        text,
        _of_zone(zone, zones.c.starts_local),
        _of_zone(zone, zones.c.utc_offsets),
        type_=sa.DateTime(timezone=True),
    )


def _of_zone(zone: ZoneInfo, column: sa.Column[Any]) -> sa.ScalarSelect[Any]:
    """An array of a zone, read and unpacked once a statement."""
    unpacked = sa.func.array_cat(column, sa.cast([], column.type), type_=column.type)
    return sa.select(unpacked).where(zones.c.name == zone.key).scalar_subquery()


_COLUMNS: tuple[tuple[type[Any], Callable[[sa.ColumnElement[Any]], Stored]], ...] = (
    (sa.Text, TextColumn),
    (sa.Boolean, BooleanColumn),
    (pg.ARRAY, ListColumn),
)


def column_of(name: str) -> sa.Column[Any] | None:
    """The column of contacts that a rule means by a name."""
    return None if name in NOT_FIELDS else contacts.c.get(name)


def stored(contact: sa.FromClause, name: str) -> Stored:
    """A column of the contact or, where none has the name, an attribute."""
    column = column_of(name)
    if column is None:
        return Document(at(contact.c.attributes, name))
    own = contact.c[name]
    for kind, read in _COLUMNS:
        if isinstance(column.type, kind):
            return read(own)
    return TypedColumn(own)


def at(container: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[Any]:
    """The value under a key exactly as written, else under a dotted path into objects."""
    keys = name.split(".")
    if len(keys) == 1:
        return _under(container, name)
    below = container
    for key in keys:
        below = _under(below, key)
    return sa.case((container.has_key(name), _under(container, name)), else_=below)


def _under(container: sa.ColumnElement[Any], key: str) -> sa.ColumnElement[Any]:
    # Not a subscript, which would find elements of lists by number.
    return sa.type_coerce(container.op("->")(sa.literal(key, sa.Text)), pg.JSONB)


def fits(comparison: Comparison, name: str) -> tuple[str, str] | None:
    """Returns the key of the comparison that does not fit the column, and the reason. None if it
    fits, and for attributes."""
    column = column_of(name)
    loose = (sa.Text, sa.Boolean, pg.ARRAY)
    if column is None or isinstance(column.type, loose) or comparison.kind == "none":
        return None
    dated = comparison.op == "between" or comparison.kind in ("date", "length")
    if isinstance(column.type, sa.DateTime):
        if comparison.kind in ("date", "length"):
            return None
        reason = f"{name} holds instants: compare it with before, after, on, between, within_last"
        return "value" if dated else "op", reason
    if comparison.kind == "number" and comparison.op != "contains":
        return None
    if comparison.op in ("between", "=", "!=", "in", "not_in", ">", ">=", "<", "<="):
        return "value", f"{name} holds numbers: give a number"
    return "op", f"{name} holds numbers: compare it with =, >, <, in or between"


def compare(comparison: Comparison, value: Stored, now: dt.datetime, zone: ZoneInfo) -> Condition:
    """Returns the condition that a stored value passes the comparison, never null."""
    opposite = COMPLEMENTS.get(comparison.op)
    if opposite is not None:
        plain = comparison.model_copy(update={"op": opposite})
        return sa.not_(compare(plain, value, now, zone))
    if comparison.op == "exists":
        return value.is_present()
    if comparison.op == "not_exists":
        return sa.not_(value.is_present())
    if comparison.op == "contains":
        return _contains(comparison, value)
    kind = comparison.kind
    if kind in ("date", "length"):
        return _or_false(_in_time(comparison, value.instant(zone), now, zone))
    read = {"text": value.text, "number": value.number, "boolean": value.boolean}[kind]()
    return _or_false(_passes(comparison, read, kind))


def _or_false(condition: Condition) -> Condition:
    return sa.func.coalesce(condition, sa.false(), type_=sa.Boolean)


def _passes(comparison: Comparison, read: sa.ColumnElement[Any], kind: str) -> Condition:
    given: Any = comparison.value
    if comparison.op == "in":
        listed = [Decimal(item) for item in given] if kind == "number" else list(given)
        return read == sa.any_(sa.cast(listed, pg.ARRAY(_TYPES[kind])))
    if comparison.op == "between":
        low, high = (sa.cast(bound, sa.Numeric) for bound in given)
        return sa.and_(read >= low, read <= high)
    by_code_point = sa.collate(read, _AS_WRITTEN) if kind == "text" else read
    bound = sa.cast(given, _TYPES[kind])
    tests: dict[str, Callable[[], Condition]] = {
        "=": lambda: read == bound,
        ">": lambda: by_code_point > bound,
        ">=": lambda: by_code_point >= bound,
        "<": lambda: by_code_point < bound,
        "<=": lambda: by_code_point <= bound,
        "like": lambda: read.like(bound),
        "matches": lambda: read.regexp_match(bound),
        "starts_with": lambda: sa.func.starts_with(read, bound, type_=sa.Boolean),
        "ends_with": lambda: sa.func.right(read, sa.func.length(bound)) == bound,
    }
    return tests[comparison.op]()


_TYPES: dict[str, Any] = {"text": sa.Text, "number": sa.Numeric, "boolean": sa.Boolean}


def _contains(comparison: Comparison, value: Stored) -> Condition:
    """An element of a list; of a text, a part."""
    given, kind = comparison.value, comparison.kind
    document = value.document()
    a_list = sa.case(
        (sa.func.jsonb_typeof(document) == "array", document),
        else_=sa.cast(sa.literal("[]", sa.Text), pg.JSONB),
    )
    elements = sa.func.jsonb_array_elements(a_list).table_valued(sa.column("value", pg.JSONB))
    item = Document(elements.c.value)
    read = {"text": item.text, "number": item.number, "boolean": item.boolean}[kind]()
    is_element = sa.exists(
        sa.select(1).select_from(elements).where(read == sa.cast(given, _TYPES[kind]))
    )
    if kind != "text" or isinstance(value, ListColumn):
        return is_element
    is_part = sa.func.strpos(value.text(), given) > 0
    return sa.or_(_or_false(is_part), is_element)


def _in_time(
    comparison: Comparison, read: sa.ColumnElement[Any], now: dt.datetime, zone: ZoneInfo
) -> Condition:
    op, given = comparison.op, comparison.value
    if op == "within_last":
        return _lies_in(read, now - dates.length(given), now)
    if op == "within_next":
        return _lies_in(read, now, now + dates.length(given))
    if op == "between":
        first, last = (dates.period(bound, now, zone) for bound in given)
        return _lies_in(read, first.start, last.end)
    if op == "anniversary":
        span = dates.period(given if comparison.has_value else "today", now, zone)
        day = sa.func.segments.month_day(
            read,
            _of_zone(zone, zones.c.starts_at),
            _of_zone(zone, zones.c.utc_offsets),
            type_=sa.Text,
        )
        return day == sa.any_(sa.cast(dates.month_days(span), pg.ARRAY(sa.Text)))
    span = dates.period(given, now, zone)
    return {
        "before": read < span.start,
        "after": read >= span.end,
        "on": _lies_in(read, span.start, span.end),
    }[op]


def _lies_in(read: sa.ColumnElement[Any], start: dt.datetime, end: dt.datetime) -> Condition:
    """Returns the condition that an instant lies in the half-open span. It is read once, which
    costs most of it."""
    span = sa.func.tstzrange(start, max(start, end), "[)", type_=pg.TSTZRANGE)
    return span.contains(read)
