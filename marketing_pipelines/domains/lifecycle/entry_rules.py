"""Explains, trigger by trigger, a contact's absence from a program."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.lifecycle import event_triggers
from marketing_pipelines.domains.lifecycle.programs import Program, read_sql
from marketing_pipelines.domains.lifecycle.trigger_configs import parse_date
from marketing_pipelines.domains.segments.explaining import written_instant
from marketing_pipelines.domains.segments.values import stored
from marketing_pipelines.failures import BadInputError

_POLICIES = {
    "once": "once ever",
    "each_entry": "each time",
    "unless_active": "each time but while it is in it",
    "backfill": "once ever, earlier members and events included",
}


def entry_rules(
    connection: sa.Connection,
    program: Program,
    status: str,
    contact_id: int,
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> Iterator[str]:
    """Sentences about the triggers of a program that a contact never was in."""
    who = {"kind": program.kind.name, "program": program.id, "contact": contact_id}
    rows = connection.execute(read_sql("entry_rules"), who).all()
    if not rows:
        yield f"No trigger enrols contacts in the {program.kind}: load one, or enrol the contact."
    elif status != "active":
        yield f"The {program.kind} is {status}: its triggers enrol no contacts until it is active."
    for row in rows:
        if not row.enabled:
            yield f"Trigger {row.name} is switched off."
        elif row.type == "segment":
            yield _of_segment(row)
        else:
            try:
                if row.type == "event":
                    yield from _of_event(connection, row, contact_id, now, reporting_zone)
                else:
                    yield from _of_date(connection, row, contact_id)
            except BadInputError as error:
                yield f"Trigger {row.name} enrols no contacts: {error}"


def _of_segment(row: Any) -> str:
    if row.segment is None:
        return f"Trigger {row.name} enrols no contacts: its segment is gone."
    since = f"a member since {written_instant(row.member_since)}" if row.member_since else ""
    return (
        f"Trigger {row.name} enrols contacts that enter segment {row.segment}, "
        f"{_POLICIES[row.policy]}; the contact is {since or 'no member'}."
    )


def _of_event(
    connection: sa.Connection,
    row: Any,
    contact_id: int,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> Iterator[str]:
    activity = contact_activity
    asked = event_triggers.matches(
        connection, row, activity, now=now, reporting_zone=reporting_zone
    )
    left_out = connection.execute(
        sa.select(activity.c.event_id, activity.c.occurred_at, activity.c.inserted_at)
        .where(
            activity.c.contact_id == contact_id,
            asked,
            sa.not_(event_triggers.is_in_time(connection, row, activity)),
        )
        .order_by(activity.c.occurred_at.desc(), activity.c.event_id)
        .limit(1)
    ).first()
    where = row.config.get("where")
    written = f" where {json.dumps(where, ensure_ascii=False)}" if where else ""
    yield (
        f"Trigger {row.name} enrols the contact of each event '{row.event_type}'{written}, "
        f"{_POLICIES[row.policy]}."
    )
    if left_out is None:
        return
    event = (
        f"Event {left_out.event_id} of {written_instant(left_out.occurred_at)} enrolled no contact:"
    )
    since = event_triggers.since(row)
    if left_out.occurred_at < since:
        yield f"{event} the trigger counts events since {written_instant(since)}."
    else:
        yield (
            f"{event} it arrived at {written_instant(left_out.inserted_at)}, more than "
            f"{event_triggers.latest_hours(connection, row)} hours after it happened "
            "(triggers.latest_event_hours)."
        )


def _of_date(connection: sa.Connection, row: Any, contact_id: int) -> Iterator[str]:
    config = parse_date(row.config)
    day = _on_which_day(row.config)
    yield f"Trigger {row.name} enrols contacts {day}, {_POLICIES[row.policy]}."
    value = stored(contacts, config.attribute)
    found = connection.execute(
        sa.select(
            value.document().label("document"),
            value.is_present().label("is_present"),
            value.instant(ZoneInfo("UTC")).label("instant"),
        ).where(contacts.c.id == contact_id)
    ).one()
    if not found.is_present:
        yield f"The contact has no '{config.attribute}'."
    elif found.instant is None:
        written = json.dumps(found.document, ensure_ascii=False, default=str)
        yield f"The contact's '{config.attribute}' is {written}, which is no date."


def _on_which_day(config: Mapping[str, Any]) -> str:
    days = int(config.get("days_before") or 0)
    number = f"{abs(days)} day{'s' if abs(days) != 1 else ''}"
    when = f"{number} before" if days > 0 else f"{number} after" if days < 0 else "on"
    yearly = " of every year" if config.get("yearly") else ""
    at = f" at {config['at']}" if config.get("at") else ""
    return f"{when} the date in '{config.get('attribute')}'{yearly}{at}"
