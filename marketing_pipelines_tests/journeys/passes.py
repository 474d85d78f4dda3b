"""Passes of triggers, and segments whose members are given instead of evaluated."""

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines_tests.programs import Programs

_EVALUATE = sa.text("""
    insert into segments.evaluations (segment_id, version, evaluated_at, first_evaluated_at)
    values (:segment, 1, :at, :at)
    on conflict (segment_id) do update set evaluated_at = :at
""")
_LEAVE = sa.text("""
    update segments.memberships set left_at = :at
    where segment_id = :segment and left_at is null
        and contact_id <> all(cast(:members as bigint[]))
""")
_ENTER = sa.text("""
    insert into segments.memberships (segment_id, contact_id, entered_at)
    select :segment, given.contact_id, :at
    from unnest(cast(:members as bigint[])) as given (contact_id)
    where not exists (
        select from segments.memberships as membership
        where membership.segment_id = :segment and membership.contact_id = given.contact_id
            and left_at is null
    )
""")


def publish(
    connection: sa.Connection, programs: Programs, segment: int, at: dt.datetime, names: str
) -> None:
    """Publishes an evaluation: these contacts are the members, as of an instant."""
    values = {
        "segment": segment,
        "at": at,
        "members": [programs.contact(name) for name in names.split()],
    }
    for statement in (_LEAVE, _ENTER, _EVALUATE):
        connection.execute(statement, values)


def evaluate(programs: Programs, segment: int, at: dt.datetime, names: str) -> None:
    """The same, committed."""
    with programs.installation.engine.begin() as connection:
        publish(connection, programs, segment, at, names)


def failures(programs: Programs) -> Sequence[tuple[str, int, str]]:
    """The failing items: item, failures in a row, reason."""
    return programs.installation.rows(
        "select item, consecutive, error from ops.item_failures order by item"
    )


def items(tick: dt.datetime) -> ItemFailures:
    """The counter of the items of one pass."""
    return ItemFailures("journeys/test", tick)
