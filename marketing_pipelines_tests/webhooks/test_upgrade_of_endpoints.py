"""Endpoints and deliveries of a release before the present rules."""

import importlib
from importlib import resources

from alembic import command
from alembic.config import Config

from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.conftest import databases

OLD_ROWS = """
insert into webhooks.endpoints (url, event_types, secret, created_at)
values ('https://a.example/', '{deal.*,contact.stage*,contact.s*ed}', 'x', '2026-03-01Z'),
       ('https://b.example/', '{de*,*.*.*.*.*}', 'x', '2026-03-02Z'),
       ('https://c.example/', '{deal.won}', 'x', '2026-03-03Z'),
       ('https://d.example/', '{}', 'x', '2026-03-04Z');
insert into webhooks.deliveries (endpoint_id, event_id, type, data, published_at, due_at, response)
select id, 'health:1772323200', 'health.changed', '{"at": "2026-03-01T00:00:00.25Z"}', now(), now(),
       E'a\x1b[2Jb'
from webhooks.endpoints where url = 'https://a.example/';
"""


def test_patterns_become_wider_and_events_of_health_keep_their_deliveries(
    server: EmbeddedPostgres,
) -> None:
    name = "marketing_pipelines.migrations.versions"
    [module] = [
        entry.name.removesuffix(".py")
        for entry in resources.files(name).iterdir()
        if entry.name.endswith("_standing_of_endpoints.py")
    ]
    migration = importlib.import_module(f"{name}.{module}")
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("marketing_pipelines.migrations"))
    )
    with databases(server) as make:
        engine = create_engine(database_url(Settings(database_url=make("template1"))))
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, migration.down_revision)
            connection.exec_driver_sql(OLD_ROWS)
            command.upgrade(config, migration.revision)
            rows = connection.exec_driver_sql(
                "select event_types from webhooks.endpoints order by url"
            ).scalars()
            assert [sorted(types) for types in rows] == [
                ["contact.*", "deal.*"],
                ["*", "*.*.*.*"],
                ["deal.won"],
                [],
            ]
            assert connection.exec_driver_sql(
                "select event_id, response from webhooks.deliveries"
            ).one() == ("health:1772323200250000", "a [2Jb")
        engine.dispose()
