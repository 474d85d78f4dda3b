"""`leads/new_signals` for several organizations, its lead scores and their events."""

import datetime as dt
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.leads import intent_writing, lead_writing, new_signals
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads.world import LeadWorld
from marketing_pipelines_tests.queueing.consuming import consume
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

NINE = dt.datetime(2026, 3, 20, 9, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)
JOB = "leads/new_signals"
Write = Callable[[sa.Connection, int], int]


def waiting(world: LeadWorld) -> int:
    [(number,)] = world.rows(
        "select count(*) from leads.signal_arrivals where organization_id = :own"
    )
    return int(number)


def test_a_run_divides_its_arrivals_over_the_organizations(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_signals, "MAX_ARRIVALS", 6)
    large, broken, small = (LeadWorld(installation) for _ in range(3))
    broken.set(intent={"decay_rate": "fast"})
    for world, signals in ((large, 10), (broken, 3), (small, 1)):
        for n in range(signals):
            world.event(world.contact(f"c{n}"), "clicked", NINE)
    installation.run(JOB, at=NINE + MINUTE)
    # The one that fails leaves its part to the large one.
    assert (waiting(large), waiting(broken), waiting(small)) == (10 - 5, 3, 0)
    assert small.contacts("intent_score") == {"c0": 10}


def test_a_form_gives_its_points_within_the_minute(installation: Installation) -> None:
    world, broken = LeadWorld(installation), LeadWorld(installation)
    broken.execute(
        "insert into leads.score_rules (organization_id, external_id, rule, points, counts)"
        """ values (:own, 'rule', '{"attribute": "shoe_size", "op": "exists"}', 5, 'once')"""
    )
    for one in (world, broken):
        one.event(one.contact(email="ann@example.org"), "form_submission", NINE)
    installation.run(JOB, at=NINE + MINUTE)
    assert world.contacts("intent_score, lead_score, lead_grade") == {"ann": (20, 20, "D")}
    assert broken.contacts("intent_score, lead_score") == {"ann": (20, None)}
    installation.run(JOB, at=NINE + 2 * MINUTE)
    # A nightly run that is late leaves the newer score.
    installation.run("leads/lead_scores", at=NINE - 6 * MINUTE)
    assert world.contacts("lead_score, lead_grade") == {"ann": (20, "D")}
    assert world.rows(
        "select payload -> 'from', payload -> 'to' from ops.bus_events where type = 'lead.graded'"
    ) == [("F", "D")]


def test_a_contact_that_loses_an_event_to_another_is_scored_anew(
    installation: Installation,
) -> None:
    world = LeadWorld(installation)
    ann, bob = world.contact("ann"), world.contact("bob")
    add = (
        "insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,"
        " occurred_at, received_at) values (:own, 'e', :contact, 'demo_request', :at, :received)"
    )
    world.execute(add, contact=ann, at=NINE, received=NINE)
    installation.run(JOB, at=NINE + MINUTE)
    assert world.contacts("intent_score, lead_score") == {"ann": (50, 25), "bob": (None, None)}
    # The row that was received earlier holds the id of the event.
    world.execute(add, contact=bob, at=NINE - MINUTE, received=NINE - MINUTE)
    installation.run(JOB, at=NINE + 2 * MINUTE)
    assert world.contacts("intent_score, lead_score") == {"ann": (0, 0), "bob": (50, 25)}


@pytest.mark.parametrize(
    ("rule", "event", "grade"),
    [
        (None, "purchase", (10, "F")),
        (None, "bounced", (0, "F")),
        ({"event": "webinar*"}, "webinar_joined", (30, "D")),
        ({"any": [{"not": {"event": "call_missed"}}, {"event": "call_made"}]}, "call_made",
         (30, "D")),
    ],
)  # fmt: skip
def test_an_event_that_a_score_rule_reads_scores_its_contact_within_the_minute(
    shared_installation: Installation, rule: Any, event: str, grade: tuple[int, str]
) -> None:
    world = LeadWorld(shared_installation)
    if rule is not None:
        world.execute(
            "insert into leads.score_rules (organization_id, external_id, rule, points)"
            " values (:own, 'rule', cast(:rule as jsonb), 30)",
            rule=json.dumps(rule),
        )
    contact = world.contact(lead_score=5, lead_grade="F")
    world.event(contact, "sent", NINE)
    assert waiting(world) == 0
    world.event(contact, event, NINE)
    assert waiting(world) == 1
    shared_installation.run(JOB, at=NINE + MINUTE)
    assert world.contacts("lead_score, lead_grade") == {"ann": grade}
    # It is no signal of interest.
    assert world.contacts("intent_score") == {"ann": None}
    assert waiting(world) == 0


@pytest.mark.soak
@soak_only
def test_scores_of_an_earlier_tick_replace_none_of_a_later_one(
    shared_installation: Installation,
) -> None:
    world = LeadWorld(shared_installation)
    world.event(world.contact(), "demo_request", NINE - 24 * HOUR)
    day = f"{NINE - 24 * HOUR:%Y-%m-%d}"

    def at(tick: dt.datetime) -> Any:
        shared_installation.run("leads/intent_scores", day, at=tick)
        shared_installation.run("leads/lead_scores", at=tick)
        return world.contacts("intent_score, lead_score")["ann"]

    assert at(NINE) == (48, 25)
    # An hour earlier the signal had not lost its first points.
    assert at(NINE - HOUR) == (48, 25)
    # A signal that comes late is scored as of the next tick, and not of the earlier one again.
    world.event(world.rows("select id from crm.contacts where organization_id = :own")[0][0],
                "clicked", NINE - MINUTE)  # fmt: skip
    shared_installation.run(JOB, at=NINE - MINUTE / 2)
    assert (waiting(world), at(NINE - HOUR)) == (2, (48, 25))
    shared_installation.run(JOB, at=NINE + MINUTE)
    assert (waiting(world), world.contacts("intent_score, lead_score")["ann"]) == (0, (58, 30))
    assert at(NINE) == (58, 30)


def test_events_of_a_late_run_happened_at_its_tick(installation: Installation) -> None:
    world = LeadWorld(installation)
    world.event(world.contact(), "demo_request", NINE)
    world.execute(
        "insert into crm.tasks"
        " (organization_id, contact_id, title, job, subject, period, created_at)"
        " select :own, id, 'Call', 'a/b', 'ann', 'once', :at from crm.contacts",
        at=NINE - MINUTE,
    )
    installation.run(JOB, at=NINE + MINUTE)
    consume(installation.engine, "workflow-bridge")
    assert world.rows(
        "select event_type, occurred_at from analytics.contact_activity"
        " where event_id like 'bus:%' and event_type <> 'contact.created' order by 1"
    ) == [
        ("intent.band_changed", NINE + MINUTE),
        ("lead.graded", NINE + MINUTE),
        ("task.created", NINE - MINUTE),
    ]


def intent(connection: sa.Connection, organization: int) -> int:
    return intent_writing.write_contacts(connection, organization, NINE + MINUTE)


def lead(connection: sa.Connection, organization: int) -> int:
    return lead_writing.write_contacts(connection, organization, NINE + MINUTE, ZoneInfo("UTC"))


@pytest.mark.parametrize("write", [intent, lead])
def test_contacts_are_locked_in_their_order(
    shared_installation: Installation, write: Write
) -> None:
    world, engine = LeadWorld(shared_installation), shared_installation.engine
    ann, bob = world.contact("ann"), world.contact("bob")
    for contact in (bob, ann):
        world.event(contact, "demo_request", NINE)
    # Ann comes after Bob in the table.
    world.execute("update crm.contacts set first_name = 'Ann' where id = :ann", ann=ann)
    locked = sa.text("select from crm.contacts where id = :id for no key update nowait")

    def run() -> int:
        with engine.begin() as connection:
            # Plans that read the contacts in the order of the table.
            for plan in ("mergejoin", "nestloop", "indexscan", "bitmapscan"):
                connection.exec_driver_sql(f"set local enable_{plan} = off")
            return write(connection, world.organization)

    with ThreadPoolExecutor() as threads, engine.connect() as other:
        other.execute(locked, {"id": ann})
        running = threads.submit(run)
        try:
            until(lambda: waits_for_a_lock(engine), what="the lock of the first contact")
            other.execute(locked, {"id": bob})
        finally:
            other.rollback()
        assert running.result() == 2
