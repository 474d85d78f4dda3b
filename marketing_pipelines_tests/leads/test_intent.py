"""The rest of signals of interest at an instant, and the bands of their sum."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.crm.lead_settings import SIGNAL_POINTS, Intent
from marketing_pipelines.domains.leads import intent
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads.world import DAY, INSTANT, NOW, LeadWorld


@pytest.fixture
def world(shared_installation: Installation) -> LeadWorld:
    return LeadWorld(shared_installation)


def scores(world: LeadWorld, at: dt.datetime = NOW, contacts: Any = None) -> dict[int, Decimal]:
    with world.installation.engine.connect() as connection:
        query = intent.scores_at(connection, world.organization, at, contacts)
        return {row.contact_id: row.score for row in connection.execute(query)}


@pytest.mark.parametrize(
    ("event_type", "age", "rest"),
    [
        ("page_view", INSTANT, 5),
        ("page_view", DAY - INSTANT, 5),
        ("page_view", DAY, None),
        ("opened", DAY - INSTANT, 3),
        ("clicked", DAY - INSTANT, 10),
        ("clicked", DAY, None),
        ("form_submission", DAY, 18),
        ("form_submission", 2 * DAY - INSTANT, 18),
        ("form_submission", 5 * DAY, 10),
        ("form_submission", 6 * DAY - INSTANT, 10),
        ("form_submission", 6 * DAY, None),
        ("form_submission", 7 * DAY, None),
        ("demo_request", INSTANT, 50),
        ("demo_request", 7 * DAY, 36),
        ("demo_request", 14 * DAY, 22),
        ("demo_request", 21 * DAY - INSTANT, 10),
        ("demo_request", 21 * DAY, None),
        ("demo_request", 30 * DAY, None),
        ("demo_request", dt.timedelta(), None),
        ("demo_request", -INSTANT, None),
        ("delivered", INSTANT, None),
    ],
)
def test_a_signal_loses_two_points_a_day_and_is_gone_below_ten(
    world: LeadWorld, event_type: str, age: dt.timedelta, rest: int | None
) -> None:
    ann = world.contact()
    world.event(ann, event_type, NOW - age)
    assert scores(world) == ({} if rest is None else {ann: rest})


@pytest.mark.parametrize(
    ("settings", "age", "rest"),
    [
        ({"decay_rate": 0, "remove_below": 0}, 365 * DAY, 5),
        ({"decay_rate": 0, "remove_below": 0}, 365 * DAY + INSTANT, None),
        ({"decay_rate": 0, "remove_below": 0, "max_age_days": 90}, 90 * DAY, 5),
        ({"decay_rate": 0, "remove_below": 0, "max_age_days": 90}, 90 * DAY + INSTANT, None),
        ({"decay_rate": {"default": 9, "page_view": 0.1}, "remove_below": 0}, 30 * DAY, 2),
        ({"remove_below": {"page_view": 3}}, DAY, 3),
        ({"remove_below": {"page_view": 3}}, 2 * DAY, None),
        ({"decay_rate": 1, "remove_below": 0}, 4 * DAY, 1),
        ({"decay_rate": 1, "remove_below": 0}, 5 * DAY, None),
        ({"points": {"page_view": 0}}, INSTANT, None),
        ({"points": {"page_view": 7.5}}, INSTANT, Decimal("7.5")),
    ],
)
def test_points_and_their_decay_are_settings(
    world: LeadWorld, settings: dict[str, Any], age: dt.timedelta, rest: Any
) -> None:
    world.set(intent=settings)
    ann = world.contact()
    world.event(ann, "page_view", NOW - age)
    assert scores(world) == ({} if rest is None else {ann: rest})


def test_own_types_of_events_earn_points_beside_the_usual_ones(world: LeadWorld) -> None:
    world.set(intent={"points": {"webinar": 12}})
    ann = world.contact()
    world.event(ann, "webinar", NOW - INSTANT)
    world.event(ann, "clicked", NOW - INSTANT)
    assert scores(world) == {ann: 22}


def test_machines_earn_nothing(world: LeadWorld) -> None:
    ann = world.contact()
    world.event(ann, "opened", NOW - INSTANT, {"machine_open": True})
    world.event(ann, "clicked", NOW - INSTANT, {"machine_click": True})
    world.event(ann, "opened", NOW - INSTANT, {"machine_open": False})
    assert scores(world) == {ann: 3}


def test_a_day_is_24_hours_where_clocks_change(shared_installation: Installation) -> None:
    world = LeadWorld(shared_installation, "Europe/Berlin")
    ann = world.contact()
    world.event(ann, "form_submission", dt.datetime(2026, 3, 28, 11, tzinfo=dt.UTC))
    # Noon in Berlin to noon in Berlin are 23 hours on that day.
    assert scores(world, dt.datetime(2026, 3, 29, 10, tzinfo=dt.UTC)) == {ann: 20}
    assert scores(world, dt.datetime(2026, 3, 29, 11, tzinfo=dt.UTC)) == {ann: 18}


def test_chosen_contacts_have_the_scores_that_they_have_among_all(world: LeadWorld) -> None:
    ann, bob = world.contact("ann"), world.contact("bob")
    world.event(ann, "demo_request", NOW - DAY)
    world.event(bob, "clicked", NOW - INSTANT)
    world.event(bob, "clicked", NOW - INSTANT)
    assert scores(world) == {ann: 48, bob: 20}
    assert scores(world, contacts=[bob]) == {bob: 20}
    assert scores(world, contacts=sa.select(sa.literal(ann))) == {ann: 48}


@pytest.mark.parametrize(
    ("score", "stored", "band"),
    [
        ("0", 0, "low"),
        ("20", 20, "low"),
        ("20.01", 20, "medium"),
        ("20.5", 21, "medium"),
        ("50", 50, "medium"),
        ("50.4", 50, "high"),
        ("51", 51, "high"),
    ],
)
def test_bands_are_judged_before_rounding(
    shared_installation: Installation, score: str, stored: int, band: str
) -> None:
    given = sa.literal(Decimal(score), sa.Numeric)
    with shared_installation.engine.connect() as connection:
        found = connection.execute(
            sa.select(intent.rounded(given), intent.band(given, Intent()))
        ).one()
    assert tuple(found) == (stored, band)


def test_broken_settings_are_named(world: LeadWorld) -> None:
    world.set(intent={"decay_rate": {"opened": -1}})
    with pytest.raises(BadInputError, match=r"intent.decay_rate: takes a number of at least 0"):
        scores(world)


def test_the_database_knows_the_types_that_earn_points(shared_installation: Installation) -> None:
    [(types,)] = shared_installation.rows("select leads.signal_types('{}')")
    assert sorted(types) == sorted(SIGNAL_POINTS)
    [(types,)] = shared_installation.rows(
        """select leads.signal_types('{"intent": {"points": {"webinar": 5, "opened": 1}}}')"""
    )
    assert sorted(types) == sorted([*SIGNAL_POINTS, "webinar"])
