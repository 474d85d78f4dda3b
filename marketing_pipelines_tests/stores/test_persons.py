"""The rows of a person, found by what the tables declare."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from marketing_pipelines.stores import persons
from marketing_pipelines.stores.ownership import ownership
from marketing_pipelines.stores.tables import load_tables
from marketing_pipelines_tests.installation import Installation

TABLES = load_tables().tables
ORGANIZATION, OTHER = 7001, 7002


@pytest.fixture
def world(shared_installation: Installation) -> Iterator[sa.Connection]:
    """Two contacts with one telephone, and another organization's contact with the same address."""
    with shared_installation.engine.connect() as connection:
        connection.exec_driver_sql(_ROWS)
        yield connection
        connection.rollback()


def test_a_contact_has_the_addresses_that_no_other_contact_has(world: sa.Connection) -> None:
    jane = persons.identity_of(world, ORGANIZATION, [71])
    assert jane == persons.Identity(
        ORGANIZATION, [71], ["jane"], {"email": ["jane@example.com"]}, ["+4930123456"],
        ["Jane Doe"], ["Jane@example.com"],
    )  # fmt: skip


def test_an_address_has_every_contact_of_the_organization_with_it(world: sa.Connection) -> None:
    both = persons.find_address(world, ORGANIZATION, "+49 30 123456")
    assert both is not None
    assert (both.contact_ids, both.external_ids) == ([71, 72], ["jane", "john"])
    assert both.addresses == ["+4930123456", "jane@example.com"]
    assert both.shared == []
    by_mail = persons.find_address(world, ORGANIZATION, " JANE@example.com")
    assert by_mail is not None
    assert by_mail.contact_ids == [71]


def test_nobody_is_found_by_another_name(world: sa.Connection) -> None:
    assert persons.find_address(world, OTHER, "+4930123456") is None
    assert persons.find_address(world, ORGANIZATION, "nobody@example.com") is None


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("crm.contacts", {71}),
        ("crm.deals", {81}),
        ("crm.activities", {91, 92}),
        ("crm.meetings", {95, 96}),
        ("inbox.email_messages", {101, 102}),
        ("delivery.suppressions", {111}),
        ("delivery.messages", {121}),
        ("delivery.message_events", {131, 132}),
    ],
)
def test_rows_are_found_by_number_name_or_address(
    world: sa.Connection, table: str, found: set[int]
) -> None:
    jane = persons.identity_of(world, ORGANIZATION, [71])
    rows = world.execute(persons.rows_of(TABLES[table], jane))
    assert {row.id for row in rows} == found


def test_each_table_about_persons_can_be_asked_and_comes_before_the_one_it_leads_through(
    world: sa.Connection,
) -> None:
    jane = persons.identity_of(world, ORGANIZATION, [71])
    tables = list(persons.tables_about_persons())
    for table in tables:
        world.execute(persons.rows_of(table, jane)).all()
    names = [table.fullname for table in tables]
    assert len(names) == sum(ownership(table).person is not None for table in TABLES.values())
    for name in names:
        person = ownership(TABLES[name]).person
        assert person is not None
        assert person.of is None or names.index(name) < names.index(person.of)
    exported = {table.fullname for table in persons.tables_about_persons(exported=True)}
    assert "crm.contacts" in exported
    assert "crm.unannounced_contacts" not in exported


_ROWS = """
insert into crm.organizations (id, external_id) overriding system value
values (7001, 'one'), (7002, 'two');
insert into crm.contacts (id, organization_id, external_id, email, phone, first_name, last_name)
overriding system value values
    (71, 7001, 'jane', 'Jane@example.com', '+49 30 123456', 'Jane', 'Doe'),
    (72, 7001, 'john', null, '004930123456', null, null),
    (73, 7002, 'other', 'jane@example.com', null, null, null);
insert into crm.deals (id, organization_id, external_id, contact_id) overriding system value
values (81, 7001, 'd1', 71), (82, 7001, 'd2', 72), (83, 7002, 'd3', 73);
insert into crm.activities (
    id, organization_id, external_id, kind, contact_id, deal_id, occurred_at
) overriding system value values
    (91, 7001, 'a1', 'note', 71, null, now()), (92, 7001, 'a2', 'note', null, 81, now()),
    (93, 7001, 'a3', 'note', 72, 81, now()), (94, 7002, 'a4', 'note', 73, 83, now());
insert into crm.meetings (id, organization_id, external_id, starts_at, attendees)
overriding system value values
    (95, 7001, 'm1', now(), '{john,jane}'), (96, 7001, 'm2', now(), '{JANE@example.com}'),
    (97, 7001, 'm3', now(), '{john}'), (98, 7002, 'm4', now(), '{jane@example.com}');
insert into inbox.email_messages (
    id, organization_id, identity, from_address, to_addresses, contact_ids, received_at, share
) overriding system value values
    (101, 7001, 'i1', 'rep@example.net', '{x@example.net,jane@example.com}', '{}', now(), 'full'),
    (102, 7001, 'i2', 'old@example.com', '{rep@example.net}', '{72,71}', now(), 'full'),
    (103, 7001, 'i3', 'x@example.net', '{rep@example.net}', '{72}', now(), 'full'),
    (104, 7002, 'i4', 'jane@example.com', '{}', '{73}', now(), 'full');
insert into delivery.suppressions (id, organization_id, address, channel, reason, since)
overriding system value values
    (111, 7001, 'jane@example.com', 'email', 'hard_bounce', now()),
    (112, 7001, '+4930123456', 'sms', 'hard_bounce', now()),
    (113, 7002, 'jane@example.com', 'email', 'hard_bounce', now());
insert into delivery.messages (
    id, organization_id, channel, contact_id, user_id, address, content_id, queued_at, kind
) overriding system value values
    (121, 7001, 'email', 71, null, 'jane@example.com', 1, now(), 'marketing'),
    (122, 7001, 'email', null, 5, 'jane@example.com', 1, now(), 'transactional'),
    (123, 7002, 'email', 73, null, 'jane@example.com', 1, now(), 'marketing');
insert into delivery.message_events (
    id, provider, provider_event_id, message_id, type, recipient, received_at, payload
) overriding system value values
    (131, 'own', '1', 121, 'opened', null, now(), '{}'),
    (132, 'own', '2', null, 'unread', 'Jane@Example.com', now(), '{}'),
    (133, 'own', '3', 123, 'opened', 'jane@example.com', now(), '{}');
"""
