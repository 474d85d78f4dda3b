"""Runs of scores killed between their contacts and their days, and run again."""

import signal

import sqlalchemy as sa

from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.installation import Installation
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
from marketing_pipelines_tests.waiting import until

WAITING = sa.text(
    "select 1 from pg_locks where not granted and relation = 'leads.intent_days'::regclass"
    " and database = (select oid from pg_database where datname = current_database())"
)


def test_a_run_killed_half_way_leaves_what_one_run_leaves(installation: Installation) -> None:
    world, other = LeadWorld(installation), LeadWorld(installation)
    for one in (world, other):
        ann = one.contact()
        one.event(ann, "demo_request", MIDNIGHT - DAY)
        one.event(ann, "clicked", TICK - INSTANT)
    with installation.engine.connect() as connection:
        connection.exec_driver_sql("lock table leads.intent_days in exclusive mode")
        run = Forked(
            "marketing_pipelines",
            "run",
            JOB,
            "--partition",
            key(),
            "--at",
            f"{TICK:%Y-%m-%dT%H:%M:%S}",
        )
        with installation.engine.connect() as looking:
            until(lambda: looking.execute(WAITING).first(), what="the run to come to its days")
        run.send_signal(signal.SIGKILL)
        run.wait()
        connection.rollback()
    assert world.contacts("intent_score, intent_band") == {"ann": (58, "high")}
    assert days(world) == []
    score(world)
    for one in (world, other):
        assert days(one) == [(key(), "ann", 48, "medium")]
        assert one.contacts("intent_score, intent_band") == {"ann": (58, "high")}
        assert crossings(one) == [{"from": "low", "to": "high", "score": 58}]
