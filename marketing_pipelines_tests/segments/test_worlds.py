"""A stored world is the same world; segments' tables are no part of what is looked at here."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from marketing_pipelines_tests.segments import operators
from marketing_pipelines_tests.segments.cases import by_world, every_case
from marketing_pipelines_tests.segments.naive import MISSING, World, is_missing, read_text
from marketing_pipelines_tests.segments.worlds import from_json, store, to_json

WORLDS = {cases[0].table: world for world, cases in by_world(every_case())}


def _rows(connection: sa.Connection, statement: str, world: World) -> list[Any]:
    organization = store(connection, replace(world, segments={}))
    return list(connection.execute(sa.text(statement), {"organization": organization}))


def test_attributes_come_back_as_they_were(engine: sa.Engine) -> None:
    world = WORLDS["values"]
    with engine.begin() as connection:
        rows = _rows(
            connection,
            "select external_id, attributes::text from crm.contacts"
            " where organization_id = :organization",
            world,
        )
    assert {name: repr(from_json(text)) for name, text in rows} == {
        contact.external_id: repr(from_json(to_json(_printed(contact.attributes))))
        for contact in world.contacts
    }


def _printed(value: Any) -> Any:
    """The same with numbers as PostgreSQL prints them."""
    if isinstance(value, dict):
        return {key: _printed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printed(each) for each in value]
    return Decimal(read_text(value) or 0) if isinstance(value, Decimal) else value


def test_numbers_are_printed_as_the_database_prints_them(engine: sa.Engine) -> None:
    numbers = [stored for stored, *_ in operators.VALUES if isinstance(stored, int | Decimal)]
    with engine.connect() as connection:
        printed = connection.execute(
            sa.text(
                "select coalesce(array_agg(number order by place), '{}')"
                " from jsonb_array_elements_text(cast(:numbers as jsonb))"
                " with ordinality as given (number, place)"
            ),
            {"numbers": to_json(numbers)},
        ).scalar_one()
    assert printed == [read_text(number) for number in numbers]


def test_events_come_back_with_their_contact_and_campaign(engine: sa.Engine) -> None:
    world = WORLDS["events"]
    with engine.begin() as connection:
        rows = _rows(
            connection,
            "select c.external_id, a.event_id, a.event_type, a.source_type, k.external_id,"
            " a.occurred_at, a.properties::text"
            " from analytics.contact_activity a"
            " join crm.contacts c on c.id = a.contact_id"
            " left join campaigns.campaigns k on k.id = a.source_id"
            " where a.organization_id = :organization",
            world,
        )
    assert {row.event_id: (*row[:1], *row[2:6]) for row in rows} == {
        event.event_id: (
            contact,
            event.event_type,
            event.source_type if event.source else None,
            event.source,
            event.occurred_at,
        )
        for contact, events in world.events.items()
        for event in events
    }
    stored = {row.event_id: row.properties and from_json(row.properties) for row in rows}
    for events in world.events.values():
        for event in events:
            assert stored[event.event_id] == event.properties


def test_columns_come_back_as_they_were(engine: sa.Engine) -> None:
    world = WORLDS["columns"]
    with engine.begin() as connection:
        rows = _rows(
            connection,
            "select * from crm.contacts where organization_id = :organization",
            world,
        )
    stored = {row.external_id: row for row in rows}
    for contact in world.contacts:
        for column, value in contact.columns.items():
            found = getattr(stored[contact.external_id], column)
            if column.endswith("id"):
                assert (found is None) == (value is None)
            else:
                assert found == value


def test_two_worlds_are_two_organizations(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        organizations = {store(connection, WORLDS["names"]) for _ in range(2)}
    assert len(organizations) == 2


def test_nothing_is_missing_alike() -> None:
    assert [is_missing(value) for value in (MISSING, None, "", [])] == [True] * 4
    assert [is_missing(value) for value in (0, False, {}, " ", [None])] == [False] * 5
