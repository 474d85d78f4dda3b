"""`leads/intent_scores` and `leads/new_signals`: days, present scores, and crossings of bands."""

import datetime as dt
from typing import Any

import pytest

from marketing_pipelines.domains.leads import new_signals
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads.world import DAY, INSTANT, LeadWorld

MIDNIGHT = dt.datetime(2026, 3, 20, tzinfo=dt.UTC)
TICK = MIDNIGHT + dt.timedelta(hours=2)
JOB = "leads/intent_scores"


@pytest.fixture
def world(installation: Installation) -> LeadWorld:
    return LeadWorld(installation)


def key(days: int = -1) -> str:
    return f"{MIDNIGHT + days * DAY:%Y-%m-%d}"


def score(world: LeadWorld, first: int = -1, last: int | None = None, **options: Any) -> None:
    options = {"at": TICK} | options
    world.installation.run(JOB, key(first), key(first if last is None else last), **options)


def days(world: LeadWorld) -> list[tuple[Any, ...]]:
    return world.rows(
        "select date::text, external_id, score, band from leads.intent_days as day"
        " join crm.contacts as contact on contact.id = day.contact_id"
        " where day.organization_id = :own order by 1, 2"
    )


def crossings(world: LeadWorld) -> list[Any]:
    return [
        payload
        for (payload,) in world.rows(
            "select payload - 'tick' from ops.bus_events where type = 'intent.band_changed'"
            " and organization_id = :own order by id"
        )
    ]


def versions(world: LeadWorld) -> list[tuple[Any, ...]]:
    """The rows with the transactions that wrote them."""
    return [
        *world.rows("select *, xmin::text from leads.intent_days order by contact_id, date"),
        *world.rows("select *, xmin::text from crm.contacts order by id"),
        *world.rows("select * from ops.bus_events order by id"),
    ]


def marked(world: LeadWorld) -> set[str]:
    found = world.rows(
        "select partition from analytics.stale_partitions where asset = :job", job=JOB
    )
    return {partition for (partition,) in found}


def test_a_day_holds_the_scores_at_its_end_and_the_contact_that_of_the_tick(
    world: LeadWorld,
) -> None:
    ann, bob, cleo = (world.contact(name) for name in ("ann", "bob", "cleo"))
    world.event(ann, "demo_request", MIDNIGHT - 2 * DAY)
    world.event(ann, "page_view", MIDNIGHT - DAY + dt.timedelta(hours=1))
    world.event(bob, "clicked", MIDNIGHT - INSTANT)
    world.event(cleo, "delivered", MIDNIGHT - INSTANT)
    score(world)
    assert days(world) == [(key(), "ann", 51, "high"), (key(), "bob", 10, "low")]
    # The page view is older than a day by then.
    assert world.contacts("intent_score, intent_band") == {
        "ann": (46, "medium"),
        "bob": (10, "low"),
        "cleo": (None, None),
    }
    assert crossings(world) == [{"from": "low", "to": "medium", "score": 46}]


@pytest.mark.fault(33)
def test_a_second_run_writes_nothing(world: LeadWorld) -> None:
    world.event(world.contact(), "demo_request", MIDNIGHT - INSTANT)
    score(world)
    before = versions(world)
    score(world)
    assert versions(world) == before


@pytest.mark.fault(33)
def test_skipped_days_are_those_that_each_night_would_have_written(
    installation: Installation, world: LeadWorld
) -> None:
    other = LeadWorld(installation)
    for one in (world, other):
        ann = one.contact()
        one.event(ann, "demo_request", MIDNIGHT - 4 * DAY)
        one.event(ann, "form_submission", MIDNIGHT - 2 * DAY - INSTANT)
    for day in (-3, -2, -1):
        score(world, day, at=TICK + (day + 1) * DAY)
    nightly = days(world), world.contacts("intent_score, intent_band"), days(other)
    world.execute("delete from leads.intent_days")
    score(world, -3, -1)
    assert (days(world), world.contacts("intent_score, intent_band"), days(other)) == nightly
    assert [row[2] for row in nightly[0]] == [66, 62, 58]


def test_a_backfill_changes_no_contact_and_tells_nobody(world: LeadWorld) -> None:
    world.event(world.contact(), "demo_request", MIDNIGHT - 3 * DAY - INSTANT)
    score(world, -3)
    assert days(world) == [(key(-3), "ann", 48, "medium")]
    assert world.contacts("intent_score, intent_band") == {"ann": (None, None)}
    assert crossings(world) == []


def test_a_score_that_decays_to_nothing_is_zero_and_crosses_once(world: LeadWorld) -> None:
    world.event(world.contact(), "demo_request", MIDNIGHT - 19 * DAY)
    world.execute("update crm.contacts set intent_score = 60, intent_band = 'high'")
    score(world)
    assert world.contacts("intent_score, intent_band") == {"ann": (12, "low")}
    score(world, 3, at=TICK + 4 * DAY)
    assert world.contacts("intent_score, intent_band") == {"ann": (0, "low")}
    assert crossings(world) == [{"from": "high", "to": "low", "score": 12}]
    assert days(world) == [(key(), "ann", 12, "low")]


def test_a_loaded_score_of_a_contact_without_signals_stays(world: LeadWorld) -> None:
    world.contact(intent_score=33)
    score(world)
    assert world.contacts("intent_score, intent_band") == {"ann": (33, None)}


def test_broken_settings_fail_one_organization_whose_days_are_done_later(
    installation: Installation, world: LeadWorld
) -> None:
    broken = LeadWorld(installation)
    broken.set(intent={"decay_rate": "fast"})
    for one in (world, broken):
        one.event(one.contact(), "demo_request", MIDNIGHT - INSTANT)
    score(world)
    assert (len(days(world)), days(broken)) == (1, [])
    failures = dict(installation.rows("select item, error from ops.item_failures"))
    own = f"organization {broken.name}"
    assert set(failures) == {own, f"contacts of {own}"}
    assert all("intent.decay_rate: takes a number of at least 0" in e for e in failures.values())
    assert installation.rows(
        "select items_ok, items_failed from ops.job_sessions where job = :job", job=JOB
    ) == [(2, 2)]
    broken.set()
    score(world, 0, at=TICK + DAY)
    assert days(broken) == [(key(0), "ann", 48, "medium")]
    assert marked(world) == {key()}


def test_a_score_that_cannot_be_stored_fails_one_organization(
    installation: Installation, world: LeadWorld
) -> None:
    huge = LeadWorld(installation)
    huge.set(intent={"points": {"clicked": 1_000_000}})
    ann = huge.contact()
    huge.execute(
        "insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,"
        " occurred_at, received_at)"
        " select :own, 'h' || n, :ann, 'clicked', :at, :at from generate_series(1, 2148) as n",
        ann=ann,
        at=MIDNIGHT - INSTANT,
    )
    world.event(world.contact(), "clicked", MIDNIGHT - INSTANT)
    score(world)
    assert world.contacts("intent_score") == {"ann": 10}
    assert (len(days(world)), days(huge)) == (1, [])
    failures = dict(installation.rows("select item, error from ops.item_failures"))
    own = f"organization {huge.name}"
    assert set(failures) == {own, f"contacts of {own}"}
    assert all("integer out of range" in error for error in failures.values())


def test_new_signals_are_scored_and_taken_once(world: LeadWorld) -> None:
    ann = world.contact()
    world.event(ann, "demo_request", TICK - DAY)
    world.event(ann, "clicked", TICK - INSTANT)
    world.event(ann, "delivered", TICK - INSTANT)
    later = world.event(ann, "clicked", TICK + INSTANT)
    assert later
    world.installation.run("leads/new_signals", at=TICK)
    assert world.contacts("intent_score, intent_band") == {"ann": (58, "high")}
    assert crossings(world) == [{"from": "low", "to": "high", "score": 58}]
    assert world.rows("select first_at from leads.signal_arrivals") == [(TICK + INSTANT,)]
    world.installation.run("leads/new_signals", at=TICK + 2 * INSTANT)
    assert world.contacts("intent_score") == {"ann": 68}
    assert len(crossings(world)) == 1


def test_a_run_is_due_while_signals_wait_and_after_a_failure_an_hour_later(
    world: LeadWorld,
) -> None:
    def is_due(at: dt.datetime) -> bool:
        with world.installation.engine.connect() as connection:
            return new_signals.is_due(connection, at)

    assert not is_due(TICK)
    world.event(world.contact(), "clicked", TICK - INSTANT)
    assert not is_due(TICK - INSTANT)
    assert is_due(TICK)
    world.execute(
        "insert into ops.item_failures (job, item, consecutive, first_failed_at, last_failed_at,"
        " error) values ('leads/new_signals', :item, 1, :at, :at, 'Broken.')",
        item=f"organization {world.name}",
        at=TICK,
    )
    assert not is_due(TICK + dt.timedelta(minutes=59))
    assert is_due(TICK + dt.timedelta(hours=1))


def test_signals_of_one_statement_are_one_arrival(world: LeadWorld) -> None:
    ann = world.contact()
    world.execute(
        "insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,"
        " occurred_at, received_at)"
        " select :own, 'e' || n, :ann, 'page_view', :at + n * interval '1 hour', :at"
        " from generate_series(1, 3) as n",
        ann=ann,
        at=TICK,
    )
    hour = dt.timedelta(hours=1)
    assert world.rows("select contact_id, first_at, last_at from leads.signal_arrivals") == [
        (ann, TICK + hour, TICK + 3 * hour)
    ]
    world.installation.run("leads/new_signals", at=TICK + 2 * hour)
    assert world.contacts("intent_score") == {"ann": 5}
    # The next of them does not wait for the last.
    assert world.rows("select first_at, last_at from leads.signal_arrivals") == [
        (TICK + 2 * hour, TICK + 3 * hour)
    ]
    world.installation.run("leads/new_signals", at=TICK + 2 * hour + INSTANT)
    assert world.contacts("intent_score") == {"ann": 10}
    assert world.rows("select first_at, last_at from leads.signal_arrivals") == [
        (TICK + 3 * hour, TICK + 3 * hour)
    ]


def test_a_late_signal_makes_the_days_stale_on_which_it_counts(world: LeadWorld) -> None:
    world.contact()
    world.set(intent={"points": {"demo_request": 0}})
    score(world, -12, -1)
    ann = world.contact("bob")
    world.event(ann, "form_submission", MIDNIGHT - 10 * DAY - INSTANT)
    world.installation.run("leads/new_signals", at=TICK)
    counting = {key(-11 + n) for n in range(6)}
    stale = marked(world)
    assert counting <= stale <= {key(-11 + n) for n in range(9)}
    before = crossings(world)
    world.installation.run(JOB, min(stale), max(stale), at=TICK)
    assert [row[0] for row in days(world)] == sorted(counting)
    assert crossings(world) == before == []


def test_the_nightly_run_leaves_newer_signals_to_their_own_run(world: LeadWorld) -> None:
    ann = world.contact()
    world.event(ann, "clicked", TICK - INSTANT)
    world.event(ann, "demo_request", TICK + INSTANT)
    world.installation.run("leads/new_signals", at=TICK + 2 * INSTANT)
    assert world.contacts("intent_score, intent_band") == {"ann": (60, "high")}
    score(world)
    assert world.contacts("intent_score, intent_band") == {"ann": (60, "high")}
    assert len(crossings(world)) == 1


def test_an_older_run_leaves_late_signals_of_scored_contacts_to_a_later_one(
    world: LeadWorld,
) -> None:
    ann, bob = world.contact("ann"), world.contact("bob")
    world.event(ann, "demo_request", TICK + INSTANT)
    world.installation.run("leads/new_signals", at=TICK + 2 * INSTANT)
    for contact in (ann, bob):
        world.event(contact, "clicked", TICK - INSTANT)
    world.installation.run("leads/new_signals", at=TICK)
    assert world.contacts("intent_score") == {"ann": 50, "bob": 10}
    assert world.rows("select contact_id from leads.signal_arrivals") == [(ann,)]
    world.installation.run("leads/new_signals", at=TICK + 3 * INSTANT)
    assert world.contacts("intent_score") == {"ann": 60, "bob": 10}
    assert world.rows("select contact_id from leads.signal_arrivals") == []
