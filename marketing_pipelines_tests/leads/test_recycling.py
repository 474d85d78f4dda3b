"""Lost leads that show interest again come back once, with a task and a sequence."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.leads.crm import DAY, INSTANT, Crm

JOB = "leads/recycled_leads"
TICK = instant("2026-06-01T09:00Z")
LOST_AT = TICK - 90 * DAY - INSTANT


@pytest.fixture
def crm(shared_installation: Installation) -> Crm:
    return Crm(shared_installation)


def lost(crm: Crm, name: str, **columns: Any) -> int:
    given = {"lead_status": "lost", "lead_status_at": LOST_AT}
    return crm.contact(name, **given | columns)


def recycled(crm: Crm) -> list[str]:
    return [
        name
        for (name,) in crm.rows(
            "select external_id from crm.contacts where lead_status = 'recycled' order by 1"
        )
    ]


@pytest.mark.parametrize(
    ("lost_at", "seen_at", "comes_back"),
    [
        (LOST_AT, TICK - 30 * DAY, True),
        (LOST_AT + INSTANT, TICK - DAY, False),
        (LOST_AT, TICK - 30 * DAY - INSTANT, False),
        (LOST_AT, TICK - INSTANT, True),
        (LOST_AT, TICK, False),
    ],
)
def test_a_lead_lost_for_more_than_ninety_days_and_seen_within_thirty_comes_back(
    crm: Crm, lost_at: dt.datetime, seen_at: dt.datetime, comes_back: bool
) -> None:
    crm.event(lost(crm, "ann", lead_status_at=lost_at), "page_view", seen_at)
    crm.run(JOB, TICK)
    assert recycled(crm) == (["ann"] if comes_back else [])


def test_a_recycled_lead_has_a_task_an_enrolment_and_a_row_of_the_ledger(crm: Crm) -> None:
    crm.settings(recycling={"sequence": "again"})
    sequence = crm.add("sequences", "again", status="active", started_at=LOST_AT)
    owner = crm.add("users", "una")
    ann = lost(crm, "ann", owner_id=owner, lead_status="unqualified")
    crm.event(ann, "page_view", TICK - 2 * DAY)
    crm.event(ann, "opened", TICK - DAY)
    crm.event(ann, "clicked", TICK - INSTANT)
    for at in (TICK, TICK + DAY):
        crm.run(JOB, at)
    [(enrolment,)] = crm.rows(
        "select id from lifecycle.enrolments where program_kind = 'sequence'"
        " and program_id = :sequence and contact_id = :ann and status = 'active'"
        " and entered_at = :tick",
        sequence=sequence,
        ann=ann,
        tick=TICK,
    )
    [(task, *shown)] = crm.rows("select id, title, owner_id, contact_id, state from crm.tasks")
    assert shown == ["Follow up with recycled lead", owner, ann, "open"]
    assert crm.rows(
        "select contact_id, tick, previous_status, signal_event, enrolment_id, task_id"
        " from leads.lead_recycling"
    ) == [(ann, TICK, "unqualified", "e1", enrolment, task)]
    assert crm.rows("select lead_status, lead_status_at from crm.contacts") == [("recycled", TICK)]


def test_a_lead_comes_back_again_only_after_it_was_lost_anew(crm: Crm) -> None:
    ann = lost(crm, "ann")
    again = TICK + 200 * DAY
    for at in (TICK, again):
        crm.event(ann, "page_view", at - DAY)
    crm.run(JOB, TICK)
    before = crm.hash()
    for at in (TICK, TICK - DAY, again):
        crm.run(JOB, at)
        assert crm.hash() == before
    crm.installation.execute(
        "update crm.contacts set lead_status = 'lost', lead_status_at = :at", at=TICK + 100 * DAY
    )
    crm.run(JOB, again)
    ticks = crm.rows("select tick from leads.lead_recycling order by 1")
    assert ticks == [(TICK,), (again,)]
    assert crm.rows("select count(*) from crm.tasks") == [(2,)]


def test_a_file_that_restores_the_old_status_recycles_no_lead_again(crm: Crm) -> None:
    crm.event(lost(crm, "ann"), "page_view", TICK - DAY)
    crm.run(JOB, TICK)
    crm.installation.execute(
        "update crm.contacts set lead_status = 'lost', lead_status_at = :at", at=LOST_AT
    )
    before = crm.hash()
    for at in (TICK, TICK + DAY):
        assert crm.run(JOB, at).items_failed == 0
        assert crm.hash() == before


def test_leads_in_a_sequence_and_machines_stay_where_they_are(crm: Crm) -> None:
    sequence = crm.add("sequences", "other", status="active", started_at=LOST_AT)
    ann, bob = lost(crm, "ann"), lost(crm, "bob")
    crm.event(ann, "page_view", TICK - DAY)
    crm.event(bob, "opened", TICK - DAY, properties={"machine_open": True})
    own = {"organization_id": crm.organization, "program_kind": "sequence", "contact_id": ann}
    crm.insert("lifecycle.enrolments", **own, program_id=sequence, entered_at=LOST_AT)
    crm.run(JOB, TICK)
    assert recycled(crm) == []


def test_the_settings_choose_days_signals_and_statuses(crm: Crm) -> None:
    crm.settings(
        recycling={"after_days": 10, "signal_days": 1, "signals": ["purchase"],
                   "statuses": ["nurturing"]}
    )  # fmt: skip
    for name, status, seen in (("ann", "nurturing", "purchase"), ("bob", "lost", "purchase"),
                               ("cy", "nurturing", "page_view")):  # fmt: skip
        contact = lost(crm, name, lead_status=status, lead_status_at=TICK - 10 * DAY - INSTANT)
        crm.event(contact, seen, TICK - DAY)
    crm.run(JOB, TICK)
    assert recycled(crm) == ["ann"]


def test_an_unknown_sequence_stops_its_organization_only(crm: Crm) -> None:
    crm.settings(recycling={"sequence": "missing"})
    other = crm.insert("crm.organizations", external_id="umbra")
    zoe = lost(crm, "zoe", organization_id=other)
    for contact, own in ((lost(crm, "ann"), crm.organization), (zoe, other)):
        crm.event(contact, "page_view", TICK - DAY, organization_id=own)
    outcome = crm.run(JOB, TICK)
    assert (outcome.status, outcome.rows, outcome.items_failed) == ("COMPLETED", 1, 1)
    assert recycled(crm) == ["zoe"]
    [(error,)] = crm.rows("select error from ops.item_failures where job = :job", job=JOB)
    assert error.startswith("recycling.sequence names 'missing'")
