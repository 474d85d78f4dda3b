"""A database of the former release gets an endpoint for each URL that its steps name."""

from typing import Any

import pytest
from alembic import command

from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines.stores.schema import alembic_config, migrate
from marketing_pipelines_tests.scale import soak_only

FORMER_RELEASE = "0057"
FORMER_ROWS = """
insert into ops.installation (id, timezone) values (1, 'UTC');
insert into crm.organizations (external_id) values ('acme'), ('zenith');
insert into webhooks.endpoints (organization_id, url, secret, created_at)
select id, 'https://known.example.org', 'its own', now() from crm.organizations
where external_id = 'acme';
insert into lifecycle.steps (organization_id, program_kind, program_id, external_id, position,
                             type, config)
select organization.id, 'campaign', 1, external_id || step.name, 1, type, config
from crm.organizations as organization, (values
    ('a', 'webhook', jsonb '{"url": "https://known.example.org", "bulk": true, "body": {"a": 1}}'),
    ('b', 'webhook', '{"url": "https://new.example.org", "next": "end"}'),
    ('c', 'webhook', '{"url": "https://new.example.org"}'),
    ('d', 'webhook', '{}'),
    ('e', 'send_sms', '{"text": "t", "bulk": true}')
) as step (name, type, config);
insert into public.procrastinate_jobs (queue_name, task_name)
values ('send-webhook', 'delivery/send_webhook'), ('send-sms', 'delivery/send_sms');
"""


@pytest.mark.soak
@soak_only
def test_an_upgrade_adds_the_endpoints_of_steps_and_drops_the_keys_of_messages(
    new_database: Any,
) -> None:
    settings = Settings(database_url=new_database("template0"))
    engine = create_engine(database_url(settings))
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), FORMER_RELEASE)
        connection.exec_driver_sql(FORMER_ROWS)
        connection.commit()
    migrate(database_url(settings), settings)
    with engine.connect() as connection:
        endpoints = connection.exec_driver_sql(
            "select organization.external_id, url, event_types, secret"
            " from webhooks.endpoints join crm.organizations as organization"
            " on organization.id = organization_id order by 1, 2"
        ).all()
        steps = connection.exec_driver_sql(
            "select config from lifecycle.steps where external_id like 'acme%%'"
            " order by external_id"
        ).all()
        jobs = connection.exec_driver_sql(
            "select queue_name, status from public.procrastinate_jobs order by 1"
        ).all()
    engine.dispose()
    known, new = "https://known.example.org", "https://new.example.org"
    assert [tuple(row) for row in endpoints] == [
        ("acme", known, [], "its own"),
        ("acme", new, ["step.reached"], ""),
        ("zenith", known, ["step.reached"], ""),
        ("zenith", new, ["step.reached"], ""),
    ]
    assert [config for (config,) in steps] == [
        {"url": known, "body": {"a": 1}},
        {"url": new, "next": "end"},
        {"url": new},
        {},
        {"text": "t", "bulk": True},
    ]
    assert [tuple(row) for row in jobs] == [("send-sms", "todo"), ("send-webhook", "cancelled")]
