"""Jobs of leads whose process is killed half-way: the next run leaves what one run leaves."""

import signal
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads import test_orders
from marketing_pipelines_tests.leads.crm import Crm
from marketing_pipelines_tests.leads.test_intent_scores import (
    JOB,
    MIDNIGHT,
    TICK,
    crossings,
    days,
    key,
    score,
)
from marketing_pipelines_tests.leads.world import DAY, INSTANT, LeadWorld
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

pytestmark = pytest.mark.fault
HEAVY = [pytest.mark.soak, soak_only]
WAITING = sa.text(
    "select 1 from pg_locks where not granted and relation = cast(:table as regclass)"
    " and database = (select oid from pg_database where datname = current_database())"
)
WRITTEN = test_orders.WRITTEN | {
    "contacts": "select external_id, lead_score, lead_grade, lifecycle_stage, lifecycle_stage_at,"
    " lead_status, lead_status_at from crm.contacts order by 1",
    "tasks": "select contact.external_id, title, due_at, state, task.created_at"
    " from crm.tasks as task join crm.contacts as contact on contact.id = contact_id order by 1, 2",
    "notifications": "select contact.external_id, kind, title, text, note.created_at"
    " from crm.notifications as note join crm.contacts as contact on contact.id = contact_id"
    " order by 1, 2",
    "recycled": "select contact.external_id, tick, previous_status, task_id is not null"
    " from leads.lead_recycling join crm.contacts as contact on contact.id = contact_id order by 1",
    "events": "select type, external_id, (payload - 'task')::text from ops.bus_events"
    " join crm.contacts as contact on contact.id = contact_id order by 1, 2, 3",
}


def kill_half_way(installation: Installation, table: str, job: str, *arguments: str) -> None:
    """Starts a run, and kills it when it waits for a table that is locked."""
    with installation.engine.connect() as connection:
        connection.exec_driver_sql(f"lock table {table} in exclusive mode")
        run = Forked("marketing_pipelines", "run", job, *arguments)
        with installation.engine.connect() as looking:
            until(
                lambda: looking.execute(WAITING, {"table": table}).first(),
                what=f"{job} to wait for {table}",
            )
        run.send_signal(signal.SIGKILL)
        run.wait()
        connection.rollback()


def world(installation: Installation) -> Crm:
    """Contacts that each of the jobs concerns, with a user who is notified."""
    crm = test_orders.world(installation)
    crm.add("users", "uma", role="admin")
    lost = {"lead_status": "lost", "lead_status_at": test_orders.TICK - 100 * DAY}
    crm.event(crm.contact("eve", **lost), "page_view", test_orders.TICK - DAY)
    crm.contact("fay", next_follow_up_at=test_orders.TICK - DAY)
    return crm


def written(crm: Crm) -> dict[str, list[Any]]:
    return {name: crm.rows(statement) for name, statement in WRITTEN.items()}


@pytest.mark.parametrize(
    ("job", "table"),
    [
        ("leads/lifecycle_stages", "ops.bus_events"),
        pytest.param("leads/follow_ups", "crm.notifications", marks=HEAVY),
        pytest.param("leads/lead_scores", "ops.bus_events", marks=HEAVY),
        pytest.param("leads/recycled_leads", "leads.lead_recycling", marks=HEAVY),
        pytest.param("leads/opportunity_scores", "leads.opportunity_points", marks=HEAVY),
    ],
)
def test_a_killed_run_leaves_nothing_half_done(
    shared_installation: Installation, job: str, table: str
) -> None:
    partition = [f"{test_orders.YESTERDAY}"] if job == test_orders.OPPORTUNITIES else []
    crm = world(shared_installation)
    shared_installation.run(job, *partition, at=test_orders.TICK)
    undisturbed = written(crm)
    crm = world(shared_installation)
    nothing = written(crm)
    given = ["--partition", *partition] if partition else []
    kill_half_way(
        shared_installation, table, job, *given, "--at", f"{test_orders.TICK:%Y-%m-%dT%H:%M:%S}"
    )
    assert written(crm) == nothing != undisturbed
    for _ in range(2):
        shared_installation.run(job, *partition, at=test_orders.TICK)
        assert written(crm) == undisturbed


@pytest.mark.soak
@soak_only
def test_a_run_killed_half_way_leaves_what_one_run_leaves(installation: Installation) -> None:
    own, other = LeadWorld(installation), LeadWorld(installation)
    for one in (own, other):
        ann = one.contact()
        one.event(ann, "demo_request", MIDNIGHT - DAY)
        one.event(ann, "clicked", TICK - INSTANT)
    at = f"{TICK:%Y-%m-%dT%H:%M:%S}"
    kill_half_way(installation, "leads.intent_days", JOB, "--partition", key(), "--at", at)
    assert own.contacts("intent_score, intent_band") == {"ann": (58, "high")}
    assert days(own) == []
    score(own)
    for one in (own, other):
        assert days(one) == [(key(), "ann", 48, "medium")]
        assert one.contacts("intent_score, intent_band") == {"ann": (58, "high")}
        assert crossings(one) == [{"from": "low", "to": "high", "score": 58}]
