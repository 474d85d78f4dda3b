"""Publishing an evaluation: the difference to the current members, written in one transaction.

Readers see the members before or after, never between. A rebuild that would remove a large share
of them waits until an operator confirms it.
"""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import Segmentation
from marketing_pipelines.domains.segments.compiler import Compiler
from marketing_pipelines.domains.segments.events import SegmentEntered, SegmentLeft
from marketing_pipelines.domains.segments.segment_graph import Catalogue, Definition, read_sql
from marketing_pipelines.domains.segments.values import Condition
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import bus
from marketing_pipelines.runs import incidents
from marketing_pipelines.stores.temporary import create_temporary

# Losing most of a handful is no accident.
GUARDED_FROM = 100
_changes = sa.table(
    "changes", sa.column("contact_id", sa.BigInteger), sa.column("entered", sa.Boolean)
)


@dataclass(frozen=True)
class MembershipChanges:
    """Numbers of contacts that entered and left."""

    entered: int
    left: int


def find_changes(
    connection: sa.Connection,
    definition: Definition,
    compiler: Compiler,
    holds: Condition,
    members: sa.FromClause,
) -> int:
    """Makes the temporary table `changes (contact_id, entered)`: contacts that enter or leave.

    Args:
        members: The current members of all segments, as far as contacts are evaluated.

    Returns:
        Number of its rows.
    """
    contact = compiler.contact
    belonging = (
        sa.select(contact.c.id.label("contact_id"))
        .select_from(compiler.source)
        .where(contact.c.organization_id == compiler.frame.organization_id, holds)
    )
    current = sa.select(members.c.contact_id).where(members.c.segment_id == definition.id)
    new, old = belonging.cte("belonging"), current.cte("current")
    changes = (
        sa.select(
            sa.func.coalesce(new.c.contact_id, old.c.contact_id).label("contact_id"),
            old.c.contact_id.is_(None).label("entered"),
        )
        .select_from(new.outerjoin(old, new.c.contact_id == old.c.contact_id, full=True))
        .where(sa.or_(new.c.contact_id.is_(None), old.c.contact_id.is_(None)))
    )
    return create_temporary(connection, "changes", changes)


def must_wait(connection: sa.Connection, definition: Definition, limits: Segmentation) -> bool:
    """Returns true if a rebuild would remove so many members that it needs a confirmation."""
    if (
        definition.by_time_alone
        or definition.members < GUARDED_FROM
        or definition.confirmed_version == definition.version
    ):
        return False
    removals = connection.execute(read_sql("count_removals"), {"id": definition.id}).scalar_one()
    definition.removals = removals
    return bool(removals > limits.largest_removal * definition.members)


def guard_rebuild(
    connection: sa.Connection, job: str, item: str, definition: Definition, now: dt.datetime
) -> None:
    """Leaves the members as they are, notes the waiting rebuild, and alerts the owner once."""
    connection.execute(
        read_sql("note_guarded"),
        {"id": definition.id, "version": definition.version, "removals": definition.removals},
    )
    incidents.item_failed(
        connection,
        job,
        item,
        f"Its rebuild would remove {definition.removals:,} of {definition.members:,} members, so "
        "it waits: look at its rule, or confirm it with `marketing-pipelines segment confirm`",
        1,
        since=now,
        kind="first",
    )


def publish(
    connection: sa.Connection, definition: Definition, organization_id: int, now: dt.datetime
) -> MembershipChanges:
    """Writes the changes and publishes events for them, except after a first evaluation."""
    values = {"id": definition.id, "now": now}
    left = connection.execute(read_sql("leave"), values).rowcount
    entered = connection.execute(read_sql("enter"), values).rowcount
    if definition.evaluated_version is not None:
        for event, number in ((SegmentEntered, entered), (SegmentLeft, left)):
            if number:
                changed = sa.select(_changes.c.contact_id).where(
                    _changes.c.entered.is_(event is SegmentEntered)
                )
                told = event(
                    organization_id=organization_id,
                    segment_id=definition.id,
                    segment=definition.external_id,
                    tick=now,
                )
                bus.publish_for_contacts(connection, told, changed)
    return MembershipChanges(entered, left)


def end_guard(connection: sa.Connection, job: str, item: str, definition: Definition) -> None:
    """Tells the owner that a rebuild that waited is published, or no longer needed."""
    if definition.held_version is not None:
        incidents.recovered(connection, job, item)


def confirm(connection: sa.Connection, organization_id: int, segment: str) -> int:
    """Lets the rebuild of a segment that waits be published by the next evaluation.

    Returns:
        Number of members that it would remove.

    Raises:
        BadInputError: there is no such segment, or none of its rebuilds waits.
    """
    found = Catalogue(
        Definition(**row)
        for row in connection.execute(
            read_sql("definitions"), {"organization_id": organization_id}
        ).mappings()
    ).find(segment)
    if found is None:
        raise BadInputError(f"There is no segment '{segment}': give its external id or its number.")
    removals = connection.execute(read_sql("confirm"), {"id": found.id}).scalar()
    if removals is None:
        raise BadInputError(f"No rebuild of segment '{segment}' waits for a confirmation.")
    return int(removals)
