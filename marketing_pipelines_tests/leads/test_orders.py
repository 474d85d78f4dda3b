"""The jobs of scores and stages of one tick write the same rows in any order."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.domains.integrations.providers import provider_of
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import Said, service
from marketing_pipelines_tests.leads.crm import DAY, INSTANT, OLD, TICK, Crm
from marketing_pipelines_tests.scale import SOAK

INTENT, OPPORTUNITIES = "leads/intent_scores", "leads/opportunity_scores"
LEADS, STAGES = "leads/lead_scores", "leads/lifecycle_stages"
ENRICHMENT = "leads/contact_enrichment"
YESTERDAY = dt.date(2026, 3, 9)
ORDERS = (
    (INTENT, OPPORTUNITIES, STAGES, LEADS),
    (LEADS, STAGES, INTENT, OPPORTUNITIES),
    (STAGES, LEADS, OPPORTUNITIES, INTENT),
)
# All of them, or two in which each job comes before and after the others.
TRIED = 3 if SOAK else 2
WRITTEN = {
    "contacts": "select external_id, intent_score, intent_band, lead_score, lead_grade,"
    " lifecycle_stage, lifecycle_stage_at from crm.contacts order by 1",
    "days": "select external_id, date, score, band from leads.intent_days"
    " join crm.contacts as contact on contact.id = contact_id order by 1, 2",
    "ledger": "select external_id, date, points from leads.opportunity_points"
    " join crm.opportunities as opportunity on opportunity.id = opportunity_id order by 1, 2",
    "history": 'select external_id, "from", "to", at, tick, reason from leads.lifecycle_history'
    " join crm.contacts as contact on contact.id = contact_id order by lifecycle_history.id",
    "events": "select type, external_id, payload::text from ops.bus_events"
    " join crm.contacts as contact on contact.id = contact_id order by 1, 2, 3",
}


def world(installation: Installation) -> Crm:
    """Contacts on both sides of the bounds of bands, grades and stages, with opportunities."""
    crm = Crm(installation)
    crm.score_by_points()
    for name, points, ages in (
        ("ann", 40, (INSTANT, 2 * DAY)),
        ("bob", 20, (INSTANT,)),
        ("cleo", 40, (21 * DAY, DAY)),
        ("dan", 5, ()),
    ):
        stored = {"intent_score": 60, "intent_band": "high", "lead_score": 5, "lead_grade": "F"}
        contact = crm.contact(name, attributes={"points": str(points)}, **stored)
        for age in ages:
            crm.event(contact, "demo_request", TICK - age)
            crm.event(contact, "form_submission", TICK - age)
        crm.insert(
            "crm.opportunities",
            organization_id=crm.organization,
            external_id=f"trip of {name}",
            contact_id=contact,
            travel_date=YESTERDAY + dt.timedelta(days=points),
            created_at=OLD,
        )
    return crm


def written(installation: Installation, order: Sequence[str]) -> dict[str, list[Any]]:
    """The rows that the jobs write, one after the other."""
    crm = world(installation)
    for job in order:
        if job in (INTENT, OPPORTUNITIES):
            installation.run(job, str(YESTERDAY), at=TICK)
        else:
            crm.run(job)
    return {name: crm.rows(statement) for name, statement in WRITTEN.items()}


@pytest.mark.soak
def test_the_jobs_of_one_tick_write_the_same_rows_in_any_order(
    shared_installation: Installation,
) -> None:
    first, *others = [written(shared_installation, order) for order in ORDERS[:TRIED]]
    assert [row[:-1] for row in first["contacts"]] == [
        ("ann", 132, "high", 80, "A", "mql"),
        ("bob", 70, "high", 40, "C", None),
        ("cleo", 66, "high", 80, "A", "mql"),
        ("dan", 0, "low", 19, "F", None),
    ]
    assert [row[0] for row in first["history"]] == ["ann", "cleo"]
    assert all(first.values())
    assert others == [first] * len(others)


@pytest.mark.soak
def test_facts_that_enrichment_brings_count_at_the_next_tick_in_any_order(
    shared_installation: Installation,
) -> None:
    """Attributes have no history: a stage moves at 02:00 or 04:00, and is the same from then on."""

    def after(order: Sequence[str]) -> dict[str, list[Any]]:
        crm = world(shared_installation)
        rule = {"attribute": "company_id", "op": "exists"}
        crm.add("score_rules", "company", rule=rule, points=41)
        for name in ("kim", "lou"):
            contact = crm.contact(name, email=f"{name}@x.example", attributes={"points": "5"})
            crm.event(contact, "demo_request", TICK - DAY)
            crm.event(contact, "form_submission", TICK - DAY)
        with service() as outside:
            outside.answer = lambda asked: Said(
                {"matches": [
                    {"organization": {"name": "X", "primary_domain": "x.example"}}
                    if one["email"] == "kim@x.example" else None
                    for one in asked.body["details"]
                ]}
            )  # fmt: skip
            with crm.installation.engine.begin() as connection:
                connections.set_connection(
                    connection, get_settings(), crm.organization, provider_of("enrichment"),
                    {"url": outside.url, "api_key": "key-of-night", "per_minute": 9_000}, TICK,
                )  # fmt: skip
            for job in order:
                crm.installation.run(job, *([str(YESTERDAY)] if job == INTENT else []), at=TICK)
        crm.run(LEADS, TICK + dt.timedelta(minutes=30))
        crm.run(STAGES, TICK + dt.timedelta(hours=2))
        found = {name: crm.rows(WRITTEN[name]) for name in ("contacts", "days", "history")}
        # All but the instants of moves.
        return found | {
            "contacts": [row[:-1] for row in found["contacts"]],
            "history": sorted(row[:3] for row in found["history"]),
        }

    first, *others = [
        after(order)
        for order in ((ENRICHMENT, INTENT, STAGES), (INTENT, STAGES, ENRICHMENT),
                      (STAGES, ENRICHMENT, INTENT))[:TRIED]
    ]  # fmt: skip
    assert [(row[0], row[3], row[5]) for row in first["contacts"][-2:]] == [
        ("kim", 60, "mql"),
        ("lou", 19, None),
    ]
    assert others == [first] * len(others)
