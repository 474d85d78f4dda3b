"""Copies of the rows of a few contacts, so that a rule is evaluated for them alone.

The copies are temporary tables with the columns of the tables they come from: whatever reads those
can read these.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.segments.compiler import Frame, Sources, window_of
from marketing_pipelines.domains.segments.rules import EventCondition, walk
from marketing_pipelines.domains.segments.segment_graph import read_sql
from marketing_pipelines.domains.segments.tables import memberships
from marketing_pipelines.stores.temporary import create_temporary

_looked_at = sa.table("looked_at", sa.column("contact_id", sa.BigInteger))


def _copy_of(table: sa.Table, name: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column.name, column.type) for column in table.columns))


STAGED = Sources(_copy_of(contacts, "staged_contacts"), _copy_of(contact_activity, "staged_events"))
STAGED_MEMBERS = sa.table(
    "staged_members",
    sa.column("segment_id", sa.BigInteger),
    sa.column("contact_id", sa.BigInteger),
)


def stage(connection: sa.Connection, rules: Iterable[Any], frame: Frame) -> None:
    """Copies the contacts of `looked_at`, their present memberships and their events."""
    own = sa.select(contacts).where(_is_looked_at(contacts.c.id))
    create_temporary(connection, "staged_contacts", own)
    # From the index alone, which holds current members only.
    current = sa.select(memberships.c.segment_id, memberships.c.contact_id).where(
        _is_looked_at(memberships.c.contact_id), memberships.c.left_at.is_(None)
    )
    create_temporary(connection, "staged_members", current)
    create_temporary(connection, "staged_events", _events(rules, frame))
    connection.execute(read_sql("settle_stages"))


def _events(rules: Iterable[Any], frame: Frame) -> Any:
    """The events that any of the rules can count.

    Of types that are only counted, the columns that an index has: reading the rows themselves costs
    many times as much.
    """
    conditions = [
        condition
        for rule in rules
        for condition, _, _ in walk(rule)
        if isinstance(condition, EventCondition)
    ]
    looking = [c for c in conditions if c.where or c.last or c.source is not None]
    whole_types = {condition.event for condition in looking}
    are_whole = any(condition.prefix is not None for condition in looking)
    whole = [c for c in conditions if are_whole or c.prefix is not None or c.event in whole_types]
    counted = [c for c in conditions if not are_whole and c.event not in whole_types]
    activity = contact_activity.c
    of_whole_type = activity.event_type == sa.any_(_texts(whole_types))
    indexed: dict[str, Any] = {
        "organization_id": sa.literal(frame.organization_id, sa.BigInteger),
        **{name: activity[name] for name in ("contact_id", "event_type", "occurred_at")},
    }
    partly = [
        indexed.get(column.name, sa.cast(sa.null(), column.type)).label(column.name)
        for column in contact_activity.columns
    ]
    return sa.union_all(
        _among(sa.select(contact_activity), whole, frame).where(
            sa.true() if are_whole else of_whole_type
        ),
        _among(sa.select(*partly), counted, frame).where(sa.not_(of_whole_type)),
    )


def _among(
    events: sa.Select[Any], conditions: Sequence[EventCondition], frame: Frame
) -> sa.Select[Any]:
    """Narrows events to the ones that any of the conditions can count, and perhaps some more."""
    activity = contact_activity.c
    starts = [window_of(condition, frame.now, frame.zone)[0] for condition in conditions]
    found = events.where(_is_looked_at(activity.contact_id), activity.occurred_at < frame.now)
    if not any(condition.prefix is not None for condition in conditions):
        types = {condition.event for condition in conditions}
        found = found.where(activity.event_type == sa.any_(_texts(types)))
    if starts and None not in starts:
        found = found.where(activity.occurred_at >= min(start for start in starts if start))
    return found


def _texts(values: Iterable[str]) -> sa.ColumnElement[Any]:
    return sa.cast(sorted(values), pg.ARRAY(sa.Text))


def _is_looked_at(contact_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Returns the condition that a contact is in `looked_at`.

    Not a join, for which the planner may read everything: an array is looked up by index, in the
    order of the contacts, whose rows then lie closer together.
    """
    listed = sa.func.array(sa.select(_looked_at.c.contact_id).scalar_subquery())
    return contact_id == sa.any_(listed)
