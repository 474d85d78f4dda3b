"""A world written into a database, as a new organization."""

import dataclasses
import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from marketing_pipelines_tests.segments.naive import Contact, Event, World

_ORGANIZATION = """
insert into crm.organizations (external_id, timezone)
values (:external_id, :timezone)
returning id
"""
# There is but one company and one owner: rules can only tell contacts with from those without.
_COMPANY = """
insert into crm.companies (organization_id, external_id) values (:organization_id, 'company')
returning id
"""
_OWNER = """
insert into crm.users (organization_id, external_id) values (:organization_id, 'owner')
returning id
"""
_CONTACTS = """
insert into crm.contacts
    (organization_id, external_id, email, phone, first_name, last_name, company_id, owner_id,
     lifecycle_stage, lead_grade, intent_score, lead_score, manual_override, follow_up_note, tags,
     timezone, attributes, created_at)
select :organization_id, external_id, email, phone, first_name, last_name, company_id, owner_id,
       lifecycle_stage, lead_grade, intent_score, lead_score, manual_override, follow_up_note,
       coalesce(tags, '{}'), timezone, attributes, created_at
from jsonb_to_recordset(cast(:rows as jsonb)) as given (
    external_id text, email text, phone text, first_name text, last_name text, company_id bigint,
    owner_id bigint, lifecycle_stage text, lead_grade text, intent_score integer,
    lead_score integer, manual_override boolean, follow_up_note text, tags text[], timezone text,
    attributes jsonb, created_at timestamptz
)
"""
_CAMPAIGNS = """
insert into campaigns.campaigns (organization_id, external_id, status)
select :organization_id, external_id, 'imported'
from jsonb_array_elements_text(cast(:rows as jsonb)) as external_id
on conflict do nothing
"""
_EVENTS = """
insert into analytics.contact_activity
    (organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
     received_at, properties)
select :organization_id, given.event_id, contact.id, given.event_type,
       case when campaign.id is not null then given.source_type end, campaign.id,
       given.occurred_at, given.occurred_at, given.properties
from jsonb_to_recordset(cast(:rows as jsonb)) as given (
    contact text, event_id text, event_type text, source text, source_type text,
    occurred_at timestamptz, properties jsonb
)
join crm.contacts as contact
    on contact.organization_id = :organization_id and contact.external_id = given.contact
left join campaigns.campaigns as campaign
    on campaign.organization_id = :organization_id and campaign.external_id = given.source
"""
_MANY_FIELDS = """
insert into segments.event_fields (organization_id, event_type, field)
select organization_id, event_type, 'field ' || number
from (
    select organization_id, event_type from segments.event_fields
    where organization_id = :organization_id
    group by 1, 2 having count(*) <= 500
) as types
cross join generate_series(1, 501) as number
"""
# Campaigns that the rules of the tables and of the random tests name without an event of theirs.
RULED_CAMPAIGNS = ["K1", "k1", "k2", "k3", "k9", "17", "o'k", "nobody's", "never seen"]
_SEGMENTS = """
insert into segments.segments (organization_id, external_id, rule)
select :organization_id, external_id, rule
from jsonb_to_recordset(cast(:rows as jsonb)) as given (external_id text, rule jsonb)
"""
_MANUAL_MEMBERS = """
insert into segments.manual_members (organization_id, segment_id, contact_id, action)
select :organization_id, segment.id, contact.id, given.action
from jsonb_to_recordset(cast(:rows as jsonb)) as given (segment text, contact text, action text)
join segments.segments as segment
    on segment.organization_id = :organization_id and segment.external_id = given.segment
join crm.contacts as contact
    on contact.organization_id = :organization_id and contact.external_id = given.contact
"""


def store(connection: sa.Connection, world: World) -> int:
    """Inserts a world under a new organization, with one statement per table that gets rows.

    A campaign is inserted for every source that an event names. A contact that is removed from
    a segment by hand is not also stored as added.

    Returns:
        The number of the organization.
    """
    organization_id: int = connection.execute(
        sa.text(_ORGANIZATION),
        {
            "external_id": world.organization or f"world-{uuid.uuid4().hex}",
            "timezone": world.zone.key,
        },
    ).scalar_one()
    others = {"company_id": _COMPANY, "owner_id": _OWNER}
    numbers = {
        column: connection.execute(
            sa.text(statement), {"organization_id": organization_id}
        ).scalar_one()
        for column, statement in others.items()
        if any(contact.column(column) is not None for contact in world.contacts)
    }
    tables: list[tuple[str, list[Any]]] = [
        (_CONTACTS, [_contact_row(contact, numbers) for contact in world.contacts]),
        (
            _SEGMENTS,
            [
                {"external_id": name, "rule": segment.rule}
                for name, segment in world.segments.items()
            ],
        ),
        (
            _MANUAL_MEMBERS,
            [
                {"segment": name, "contact": contact, "action": action}
                for name, segment in world.segments.items()
                for action, contacts in (
                    ("add", segment.added - segment.removed),
                    ("remove", segment.removed),
                )
                for contact in sorted(contacts)
            ],
        ),
    ]
    _fill(connection, organization_id, tables)
    add_events(connection, organization_id, world.events, any_name=world.any_name)
    return organization_id


def add_events(
    connection: sa.Connection,
    organization_id: int,
    events: Mapping[str, Sequence[Event]],
    *,
    any_name: bool = True,
) -> None:
    """Stores events of contacts that are there, and the campaigns that they name.

    Args:
        any_name: As of a world.
    """
    rows = [_event_row(contact, event) for contact, each in events.items() for event in each]
    campaigns = sorted({row["source"] for row in rows if row["source"] is not None})
    named = [*campaigns, *RULED_CAMPAIGNS] if any_name else campaigns
    _fill(connection, organization_id, [(_CAMPAIGNS, named), (_EVENTS, rows)])
    if any_name:
        connection.execute(sa.text(_MANY_FIELDS), {"organization_id": organization_id})


def _fill(
    connection: sa.Connection, organization_id: int, tables: Sequence[tuple[str, list[Any]]]
) -> None:
    for statement, rows in tables:
        if rows:
            parameters = {"organization_id": organization_id, "rows": to_json(rows)}
            connection.execute(sa.text(statement), parameters)


def to_json(value: Any) -> str:
    """JSON in which a `Decimal` is the number as it was written, trailing zeros included."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(k)}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(to_json(each) for each in value) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def from_json(text: str) -> Any:
    """The inverse of `to_json`."""
    return json.loads(text, parse_float=Decimal)


def _contact_row(contact: Contact, numbers: Mapping[str, int]) -> dict[str, Any]:
    created_at: dt.datetime = contact.column("created_at")
    return {
        **{name: value for name, value in contact.columns.items() if name != "id"},
        **{name: id for name, id in numbers.items() if contact.column(name) is not None},
        "external_id": contact.external_id,
        "attributes": contact.attributes,
        "created_at": created_at.isoformat(),
    }


def _event_row(contact: str, event: Event) -> dict[str, Any]:
    return {
        **dataclasses.asdict(event),
        "contact": contact,
        "occurred_at": event.occurred_at.isoformat(),
    }
