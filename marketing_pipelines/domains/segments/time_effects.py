"""Effects of time alone on rules: windows slide and days end without any change of data.

Events that fall out of a window, or into it, touch their contacts (`edges`). Values that are
compared with the moment change nothing until an instant that is known beforehand (`pause`,
`boundaries`); when it has passed, all contacts are evaluated.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.segments import dates
from marketing_pipelines.domains.segments.compiler import Compiler, window_of
from marketing_pipelines.domains.segments.rules import (
    Attribute,
    Comparison,
    EventCondition,
    predicates,
    walk,
)
from marketing_pipelines.domains.segments.values import stored


@dataclass(frozen=True)
class Edge:
    """Events of this type that entered or left a window between two instants."""

    event_type: str
    is_prefix: bool
    start: dt.datetime
    end: dt.datetime


def edges(rule: Any, before: dt.datetime, now: dt.datetime, zone: ZoneInfo) -> Iterator[Edge]:
    """Yields the spans in which the windows of a rule differ between two instants."""
    for condition, _, _ in walk(rule):
        if isinstance(condition, EventCondition):
            starts_and_ends = zip(
                window_of(condition, before, zone), window_of(condition, now, zone), strict=True
            )
            for old, new in starts_and_ends:
                if old is not None and new is not None and old != new:
                    yield Edge(
                        condition.event.removesuffix("*")
                        if condition.prefix is not None
                        else condition.event,
                        condition.prefix is not None,
                        min(old, new),
                        max(old, new),
                    )


def pause(rule: Any, now: dt.datetime, zone: ZoneInfo) -> dt.datetime | None:
    """Up to when the words and lengths in a rule mean the same; None: for ever.

    Conditions that `boundaries` covers are left out.
    """
    until: list[dt.datetime] = []
    for condition, _, _ in walk(rule):
        if isinstance(condition, Attribute):
            if _names_a_moving_day(condition):
                until.append(dates.next_midnight(now, zone) - dates.INSTANT)
        elif isinstance(condition, EventCondition):
            for predicate, _ in predicates(condition):
                if predicate.kind == "length":
                    until.append(now)
                elif _names_a_moving_day(predicate):
                    until.append(dates.next_midnight(now, zone) - dates.INSTANT)
    return min(until, default=None)


def boundaries(rule: Any, compiler: Compiler) -> list[sa.Select[Any]]:
    """Returns queries for the next instant at which contacts' own dates answer differently. There
    is one for each condition that compares them with the moment."""
    now, zone = compiler.frame.now, compiler.frame.zone
    contact = compiler.contact
    found = []
    for condition, _, _ in walk(rule):
        if isinstance(condition, Attribute) and condition.kind == "length":
            value = stored(contact, condition.attribute).instant(zone).label("value")
            # `offset 0`: read once, used twice.
            own = (
                sa.select(value)
                .where(contact.c.organization_id == compiler.frame.organization_id)
                .offset(0)
                .subquery()
                .c.value
            )
            length = dates.length(condition.value)
            other = length if condition.op == "within_last" else -length
            at_other = sa.func.min(own).filter(own >= now - other) + sa.literal(other, sa.Interval)
            at_value = sa.func.min(own).filter(own >= now)
            found.append(sa.select(sa.func.least(at_value, at_other)))
    return found


def _names_a_moving_day(comparison: Comparison) -> bool:
    if comparison.op == "anniversary":
        return not comparison.has_value or dates.moves(comparison.value)
    if comparison.kind != "date":
        return False
    given = comparison.value if comparison.op == "between" else [comparison.value]
    return any(dates.moves(value) for value in given)
