"""Copies a program, and what decides over some contacts of it, into a scratch database.

Rows keep their numbers. Triggers are off while rows come in, since the rows hold what triggers
wrote; foreign keys are dropped, since rows of other programs and tables stay behind.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle.programs import Program
from marketing_pipelines.stores.postgres import raw_cursor

OF_ORGANIZATION = "organization_id = %(organization)s"
OF_CONTACTS = "contact_id = any(%(contacts)s)"
OF_PROGRAM = "program_kind = %(kind)s and program_id = %(program)s"
OF_ENROLMENTS = (
    f"enrolment_id in (select id from lifecycle.enrolments where {OF_PROGRAM} and {OF_CONTACTS})"
)
# The rows of each table that a rehearsal reads. Of other programs there are no steps, so that they
# stand still; their messages of the past count for caps.
COPIED: Mapping[str, str] = MappingProxyType(
    {
        "crm.organizations": "id = %(organization)s",
        "crm.users": OF_ORGANIZATION,
        "crm.contacts": "id = any(%(contacts)s)",
        "crm.companies": "id in (select company_id from crm.contacts where id = any(%(contacts)s))",
        "delivery.sending_domains": OF_ORGANIZATION,
        "delivery.warmup_reservations": (
            "domain_id in (select id from delivery.sending_domains"
            " where organization_id = %(organization)s)"
        ),
        "delivery.templates": OF_ORGANIZATION,
        "delivery.categories": OF_ORGANIZATION,
        "delivery.subscriptions": OF_CONTACTS,
        "delivery.suppressions": f"{OF_CONTACTS} or contact_id is null and {OF_ORGANIZATION}",
        "delivery.messages": (
            f"{OF_CONTACTS} and ({OF_PROGRAM} or claimed_at is not null"
            " and state not in ('queued', 'claimed'))"
        ),
        "segments.segments": OF_ORGANIZATION,
        "segments.evaluations": (
            "segment_id in (select id from segments.segments"
            " where organization_id = %(organization)s)"
        ),
        "segments.manual_members": OF_CONTACTS,
        "segments.memberships": OF_CONTACTS,
        "segments.contact_fields": OF_ORGANIZATION,
        "segments.event_fields": OF_ORGANIZATION,
        "webhooks.endpoints": OF_ORGANIZATION,
        "campaigns.campaigns": OF_ORGANIZATION,
        "campaigns.sequences": OF_ORGANIZATION,
        "journey.journeys": OF_ORGANIZATION,
        "lifecycle.steps": OF_PROGRAM,
        "lifecycle.triggers": OF_PROGRAM,
        "lifecycle.enrolments": f"{OF_PROGRAM} and {OF_CONTACTS}",
        "lifecycle.step_results": OF_ENROLMENTS,
        "lifecycle.goals": OF_ENROLMENTS,
        "lifecycle.awaited_events": OF_ORGANIZATION,
        "lifecycle.event_arrivals": OF_CONTACTS,
        "lifecycle.contact_changes": f"{OF_CONTACTS} or contact_id is null and {OF_ORGANIZATION}",
        "analytics.contact_activity": OF_CONTACTS,
        "analytics.event_keys": (
            f"{OF_ORGANIZATION} and activity_id in"
            f" (select id from analytics.contact_activity where {OF_CONTACTS})"
        ),
    }
)
_DROP_FOREIGN_KEYS = """
    do $$
    declare
        own record;
    begin
        for own in
            select conrelid::regclass as relation, conname
            from pg_constraint
            where contype = 'f' and conparentid = 0
        loop
            execute format('alter table %s drop constraint %I', own.relation, own.conname);
        end loop;
    end $$
"""
_MONTHS = """
    select distinct date_trunc('month', occurred_at, 'UTC')::date
    from analytics.contact_activity
    where contact_id = any(%(contacts)s)
"""


def copy_rows(
    source: sa.Connection, scratch: sa.Connection, program: Program, contacts: list[int]
) -> None:
    """Copies the rows into an empty database.

    Args:
        source: In a transaction of repeatable read: the rows are those of one instant.
        contacts: Numbers of the contacts.
    """
    values = {
        "organization": program.organization_id,
        "contacts": contacts,
        "kind": program.kind.name,
        "program": program.id,
    }
    with raw_cursor(source) as reading, raw_cursor(scratch) as writing:
        writing.execute(_DROP_FOREIGN_KEYS)
        reading.execute(_MONTHS, values)
        for (month,) in reading.fetchall():
            writing.execute("select analytics.ensure_activity_month(%s)", [month])
        for table, condition in COPIED.items():
            writing.execute(f"alter table {table} disable trigger user".encode())
            columns = _columns(writing, table)
            _copy(reading, writing, table, columns, condition, values)
            if "id" in columns:
                writing.execute(_FOLLOW.format(table=table).encode())
            writing.execute(f"alter table {table} enable trigger user".encode())
        writing.execute(b"analyze")


def _columns(writing: Any, table: str) -> list[str]:
    writing.execute(_COLUMNS, {"table": table})
    return [name for (name,) in writing.fetchall()]


def _copy(
    reading: Any,
    writing: Any,
    table: str,
    columns: list[str],
    condition: str,
    values: Mapping[str, Any],
) -> None:
    listed = ", ".join(f'"{name}"' for name in columns)
    given = f"copy (select {listed} from {table} where {condition}) to stdout (format binary)"
    taken = f"copy {table} ({listed}) from stdin (format binary)"
    with reading.copy(given.encode(), values) as rows, writing.copy(taken.encode()) as into:
        for block in rows:
            into.write(block)


_COLUMNS = """
    select attname
    from pg_attribute
    where attrelid = %(table)s::regclass and attnum > 0 and not attisdropped and attgenerated = ''
    order by attnum
"""
# Numbers that the scratch database gives follow those of the copied rows.
_FOLLOW = """
    select setval(own, (select coalesce(max(id), 0) + 1 from {table}), false)
    from coalesce(
        pg_get_serial_sequence('{table}', 'id'), to_regclass('{table}_id_seq')::text
    ) as own
    where own is not null
"""
