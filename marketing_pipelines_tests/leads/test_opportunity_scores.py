"""`leads/opportunity_scores`: the ledger by calendar days until the travel."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.domains.leads.opportunities import write_day
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.leads.world import LeadWorld

JOB = "leads/opportunity_scores"
DATE = dt.date(2026, 3, 29)
UTC = ZoneInfo("UTC")


@pytest.fixture
def world(shared_installation: Installation) -> LeadWorld:
    return LeadWorld(shared_installation)


def travels(world: LeadWorld, days: int, name: str = "trip", **columns: Any) -> None:
    given = {
        "travel_date": DATE + dt.timedelta(days=days),
        "created_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        **columns,
    }
    world.execute(
        f"insert into crm.opportunities (organization_id, external_id, {', '.join(given)})"
        f" values (:own, :name, {', '.join(f':{one}' for one in given)})",
        name=name,
        **given,
    )


def score(world: LeadWorld, date: dt.date = DATE) -> int:
    with world.installation.engine.begin() as connection:
        return write_day(connection, world.organization, date, UTC)


def ledger(world: LeadWorld) -> list[tuple[Any, ...]]:
    return world.rows(
        "select external_id, date, points from leads.opportunity_points as ledger"
        " join crm.opportunities as opportunity on opportunity.id = ledger.opportunity_id"
        " where ledger.organization_id = :own order by 1, 2"
    )


def points(world: LeadWorld) -> list[int]:
    return [row[2] for row in ledger(world)]


@pytest.mark.parametrize(
    ("days", "earned"),
    [
        *[(-1, []), (0, [20]), (1, [20]), (7, [20]), (8, [15])],
        *[(14, [15]), (15, [10]), (30, [10]), (31, []), (90, [])],
    ],
)
def test_the_calendar_days_until_the_travel_give_the_points(
    world: LeadWorld, days: int, earned: list[int]
) -> None:
    travels(world, days)
    assert score(world) == len(earned)
    assert points(world) == earned


@pytest.mark.parametrize("stage", ["CONVERTED", "junk", "Not_Interested"])
def test_excluded_stages_and_deleted_opportunities_earn_nothing(
    world: LeadWorld, stage: str
) -> None:
    travels(world, 3, "excluded", stage=stage)
    travels(world, 3, "deleted", deleted=True)
    travels(world, 3, "open", stage="QUOTED")
    score(world)
    assert ledger(world) == [("open", DATE, 20)]


def test_a_day_done_again_adds_nothing_and_a_moved_travel_restates_it(world: LeadWorld) -> None:
    travels(world, 7, score=5)
    rows = "select *, xmin::text from leads.opportunity_points where organization_id = :own"
    score(world)
    before = world.rows(rows)
    score(world)
    assert world.rows(rows) == before
    world.execute("update crm.opportunities set travel_date = travel_date + 1")
    score(world)
    assert points(world) == [15]
    world.execute("update crm.opportunities set travel_date = travel_date + 40")
    score(world)
    assert points(world) == []


def test_every_day_adds_and_the_score_is_base_and_ledger(world: LeadWorld) -> None:
    travels(world, 8, score=5)
    for day in range(10):
        score(world, DATE + dt.timedelta(days=day))
    assert points(world) == [15, *[20] * 8]
    assert world.rows(
        "select base_score, points, score from leads.opportunity_scores"
        " where organization_id = :own"
    ) == [(5, 175, 180)]


@pytest.mark.parametrize(
    ("created", "days"),
    [(-60, {1: 10, 17: 15, 24: 20}), (5, {5: 10, 17: 15, 24: 20}), (19, {19: 15, 24: 20})],
)
def test_a_band_may_count_once_on_its_first_day_since_the_creation(
    world: LeadWorld, created: int, days: dict[int, int]
) -> None:
    world.set(opportunities={"repeat": "once_per_band"})
    instant = dt.datetime.combine(DATE, dt.time(9), dt.UTC) + dt.timedelta(days=created)
    travels(world, 31, created_at=instant)
    for day in range(33):
        score(world, DATE + dt.timedelta(days=day))
    assert {(row[1] - DATE).days: row[2] for row in ledger(world)} == days


def test_creation_is_a_calendar_day_of_the_organization(
    shared_installation: Installation,
) -> None:
    tokyo = LeadWorld(shared_installation, "Asia/Tokyo")
    travels(tokyo, 3, created_at=dt.datetime(2026, 3, 29, 16, tzinfo=dt.UTC))
    score(tokyo)
    assert points(tokyo) == []
    score(tokyo, DATE + dt.timedelta(days=1))
    assert points(tokyo) == [20]


def test_bands_and_stages_are_settings(world: LeadWorld) -> None:
    world.set(
        opportunities={
            "bands": [{"up_to_days": 1, "points": 7}, {"up_to_days": 60, "points": 2}],
            "excluded_stages": ["gone"],
        }
    )
    travels(world, 1, "soon", stage="JUNK")
    travels(world, 60, "later")
    travels(world, 1, "gone", stage="Gone")
    score(world)
    assert ledger(world) == [("later", DATE, 2), ("soon", DATE, 7)]


def test_the_job_does_skipped_days_and_a_broken_organization_stops_no_other(
    installation: Installation,
) -> None:
    world, broken = LeadWorld(installation), LeadWorld(installation)
    broken.set(opportunities={"repeat": "weekly"})
    for one in (world, broken):
        travels(one, 2)
    at = dt.datetime(2026, 4, 2, 2, tzinfo=dt.UTC)
    installation.run(JOB, "2026-03-29", "2026-04-01", at=at)
    once = ledger(world)
    assert [(row[1].day, row[2]) for row in once] == [(29, 20), (30, 20), (31, 20)]
    assert ledger(broken) == []
    [(item, error)] = installation.rows("select item, error from ops.item_failures")
    assert item == f"organization {broken.name}"
    assert "opportunities.repeat: Input should be 'daily' or 'once_per_band'" in error
    for day in ("2026-03-30", "2026-03-29", "2026-03-31"):
        installation.run(JOB, day, at=at)
    assert ledger(world) == once
