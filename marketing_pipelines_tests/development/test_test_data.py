"""An hour of made-up activity: of demo organizations alone, once, within its hour."""

import datetime as dt

from marketing_pipelines_tests.installation import Installation, instant

JOB = "development/test_data"
TICK = instant("2026-03-04T15:00Z")
CONTACTS = """
    with made as (
        insert into crm.organizations (external_id, name, settings, timezone) values
            ('demo', 'Demo', '{"demo": true}', 'Europe/Berlin'), ('acme', 'Acme', '{}', null)
        returning id, external_id
    )
    insert into crm.contacts (organization_id, external_id)
    select id, 'c' || n from made cross join generate_series(1, 3000) as n
"""
SENT = """
    insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,
        source_type, source_id, occurred_at, received_at)
    select organization_id, 'sent-' || id, id, 'sent', 'campaign', 77,
           timestamptz '2026-03-03T09:00Z', timestamptz '2026-03-03T09:00Z'
    from crm.contacts
"""
EVENTS = """
    select organization.external_id, event_type, count(*), count(distinct source_id)
    from analytics.contact_activity join crm.organizations as organization
        on organization.id = organization_id
    where event_id like 'test-data:%'
    group by 1, 2 order by 1, 2
"""


def test_demo_organizations_alone_get_an_hour_of_activity_once(emptied: Installation) -> None:
    emptied.execute(CONTACTS)
    emptied.execute("select analytics.ensure_activity_month('2026-03-01')")
    emptied.execute(SENT)
    [first] = emptied.run(JOB, at=TICK)
    assert first.status == "COMPLETED"
    counts = {(row[0], row[1]): row[2] for row in emptied.rows(EVENTS)}
    assert {organization for organization, _ in counts} == {"demo"}
    # 3,000 contacts at 15:00 of Berlin, weight 1.5: 90 visits and 45 opens are expected.
    assert 50 < counts["demo", "page_view"] < 140
    assert 20 < counts["demo", "opened"] < 80
    assert 0 < counts["demo", "clicked"] < counts["demo", "opened"]
    assert 0 < counts["demo", "purchase"] < counts["demo", "page_view"]
    [(earliest, latest, orphans)] = emptied.rows("""
        select min(occurred_at), max(occurred_at),
               count(*) filter (where event_type = 'opened' and source_id is distinct from 77)
        from analytics.contact_activity where event_id like 'test-data:%'
    """)
    assert TICK - dt.timedelta(hours=1) <= earliest < latest < TICK
    assert orphans == 0
    before = emptied.fingerprint("contact_activity")
    [again] = emptied.run(JOB, at=TICK)
    assert (again.rows, emptied.fingerprint("contact_activity")) == (0, before)
    [other] = emptied.run(JOB, at=TICK + dt.timedelta(hours=1))
    assert other.rows > 0
    assert emptied.fingerprint("contact_activity") != before


def test_metrics_are_printed(emptied: Installation) -> None:
    emptied.execute(CONTACTS)
    [outcome] = emptied.run("development/debug_metrics", at=TICK)
    assert outcome.status == "COMPLETED"
    events = emptied.instance.get_latest_materialization_events(emptied.instance.get_asset_keys())
    [entry] = [one for key, one in events.items() if key.path[-1] == "debug_metrics" and one]
    assert entry.asset_materialization is not None
    table = str(entry.asset_materialization.metadata["metrics"].value)
    assert "| marketing_database_size_bytes |  | " in table
    assert len(table.splitlines()) == outcome.rows + 2
