"""The operators of the rule language, and the values that each takes."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from marketing_pipelines.domains.segments import dates

Operator = Literal[
    "=",
    "!=",
    ">",
    ">=",
    "<",
    "<=",
    "in",
    "not_in",
    "between",
    "like",
    "not_like",
    "contains",
    "starts_with",
    "ends_with",
    "matches",
    "exists",
    "not_exists",
    "before",
    "after",
    "on",
    "within_last",
    "within_next",
    "anniversary",
]
CountOperator = Literal["=", "!=", ">", ">=", "<", "<="]
ValueKind = Literal["text", "number", "boolean", "date", "length", "none"]
# Operators whose answer is the opposite of another's.
COMPLEMENTS: dict[str, Operator] = {"!=": "=", "not_in": "in", "not_like": "like"}
_TEXT_OPERATORS = ("like", "not_like", "starts_with", "ends_with", "matches")
_ORDER_OPERATORS = (">", ">=", "<", "<=")


def kind_of(op: Operator, value: Any, *, given: bool = True) -> ValueKind:
    """Returns the type to which a stored value is converted for this operator and value.

    Raises:
        ValueError: they do not fit each other; the text says why.
    """
    if op in ("exists", "not_exists"):
        if given:
            raise ValueError(f"{op} takes no value")
        return "none"
    if op == "anniversary":
        _require_day("today" if not given else value)
        return "date"
    if not given:
        raise ValueError(f"has no value for {op}")
    if op in ("before", "after", "on"):
        _require_date(value)
        return "date"
    if op in ("within_last", "within_next"):
        _require_length(value)
        return "length"
    if op == "between":
        return _kind_of_bounds(value)
    if op in ("in", "not_in"):
        return _kind_of_list(value)
    kind = _scalar_kind(value)
    if op in _TEXT_OPERATORS and kind != "text":
        raise ValueError(f"{op} takes a text")
    if op in _ORDER_OPERATORS and kind == "boolean":
        raise ValueError(f"{op} takes a number or a text")
    if op in ("like", "not_like") and re.search(r"(?<!\\)(\\\\)*\\$", value):
        raise ValueError("a pattern must not end with a single backslash")
    return kind


def _kind_of_bounds(value: Any) -> ValueKind:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError("between takes two numbers or two dates")
    if all(_is_number(bound) for bound in value):
        return "number"
    if not all(isinstance(bound, str) for bound in value):
        raise ValueError("between takes two numbers or two dates")
    for bound in value:
        _require_date(bound)
    return "date"


def _kind_of_list(value: Any) -> ValueKind:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ValueError("takes a list with at least one value")
    kinds = {_scalar_kind(item) for item in value}
    if len(kinds) > 1:
        raise ValueError("takes values of one type")
    return kinds.pop()


def _scalar_kind(value: Any) -> ValueKind:
    if isinstance(value, bool):
        return "boolean"
    if _is_number(value):
        return "number"
    if isinstance(value, str):
        return "text"
    raise ValueError("takes a text, a number, or true or false")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _require_date(value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError("takes a date")
    dates.require_date(value)


def _require_day(value: Any) -> None:
    _require_date(value)
    if dates.is_instant(value):
        raise ValueError("anniversary takes a day or a period, not an instant")


def _require_length(value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError("takes a length such as 30d")
    dates.length(value)
