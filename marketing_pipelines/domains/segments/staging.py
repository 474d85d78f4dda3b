"""Copies of the rows of a few contacts, so that a rule is evaluated for them alone.

The copies are temporary tables with the columns of the tables they come from: whatever reads those
can read these.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.segments.compiler import Frame, Sources, window_of
from marketing_pipelines.domains.segments.definitions import read_sql
from marketing_pipelines.domains.segments.rules import EventCondition, walk
from marketing_pipelines.domains.segments.tables import memberships
from marketing_pipelines.stores.temporary import create_temporary

_looked_at = sa.table("looked_at", sa.column("contact_id", sa.BigInteger))


def _copy_of(table: sa.Table, name: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column.name, column.type) for column in table.columns))


STAGED = Sources(_copy_of(contacts, "staged_contacts"), _copy_of(contact_activity, "staged_events"))
STAGED_MEMBERS = _copy_of(memberships, "staged_members")


@dataclass(frozen=True)
class Wanted:
    """The events that any of some rules can count.

    Attributes:
        types: Their types; None: every type.
        since: When the first of them can have happened; None: at any time.
    """

    types: list[str] | None
    since: dt.datetime | None


def wanted(rules: Iterable[Any], frame: Frame) -> Wanted:
    """What the conditions on events of some rules look at, taken together."""
    conditions = [
        condition
        for rule in rules
        for condition, _, _ in walk(rule)
        if isinstance(condition, EventCondition)
    ]
    starts = [window_of(condition, frame.now, frame.zone)[0] for condition in conditions]
    since = min((start for start in starts if start is not None), default=None)
    every_type = any(condition.prefix is not None for condition in conditions)
    return Wanted(
        types=None if every_type else sorted({condition.event for condition in conditions}),
        since=since if None not in starts else None,
    )


def stage(connection: sa.Connection, rules: Iterable[Any], frame: Frame) -> None:
    """Copies the contacts of `looked_at`, their present memberships and their events."""
    own = sa.select(contacts).join(_looked_at, _looked_at.c.contact_id == contacts.c.id)
    create_temporary(connection, "staged_contacts", own)
    current = sa.select(memberships).where(
        memberships.c.contact_id == _looked_at.c.contact_id, memberships.c.left_at.is_(None)
    )
    create_temporary(connection, "staged_members", _each(current))
    events = wanted(rules, frame)
    activity = sa.select(contact_activity).where(
        contact_activity.c.contact_id == _looked_at.c.contact_id,
        contact_activity.c.occurred_at < frame.now,
    )
    if events.types is not None:
        listed = sa.cast(events.types, pg.ARRAY(sa.Text))
        activity = activity.where(contact_activity.c.event_type == sa.any_(listed))
    if events.since is not None:
        activity = activity.where(contact_activity.c.occurred_at >= events.since)
    create_temporary(connection, "staged_events", _each(activity))
    connection.execute(read_sql("settle_stages"))


def _each(rows: sa.Select[Any]) -> sa.Select[Any]:
    """The rows of each contact by index: the planner cannot know how few of them there are."""
    own = rows.offset(0).lateral()
    return sa.select(own).select_from(_looked_at.join(own, sa.true()))
