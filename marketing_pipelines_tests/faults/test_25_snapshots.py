"""Fault 25: what is committed while segments are evaluated is in the next evaluation."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains import load_tasks
from marketing_pipelines.domains.segments import evaluation
from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines_tests.faults.crowd import (
    HOUR,
    NOW,
    Crowd,
    evaluating,
    events_told,
    finished,
    half_way,
)
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

pytestmark = pytest.mark.fault

SERIALIZATION = "OperationalError: could not serialize access due to concurrent update"
MINUTE = dt.timedelta(minutes=1)
EVENT = """
    insert into analytics.contact_activity
        (organization_id, event_id, contact_id, event_type, occurred_at, received_at)
    select organization_id, 'late', id, 'opened', '2026-03-10T11:00Z', '2026-03-10T11:00Z'
    from crm.contacts where external_id = 'bob'
"""
MEMBER = """
    insert into segments.manual_members (organization_id, segment_id, contact_id, action)
    select organization_id, segment.id, contact.id, '{action}'
    from segments.segments as segment join crm.contacts as contact using (organization_id)
    where segment.external_id = 'active' and contact.external_id = '{contact}'
"""
SEGMENT = """
    insert into segments.segments (organization_id, external_id, rule)
    select id, 'new', '{"event": "opened"}' from crm.organizations
"""
RULE = """
    update segments.segments set rule = '{"attribute": "city", "op": "=", "value": "Rome"}'
    where external_id = 'active'
"""
CITY = (
    "update crm.contacts set attributes = '{{\"city\": \"{city}\"}}' where external_id = '{name}'"
)
CONTACTS = """
    insert into crm.contacts (organization_id, external_id, attributes)
    select organizations.id, given.name, jsonb_build_object('city', city) from crm.organizations,
        (values ('ann', 'Basel'), ('bob', 'Rome'), ('cid', 'Rome')) as given (name, city)
"""
CONTACT = """
    insert into crm.contacts (organization_id, external_id, attributes)
    select id, 'dan', '{"city": "Bern"}' from crm.organizations
"""
# The change, and the members then; "active" are ann, who opened, and the contacts in Bern.
CHANGES: dict[str, tuple[str, dict[str, list[str]]]] = {
    "an event comes": (EVENT, {"active": ["ann", "bob"], "of the day": ["ann", "bob"]}),
    "an event goes": (
        "delete from analytics.contact_activity",
        {"active": [], "of the day": []},
    ),
    "a contact changes": (CITY.format(name="bob", city="Bern"), {"active": ["ann", "bob"]}),
    "a contact comes": (CONTACT, {"active": ["ann", "dan"]}),
    "a contact goes": (
        "delete from crm.contacts where external_id = 'ann'",
        {"active": [], "of the day": []},
    ),
    "a contact is put in": (
        MEMBER.format(action="add", contact="bob"),
        {"active": ["ann", "bob"]},
    ),
    "a contact is taken out": (MEMBER.format(action="remove", contact="ann"), {"active": []}),
    "a rule changes": (RULE, {"active": ["cid"]}),
    "a rule of a segment that refers to another changes": (
        'update segments.segments set rule = \'{"not": {"segment": "active"}}\''
        " where external_id = 'of the day'",
        {"of the day": ["bob", "cid"]},
    ),
    "the zone changes": (
        "update crm.organizations set timezone = 'America/New_York'",
        {"of the day": []},
    ),
    "a segment comes": (SEGMENT, {"new": ["ann"]}),
}

# One of the events, one of the contacts, one of the segments.
OF_ALL_KINDS = ("an event comes", "a contact goes", "a segment comes")


@pytest.fixture
def crowd(emptied: Installation, tmp_path: Path) -> Crowd:
    load_tasks()
    small = Crowd(emptied, tmp_path)
    emptied.execute("insert into crm.organizations (external_id) values ('acme')")
    emptied.execute(CONTACTS)
    emptied.execute(CITY.format(name="bob", city="Paris"))
    # In New York that was yesterday.
    small.event("ann", "opened", "2026-03-10T03:00Z")
    return small


def rules(crowd: Crowd) -> None:
    in_bern = {"attribute": "city", "op": "=", "value": "Bern"}
    crowd.rule("active", {"any": [{"event": "opened"}, in_bern]})
    crowd.rule("of the day", {"event": "opened", "since": "today"})


@contextmanager
def snapshot(crowd: Crowd) -> Iterator[sa.Connection]:
    """A transaction like an evaluation's, whose snapshot is taken."""
    with crowd.installation.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("set transaction isolation level repeatable read")
        connection.exec_driver_sql("select 1 from crm.contacts limit 1")
        yield connection


def evaluate(connection: sa.Connection, at: dt.datetime, *, by_time: bool = True) -> int:
    """An evaluation in the open transaction; returns of how many organizations."""
    organizations = evaluation.due(connection, by_time=by_time)
    for organization in organizations:
        failures = ItemFailures(evaluation.JOB, at)
        evaluation.SegmentPass(connection, organization, at, ZoneInfo("UTC"), retry=by_time).run(
            failures.attempts
        )
        assert failures.last_error == ""
    return len(organizations)


def evaluate_by_sensor(crowd: Crowd, at: dt.datetime) -> int:
    """Does the work that the sensor finds."""
    with crowd.installation.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("set transaction isolation level repeatable read")
        if not evaluation.is_due(connection):
            return 0
        return evaluate(connection, at, by_time=False)


def every_member(crowd: Crowd) -> dict[str, list[str]]:
    names = crowd.installation.rows("select external_id from segments.segments order by id")
    return {name: crowd.members(name) for (name,) in names}


@pytest.mark.parametrize(
    ("change", "known", "began"),
    [
        *((change, True, "before the snapshot") for change in CHANGES),
        *(
            pytest.param(
                change,
                False,
                "after the snapshot",
                marks=[] if change in OF_ALL_KINDS else [pytest.mark.soak, soak_only],
            )
            for change in CHANGES
        ),
    ],
)
def test_what_is_committed_during_an_evaluation_is_in_the_next_one(
    crowd: Crowd, change: str, known: bool, began: str
) -> None:
    """Segments that are known are evaluated for those who were touched, others for everybody."""
    rules(crowd)
    if known:
        crowd.evaluate(NOW - MINUTE)
    old = {"active": ["ann"], "of the day": ["ann"]}
    statement, new = CHANGES[change]
    with crowd.installation.engine.connect() as writer:
        if began == "before the snapshot":
            writer.execute(sa.text(statement))
        with snapshot(crowd) as connection:
            if began == "after the snapshot":
                writer.execute(sa.text(statement))
            writer.commit()
            evaluate(connection, NOW)
    if change not in ("a segment comes", "a contact goes"):
        assert every_member(crowd) == old
    assert evaluate_by_sensor(crowd, NOW + MINUTE) == 1
    assert every_member(crowd) == old | new
    assert evaluate_by_sensor(crowd, NOW + 2 * MINUTE) == 0
    assert crowd.touched() == []


@pytest.mark.parametrize("committed", ["after its first evaluation", "before its first evaluation"])
@pytest.mark.parametrize("forgotten", [False, True])
def test_events_of_a_transaction_that_began_before_a_segment_was_created(
    crowd: Crowd, committed: str, forgotten: bool
) -> None:
    """Without segments, what was touched is forgotten; what is not committed yet cannot be."""
    with crowd.installation.engine.connect() as writer:
        writer.execute(sa.text(EVENT))
        if forgotten:
            with snapshot(crowd) as connection:
                assert evaluate(connection, NOW - MINUTE) == 0
            assert crowd.touched() == []
        crowd.installation.execute(SEGMENT)
        if committed == "before its first evaluation":
            writer.commit()
        assert evaluate_by_sensor(crowd, NOW) == 1
        writer.commit()
    evaluate_by_sensor(crowd, NOW + MINUTE)
    assert every_member(crowd) == {"new": ["ann", "bob"]}
    assert crowd.touched() == []


def test_a_segment_that_is_created_while_what_was_touched_is_forgotten(crowd: Crowd) -> None:
    """An evaluation that saw no segments yet forgets what only the first one of it can need."""
    with snapshot(crowd) as connection:
        crowd.installation.execute(EVENT)
        crowd.installation.execute(SEGMENT)
        assert evaluate(connection, NOW) == 0
    evaluate_by_sensor(crowd, NOW + MINUTE)
    assert every_member(crowd) == {"new": ["ann", "bob"]}


def test_the_run_that_the_sensor_asks_for_has_what_was_committed_meanwhile(crowd: Crowd) -> None:
    rules(crowd)
    with crowd.installation.engine.connect() as writer:
        writer.execute(sa.text(EVENT))
        crowd.evaluate(NOW)
        writer.commit()
    assert crowd.members("active") == ["ann"]
    done = crowd.evaluate_by_sensor(NOW + MINUTE)
    assert done.success
    assert crowd.members("active") == crowd.members("of the day") == ["ann", "bob"]
    [found] = crowd.installation.rows(
        "select trigger, items_ok from ops.job_sessions order by id desc limit 1"
    )
    assert found == ("sensor", 2)


def test_a_segment_that_is_deleted_during_a_run_costs_it_another_attempt(crowd: Crowd) -> None:
    rules(crowd)
    crowd.evaluate(NOW)
    installation = crowd.installation
    installation.execute(EVENT)
    with (
        half_way(installation, "active", "bob") as blocker,
        evaluating(NOW + HOUR) as process,
    ):
        until(
            lambda: waits_for_a_lock(installation.engine),
            seconds=120,
            what="the first segment to be written",
        )
        installation.execute("delete from segments.segments where external_id = 'of the day'")
        blocker.rollback()
        assert "COMPLETED" in finished(process)
    assert installation.rows(
        "select status, error from ops.job_sessions where tick = :tick order by id",
        tick=NOW + HOUR,
    ) == [("FAILED", SERIALIZATION), ("COMPLETED", None)]
    assert every_member(crowd) == {"active": ["ann", "bob"]}
    assert [told[1] for told in events_told(installation)] == ["segment.entered"]
