"""Totals that many rules need, counted once: one scan of the events of a type answers all.

Most rules of an organization ask about the same few types of events. For all contacts, each would
read and group millions of them; together they are one statement per type, whose answers are in a
temporary table until the transaction ends. It has a row for every contact, so that a rule about
nothing else reads only this table.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.segments.compiler import (
    TABLES,
    Compiler,
    Frame,
    Sources,
    counting_key,
    window_of,
)
from marketing_pipelines.domains.segments.rules import (
    Attribute,
    EventCondition,
    InShare,
    walk,
)
from marketing_pipelines.stores.temporary import create_temporary

# A table has at most 1,600 columns.
MAX_AT_ONCE = 200

Counted = Mapping[str, sa.ColumnClause[int]]


def count_together(connection: sa.Connection, rules: Iterable[Any], frame: Frame) -> Counted:
    """Counts the events of all contacts if several conditions need one type.

    Returns:
        As `Sources.counted`.
    """
    counted: dict[str, sa.ColumnClause[int]] = {}
    for number, conditions in enumerate(_shared(rules)):
        name = f"counted_{number}"
        create_temporary(connection, name, _counts(conditions, frame))
        connection.execute(sa.text(f"analyze {name}"))
        table = sa.table(
            name, sa.column("id", sa.BigInteger), sa.column("organization_id", sa.BigInteger)
        )
        for place, condition in enumerate(conditions):
            column = sa.column(f"answer_{place}", sa.Integer)
            table.append_column(column)
            counted[counting_key(condition)] = column
    return counted


def sources_for(rule: Any, counted: Counted) -> Sources:
    """Returns the tables that a rule reads for all contacts. The table of contacts is among them
    only if the rule tests a column or an attribute, or counts nothing."""
    conditions = [condition for condition, _, _ in walk(rule)]
    answers = (counted.get(counting_key(c)) for c in conditions if isinstance(c, EventCondition))
    tables = [a.table for a in answers if a is not None and a.table is not None]
    if not tables or any(isinstance(condition, (Attribute, InShare)) for condition in conditions):
        return Sources(TABLES.contacts, TABLES.events, counted)
    return Sources(tables[0], TABLES.events, counted)


def _shared(rules: Iterable[Any]) -> Iterator[list[EventCondition]]:
    """The conditions that one look can answer, where there are several.

    Regular expressions are left to their own rule, which alone is stopped when one takes too long.
    """
    groups: dict[str, dict[str, EventCondition]] = defaultdict(dict)
    for rule in rules:
        for condition, _, _ in walk(rule):
            if (
                isinstance(condition, EventCondition)
                and condition.prefix is None
                and condition.last is None
                and all(predicate.op != "matches" for predicate in condition.where)
            ):
                groups[condition.event][counting_key(condition)] = condition
    for group in groups.values():
        for conditions in _batched(list(group.values())):
            if len(conditions) > 1:
                yield conditions


def _batched(conditions: list[EventCondition]) -> Iterator[list[EventCondition]]:
    for start in range(0, len(conditions), MAX_AT_ONCE):
        yield conditions[start : start + MAX_AT_ONCE]


def _counts(conditions: list[EventCondition], frame: Frame) -> sa.Select[Any]:
    compiler = Compiler(frame)
    events = contact_activity.c
    numbers = [
        sa.func.count()
        .filter(compiler.matches(condition, contact_activity))
        .label(f"number_{place}")
        for place, condition in enumerate(conditions)
    ]
    starts = [window_of(condition, frame.now, frame.zone)[0] for condition in conditions]
    found = sa.select(events.contact_id, *numbers).where(
        compiler.of_organization(contact_activity), events.event_type == conditions[0].event
    )
    if None not in starts:
        found = found.where(events.occurred_at >= min(start for start in starts if start))
    own = found.group_by(events.contact_id).subquery()
    answers = (
        sa.cast(sa.func.coalesce(own.c[number.name], 0), sa.Integer).label(f"answer_{place}")
        for place, number in enumerate(numbers)
    )
    return (
        sa.select(contacts.c.id, contacts.c.organization_id, *answers)
        .select_from(contacts.outerjoin(own, own.c.contact_id == contacts.c.id))
        .where(contacts.c.organization_id == frame.organization_id)
    )
