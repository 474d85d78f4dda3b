"""The effects that a restore stops: each table with waiting rows belongs to one."""

from marketing_pipelines.domains.upkeep.backups.effects import EFFECTS, stop_effects
from marketing_pipelines.stores.tables import load_tables
from marketing_pipelines_tests.installation import Installation, instant

NOW = instant("2026-03-05T12:00Z")
# Columns with the instant that a row waits for.
WAITING = {"due_at", "next_at", "next_step_at", "leased_until"}
WITHOUT_EFFECTS = {
    # Tasks of people, and calls that read.
    "crm.tasks",
    "integrations.syncs",
}


def test_each_table_with_rows_that_wait_belongs_to_an_effect() -> None:
    tables = load_tables().tables
    waiting = {table.fullname for table in tables.values() if WAITING & {*table.c.keys()}}
    declared = {name for effect in EFFECTS for name in effect.tables}
    assert waiting - WITHOUT_EFFECTS == declared


def test_what_waits_is_neither_sent_nor_started(emptied: Installation) -> None:
    emptied.execute(
        "with incident as (insert into ops.incidents (subject, failures, last_failed_at, error)"
        " values ('a/b', 3, :now, 'e') returning id)"
        " insert into ops.alerts (incident_id, kind, state)"
        " select id, kind, state from incident, (values ('first', 'sent'), ('third', 'queued'))"
        " as given (kind, state)",
        now=NOW,
    )
    emptied.execute(
        "insert into crm.organizations (external_id, name, timezone) values ('acme', 'A', 'UTC')"
    )
    emptied.execute(
        "with endpoint as (insert into webhooks.endpoints"
        " (organization_id, url, secret, created_at)"
        " select id, 'https://example.org', 's', :now from crm.organizations returning id)"
        " insert into webhooks.deliveries"
        " (endpoint_id, event_id, type, data, published_at, state, due_at, ended_at)"
        " select id, event, 'contact.created', '{}', :now, state, :now, ended_at from endpoint,"
        " (values ('a', 'waiting', null), ('b', 'delivered', cast(:now as timestamptz)))"
        " as given (event, state, ended_at)",
        now=NOW,
    )
    with emptied.engine.begin() as connection:
        held = stop_effects(connection, "X", NOW)
    assert "1 alerts that were queued" in [one.sentence for one in held][2]
    assert emptied.rows("select state, reason from ops.alerts order by kind") == [
        ("sent", None),
        ("unknown", "restored from X"),
    ]
    assert "1 deliveries of webhooks that waited are failed" in [one.sentence for one in held]
    assert emptied.rows(
        "select event_id, state, response, ended_at from webhooks.deliveries order by event_id"
    ) == [("a", "failed", "restored from X", NOW), ("b", "delivered", None, NOW)]


def test_events_after_a_restore_have_numbers_that_no_receiver_knows(
    emptied: Installation,
) -> None:
    publish = (
        "insert into ops.bus_events (organization_id, type, version, payload)"
        " select id, 'deal.won', 1, '{}' from crm.organizations"
    )
    emptied.execute("insert into crm.organizations (external_id) values ('acme')")
    emptied.execute(publish)
    with emptied.engine.begin() as connection:
        stop_effects(connection, "X", NOW)
    emptied.execute(publish)
    [(before,), (after,)] = emptied.rows("select id from ops.bus_events order by id")
    assert after - before > 1_000_000
