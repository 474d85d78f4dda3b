"""The bridge: bus events about contacts become events of their activity, once."""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.events import CampaignStarted
from marketing_pipelines.domains.crm.events import (
    ContactStageChanged,
    EmailReplied,
    FormSubmitted,
    LeadGraded,
)
from marketing_pipelines.queueing import bus
from marketing_pipelines_tests.installation import instant
from marketing_pipelines_tests.programs import Programs
from marketing_pipelines_tests.queueing.consuming import consume

TICK = instant("2026-03-10T12:00Z")


def publish(programs: Programs, *events: bus.BusEvent) -> None:
    with programs.installation.engine.begin() as connection:
        bus.publish(connection, events)


def activity(programs: Programs) -> list[tuple[Any, ...]]:
    return programs.installation.rows(
        "select external_id, event_type, properties from analytics.contact_activity"
        " join crm.contacts as contact on contact.id = contact_id"
        " where event_id like 'bus:%' order by external_id, contact_activity.id"
    )


def test_events_about_contacts_become_activity(programs: Programs) -> None:
    ann, own = programs.contact("ann"), {"organization_id": programs.organization}
    about: dict[str, Any] = {**own, "contact_id": ann}
    programs.installation.execute("delete from procrastinate_jobs")
    programs.installation.execute("delete from ops.bus_events")
    publish(
        programs,
        EmailReplied(**about, message="m1", at=TICK),
        FormSubmitted(**about, form="demo", submission="s1"),
        LeadGraded(**about, before=None, to="B", score=61, tick=TICK),
        CampaignStarted(**own, campaign_id=1, campaign="c", started_at=TICK, tick=TICK),
    )
    assert consume(programs.installation.engine, "workflow-bridge") == ["analytics/bridge_events"]
    expected = [
        ("ann", "replied", {"message": "m1", "at": f"{TICK:%Y-%m-%dT%H:%M:%SZ}"}),
        ("ann", "form_submission", {"form": "demo", "submission": "s1"}),
        (
            "ann",
            "lead.graded",
            {"from": None, "to": "B", "score": 61, "tick": f"{TICK:%Y-%m-%dT%H:%M:%SZ}"},
        ),
    ]
    assert activity(programs) == expected
    with programs.installation.engine.begin() as connection:
        connection.execute(
            sa.text(
                "select ops.enqueue_bus_events(array_agg(id), array_agg(type),"
                " array_agg(contact_id)) from ops.bus_events"
            )
        )
    assert consume(programs.installation.engine, "workflow-bridge") == ["analytics/bridge_events"]
    assert activity(programs) == expected


def test_an_event_of_a_job_happened_at_its_tick(programs: Programs) -> None:
    moved = ContactStageChanged(
        organization_id=programs.organization,
        contact_id=programs.contact("ann"),
        before="lead",
        to="mql",
        reason="rule 1",
        tick=TICK - dt.timedelta(days=60),
    )
    publish(programs, moved)
    consume(programs.installation.engine, "workflow-bridge")
    assert programs.installation.rows(
        "select occurred_at from analytics.contact_activity"
        " where event_type = 'contact.stage_changed'"
    ) == [(TICK - dt.timedelta(days=60),)]


def test_the_event_of_a_load_becomes_one_for_each_contact(programs: Programs) -> None:
    programs.installation.execute(
        "insert into crm.contacts (organization_id, external_id)"
        " values (:own, 'ann'), (:own, 'bob')",
        own=programs.organization,
    )
    consume(programs.installation.engine, "workflow-bridge")
    assert activity(programs) == [
        (name, "contact.created", {"source": "import"}) for name in ("ann", "bob")
    ]


def test_many_events_of_one_statement_are_few_tasks(programs: Programs) -> None:
    programs.installation.execute(
        "insert into crm.contacts (organization_id, external_id)"
        " select :own, number from generate_series(1, 10001) as number",
        own=programs.organization,
    )
    programs.installation.execute("delete from procrastinate_jobs")
    programs.installation.execute("delete from ops.bus_events")
    graded = LeadGraded(organization_id=programs.organization, before=None, to="B", score=61)
    with programs.installation.engine.begin() as connection:
        contacts = sa.text("select id as contact_id from crm.contacts").columns(
            sa.column("contact_id", sa.BigInteger)
        )
        named = sa.select(contacts.subquery().c.contact_id)
        assert bus.publish_for_contacts(connection, graded, named) == 10_001
    assert programs.installation.rows(
        "select task_name, jsonb_array_length(args -> 'event_ids') from procrastinate_jobs"
        " order by 1, 2"
    ) == [
        ("analytics/bridge_events", 1),
        ("analytics/bridge_events", 10_000),
        ("webhooks/publish", 1),
        ("webhooks/publish", 10_000),
    ]
