"""A database of the former release keeps its messages and suppressions, now also by address."""

from typing import Any

import pytest
from alembic import command

from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines.stores.schema import alembic_config, migrate
from marketing_pipelines_tests.scale import soak_only

FORMER_RELEASE = "0017"
# The former release notes suppressions for sequences by a trigger.
FORMER_TRIGGER = """
create function lifecycle.note_suppressions() returns trigger language plpgsql as $$
begin
    insert into lifecycle.contact_changes (program_kind, organization_id, contact_id, change)
    select distinct 'sequence', organization_id, contact_id, 'unreachable'
    from touched where channel in ('email', 'all');
    return null;
end $$;
create trigger note_suppressions_after_insert after insert on delivery.suppressions
referencing new table as touched
for each statement execute function lifecycle.note_suppressions();
"""
FORMER_ROWS = """
insert into ops.installation (id, timezone) values (1, 'UTC');
insert into crm.organizations (external_id) values ('acme');
insert into crm.contacts (organization_id, external_id, email, phone, attributes)
select organization.id, contact.*
from crm.organizations as organization
cross join (values
    ('ann', ' Ann@Example.org', '0049 170/555-1234', jsonb '{"push_token": "t1"}'),
    ('ann2', 'ann@example.org', null, '{}'),
    ('bob', 'bob@example.org', 'none', '{}'),
    ('cleo', null, null, '{}')
) as contact (name, email, phone, attributes);
insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)
select contact.organization_id, contact.id, held.channel, held.reason,
       timestamptz '2026-01-01Z' + held.day * interval '1 day'
from (values
    ('ann', 'all', 'unsubscribed', 1), ('ann2', 'all', 'unsubscribed', 2),
    ('ann', 'email', 'hard_bounce', 4), ('ann2', 'email', 'hard_bounce', 3),
    ('bob', 'sms', 'complaint', 5), ('bob', 'email', 'do_not_contact', 6),
    ('cleo', 'email', 'hard_bounce', 7), ('cleo', 'email', 'unsubscribed', 8)
) as held (name, channel, reason, day)
join crm.contacts as contact on contact.external_id = held.name;
insert into delivery.messages (organization_id, channel, contact_id, step_id, rotation, content_id,
                               state, due_at, queued_at)
select contact.organization_id, 'email', contact.id, 1, 1, 1, wanted.state, '2026-02-01Z',
       '2026-01-31Z'
from (values ('ann', 'unknown'), ('ann2', 'sent'), ('bob', 'sending'), ('cleo', 'queued'))
    as wanted (name, state)
join crm.contacts as contact on contact.external_id = wanted.name;
"""


@pytest.mark.soak
@soak_only
def test_an_upgrade_keeps_messages_and_suppresses_the_addresses_of_suppressed_contacts(
    new_database: Any,
) -> None:
    settings = Settings(database_url=new_database("template0"))
    engine = create_engine(database_url(settings))
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), FORMER_RELEASE)
        connection.exec_driver_sql(FORMER_TRIGGER)
        connection.exec_driver_sql(FORMER_ROWS)
        connection.commit()
    migrate(database_url(settings), settings)
    with engine.connect() as connection:
        suppressed = connection.exec_driver_sql(
            "select contact.external_id, address, channel, reason, extract(day from since)::int,"
            " held.source from delivery.suppressions as held"
            " left join crm.contacts as contact on contact.id = held.contact_id"
        ).all()
        messages = connection.exec_driver_sql(
            "select contact.external_id, state, kind,"
            " exists (select from delivery.handovers where message_id = message.id)"
            " from delivery.messages as message"
            " join crm.contacts as contact on contact.id = message.contact_id order by 1"
        ).all()
    engine.dispose()
    assert {tuple(row) for row in suppressed} == {
        ("ann", None, "all", "unsubscribed", 2, None),
        ("ann2", None, "all", "unsubscribed", 3, None),
        (None, "ann@example.org", "all", "unsubscribed", 2, "contact"),
        (None, "+491705551234", "all", "unsubscribed", 2, "contact"),
        (None, "t1", "all", "unsubscribed", 2, "contact"),
        (None, "ann@example.org", "email", "hard_bounce", 4, None),
        ("bob", None, "sms", "complaint", 6, None),
        ("bob", None, "email", "do_not_contact", 7, None),
        (None, "bob@example.org", "email", "do_not_contact", 7, "contact"),
        ("cleo", None, "email", "hard_bounce", 8, None),
        ("cleo", None, "email", "unsubscribed", 9, None),
    }
    assert len(suppressed) == 11
    assert [tuple(row) for row in messages] == [
        ("ann", "unknown", "marketing", False),
        ("ann2", "sent", "marketing", False),
        ("bob", "claimed", "marketing", True),
        ("cleo", "queued", "marketing", False),
    ]
