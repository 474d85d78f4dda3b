"""Faults 12 and 42: what asks for work forgets nothing and gets past what it cannot rescue."""

import datetime as dt
import signal
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from marketing_pipelines.stores import intents
from marketing_pipelines_tests import given_program
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, event
from marketing_pipelines_tests.operations.test_marks_sensor import (
    asked_for,
    evaluate,
    launch,
    minutes_ago,
)

pytestmark = pytest.mark.fault

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
LEASE = dt.timedelta(minutes=1)
PAGE = 5
CLAIM_AND_DIE = """
import os, signal, sys
from marketing_pipelines_tests.faults.test_sensor import claim, deliveries
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
engine = create_engine(database_url(get_settings()))
with engine.begin() as connection:
    claim(connection, float(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""

deliveries = sa.Table(
    "deliveries",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("contact", sa.Text, unique=True),
    *intents.columns(),
    schema="ops",
)


def claim(connection: sa.Connection, minutes: float) -> list[str]:
    """The contacts of one page, claimed some minutes after noon."""
    now = NOW + dt.timedelta(minutes=minutes)
    rows = intents.claim(connection, deliveries, limit=PAGE, lease=LEASE, now=now)
    return [row.contact for row in rows]


@pytest.mark.fault(12)
def test_fault_12_a_page_of_intents_that_kills_every_worker_does_not_keep_the_others_waiting(
    installation: Installation,
) -> None:
    """The first page is claimed by a worker that dies; its lease runs out; it is the oldest."""
    with installation.engine.begin() as connection:
        deliveries.create(connection)
        rows = [
            {"contact": f"c{n}", "due_at": NOW - dt.timedelta(minutes=30 - n)} for n in range(12)
        ]
        intents.record(connection, deliveries, rows)
    died = given_program.run(CLAIM_AND_DIE, "0")
    assert died.returncode == -signal.SIGKILL
    pages = []
    for minutes in (1, 1.1, 1.2, 2.5):
        with installation.engine.begin() as connection:
            pages.append(claim(connection, minutes))
    assert pages == [
        ["c5", "c6", "c7", "c8", "c9"],
        ["c0", "c1", "c2", "c10", "c11"],
        ["c3", "c4"],
        ["c5", "c6", "c7", "c8", "c9"],
    ]


@pytest.mark.fault(42)
def test_fault_42_a_lost_or_drifting_cursor_drops_no_mark(
    installation: Installation, tmp_path: Path
) -> None:
    """Its state is the marks: what was asked for and never run is asked for again."""
    rows = [event(n, f"2026-03-01T{n:02}:00:00Z") for n in range(3)]
    hour = [("analytics__contact_activity_job", "2026-03-01-00:00", "2026-03-01-02:00")]
    installation.load_events(tmp_path, rows)
    assert asked_for(evaluate(installation)) == hour
    for cursor in (None, "2099-01-01", "not a cursor"):
        assert evaluate(installation, cursor) == []
        minutes_ago(installation, 16)
        assert asked_for(evaluate(installation, cursor)) == hour
    with dg.DagsterInstance.ephemeral() as fresh:
        without_memory = Installation(installation.settings, installation.engine, lambda: fresh)
        minutes_ago(installation, 16)
        [request] = evaluate(without_memory)
        assert launch(without_memory, request).success
    installation.run_marked()
    assert_counted(installation, rows)
    assert installation.rows("select 1 from analytics.stale_partitions") == []
