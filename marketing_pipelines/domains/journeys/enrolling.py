"""Contacts enter programs by triggers: the common parts of segments, events and dates.

Each trigger is evaluated in a transaction of its own, of read committed, which holds the trigger.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.lifecycle.tables import enrolments
from marketing_pipelines.domains.lifecycle.trigger_configs import require_used
from marketing_pipelines.runs.items import Items
from marketing_pipelines.stores.postgres import Begin

Evaluate = Callable[[sa.Connection, Any], int]


@cache
def read_sql(name: str) -> sa.TextClause:
    """The statement in `sql/<name>.sql`."""
    return sa.text(resources.files(__package__).joinpath("sql", f"{name}.sql").read_text())


def live(connection: sa.Connection, kind: str) -> Sequence[Any]:
    """The enabled triggers of a type (segment, event or date) whose programs are active."""
    return connection.execute(read_sql("live_triggers"), {"type": kind}).all()


def name_of(trigger: Any) -> str:
    """Returns the name of a trigger in failures."""
    return (
        f"trigger {trigger.external_id} of {trigger.program_kind} {trigger.program} of "
        f"{trigger.organization}"
    )


def evaluate_each(begin: Begin, items: Items, triggers: Iterable[Any], evaluate: Evaluate) -> int:
    """Evaluates triggers one after the other; one that fails does not stop the others.

    Args:
        begin: A transaction of read committed.
        items: As `Tick.items`.
        evaluate: Enrols the contacts of a trigger that is held; returns the number of enrolments.

    Returns:
        Number of new enrolments.
    """
    begun = 0
    for trigger in triggers:
        with begin() as connection:
            for item in items(connection, [trigger], name_of):
                with item:
                    locked = connection.execute(
                        read_sql("lock_trigger"), {"id": trigger.id}
                    ).one_or_none()
                    # Another pass that holds it does the due work.
                    if locked is not None and locks_program(connection, locked):
                        refuse_unused(locked)
                        begun += evaluate(connection, locked)
    return begun


def refuse_unused(trigger: Any) -> None:
    """Refuses a trigger with a value that its type does not use.

    Raises:
        StepError: it names the column of the file.
    """
    given = {"segment": trigger.segment_id, "event_type": trigger.event_type}
    require_used(trigger.type, given | {"config": trigger.config})


def locks_program(connection: sa.Connection, trigger: Any) -> bool:
    """Returns true if the trigger's program is active, and keeps it from being completed. The lock
    lasts until the transaction ends; a change by hand is possible."""
    program = {"kind": trigger.program_kind, "id": trigger.program_id}
    status = connection.execute(read_sql("lock_program"), program).scalar_one()
    return bool(status == "active")


def note_evaluated(connection: sa.Connection, trigger: Any, at: dt.datetime) -> None:
    """Stores the instant up to which a trigger has enrolled contacts."""
    connection.execute(read_sql("note_evaluated"), {"id": trigger.id, "at": at})


def enrol(
    connection: sa.Connection,
    trigger: Any,
    tick: dt.datetime,
    found: sa.Select[Any],
    *,
    begins_at_entry: bool = False,
) -> int:
    """Begins enrolments, each once, however often the function is called; they are due at the tick.

    With the policy `each_entry` every entry is an enrolment, also during an active one. With
    `unless_active` it is one unless an enrolment of the contact is active or ended after it;
    otherwise a contact that was ever in the program does not enter again.

    Args:
        found: Rows that the trigger found: `contact_id`, `at`, and `entry`, which identifies the
            cause.
        begins_at_entry: An enrolment begins at the instant `at`; otherwise at the tick.

    Returns:
        Number of new enrolments.
    """
    each = trigger.policy == "each_entry"
    again = each or trigger.policy == "unless_active"
    seen = found.cte("seen")
    earlier = enrolments.alias("earlier")
    own = (
        earlier.c.program_kind == trigger.program_kind,
        earlier.c.program_id == trigger.program_id,
        earlier.c.contact_id == seen.c.contact_id,
    )
    same_entry = (
        earlier.c.trigger_id == trigger.id,
        earlier.c.contact_id == seen.c.contact_id,
        earlier.c.entry == seen.c.entry,
    )
    hindrances: list[tuple[sa.ColumnElement[bool], ...]] = [same_entry if again else own]
    if trigger.policy == "unless_active":
        ended_at = sa.func.coalesce(
            earlier.c.completed_at, earlier.c.exited_at, earlier.c.failed_at
        )
        hindrances.append((*own, sa.or_(earlier.c.status == "active", ended_at > seen.c.at)))
    # Each by index: the planner has no statistics of new rows and would compare all with all.
    is_new = [
        sa.select(earlier.c.id).where(*tests).limit(1).scalar_subquery().is_(None)
        for tests in hindrances
    ]
    order = (seen.c.at, sa.collate(seen.c.entry, "C"))
    new = (
        sa.select(
            seen.c.contact_id,
            seen.c.at,
            seen.c.entry,
            sa.func.row_number()
            .over(partition_by=seen.c.contact_id, order_by=order)
            .label("number"),
        )
        .join(contacts, contacts.c.id == seen.c.contact_id)
        .where(contacts.c.organization_id == trigger.organization_id, *is_new)
        .cte("new")
    )
    last = (
        sa.select(sa.func.max(earlier.c.rotation))
        .where(*own[:2], earlier.c.contact_id == new.c.contact_id)
        .scalar_subquery()
    )
    beginning = {
        "organization_id": trigger.organization_id,
        "program_kind": trigger.program_kind,
        "program_id": trigger.program_id,
        "contact_id": new.c.contact_id,
        "rotation": sa.func.coalesce(last, 0) + new.c.number if again else new.c.number,
        "entered_at": new.c.at if begins_at_entry else tick,
        "next_step_at": tick,
        "trigger_id": trigger.id,
        "entry": new.c.entry,
    }
    rows = sa.select(*(_labelled(name, value) for name, value in beginning.items())).order_by(
        new.c.contact_id, new.c.number
    )
    if not each:
        rows = rows.where(new.c.number == 1)
    insert = pg.insert(enrolments).from_select(list(beginning), rows)
    # A contact that enters once may have entered by another way just now. Of many times none may be
    # lost: a rotation that was just taken fails, and all of it is done again later.
    key = _ENTRY_KEY if each else {}
    counted = insert.on_conflict_do_nothing(**key).execution_options(preserve_rowcount=True)
    return connection.execute(counted).rowcount


_ENTRY_KEY: dict[str, Any] = {
    "index_elements": ["trigger_id", "contact_id", "entry"],
    "index_where": enrolments.c.trigger_id.is_not(None),
}


def _labelled(name: str, value: Any) -> sa.ColumnElement[Any]:
    if isinstance(value, sa.ColumnElement):
        return value.label(name)
    return sa.literal(value, enrolments.c[name].type).label(name)
