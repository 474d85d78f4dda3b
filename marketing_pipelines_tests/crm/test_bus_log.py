"""Deals and tasks publish their changes; the timeline has those of deals, and submitted forms."""

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains import load_events
from marketing_pipelines.domains.crm.events import FormSubmitted
from marketing_pipelines.queueing import bus
from marketing_pipelines.queueing.event_catalog import event_types
from marketing_pipelines.queueing.tables import bus_events
from marketing_pipelines_tests.installation import instant
from marketing_pipelines_tests.programs import Programs
from marketing_pipelines_tests.queueing.consuming import consume


def load(programs: Programs, folder: Path, kind: str, **fields: Any) -> None:
    path = folder / f"{kind}.jsonl"
    path.write_text(json.dumps({"organization_id": "acme", "external_id": "x1"} | fields))
    assert not programs.installation.load(kind, path).rejected


def published(programs: Programs) -> list[bus.BusEvent]:
    """Every event, read with the model of its type."""
    load_events()
    types = event_types()
    with programs.installation.engine.connect() as connection:
        rows = connection.execute(sa.select(bus_events).order_by(bus_events.c.id))
        return [types[row.type].read(row) for row in rows]


def told(programs: Programs, *prefixes: str) -> list[tuple[str, int | None, dict[str, Any]]]:
    return [
        (event.type, event.contact_id, event.payload)
        for event in published(programs)
        if event.type.startswith(prefixes)
    ]


def test_a_deal_publishes_its_changes_but_not_its_beginning(
    programs: Programs, tmp_path: Path
) -> None:
    ann = programs.contact("ann")
    load(programs, tmp_path, "deals", contact_id="ann", stage="Offer", name="Roof")
    at = "2026-03-02T09:00:00Z"
    load(programs, tmp_path, "deals", stage="Contract sent", stage_changed_at=at)
    load(programs, tmp_path, "deals", amount="100")
    load(programs, tmp_path, "deals", status="won", stage_changed_at="2026-03-03T09:00:00Z")
    moved = {"deal": "x1", "from": "Offer", "to": "Contract sent", "at": at}
    stays = {"from": "Contract sent", "to": "Contract sent", "at": "2026-03-03T09:00:00Z"}
    assert told(programs, "deal.") == [
        ("deal.stage_changed", ann, moved),
        ("deal.won", ann, moved | stays),
    ]
    for _ in range(2):
        assert "crm/log_activities" in consume(programs.installation.engine, "activity-log")
        programs.installation.execute(
            "select ops.enqueue_bus_events(array_agg(id), array_agg(type), array_agg(contact_id))"
            " from ops.bus_events"
        )
    assert programs.installation.rows(
        "select kind, activities.contact_id, deal.external_id, occurred_at, subject, source, ref"
        " from crm.activities join crm.deals as deal on deal.id = deal_id"
    ) == [
        (
            "other",
            ann,
            "x1",
            instant("2026-03-02T09:00Z"),
            "Deal Roof moved from Offer to Contract sent",
            "bus",
            "deal x1",
        )
    ]


def test_a_form_is_in_the_timeline_of_its_contact(programs: Programs) -> None:
    ann = programs.contact("ann")
    event = FormSubmitted(
        organization_id=programs.organization, contact_id=ann, form="demo", submission="s7"
    )
    with programs.installation.engine.begin() as connection:
        [number] = bus.publish(connection, [event])
    consume(programs.installation.engine, "activity-log")
    assert programs.installation.rows(
        "select external_id, contact_id, subject, ref from crm.activities"
    ) == [(f"bus:{number}", ann, "Form demo submitted", "submission s7")]


def test_a_new_task_is_published_unless_it_is_done(programs: Programs, tmp_path: Path) -> None:
    ann = programs.contact("ann")
    load(programs, tmp_path, "tasks", contact_id="ann", title="Call")
    load(programs, tmp_path, "tasks", contact_id="ann", title="Call", state="done")
    load(programs, tmp_path, "tasks", external_id="x2", title="Old", state="done")
    [(number, at)] = programs.installation.rows(
        "select id, created_at from crm.tasks where external_id = 'x1'"
    )
    [(kind, contact, payload)] = told(programs, "task.")
    assert (kind, contact, payload["task"]) == ("task.created", ann, number)
    assert instant(payload["tick"]) == at


def test_every_published_event_is_read_by_the_model_of_its_type(
    programs: Programs, tmp_path: Path
) -> None:
    load(programs, tmp_path, "deals", contact_id="ann", stage="Offer")
    load(programs, tmp_path, "deals", stage="Contract", status="lost")
    load(programs, tmp_path, "tasks", contact_id="ann", title="Call")
    load(programs, tmp_path, "contacts", external_id="bob", first_name="Bob")
    assert [event.type for event in published(programs)] == [
        "deal.stage_changed",
        "deal.lost",
        "task.created",
        "contact.created",
    ]
