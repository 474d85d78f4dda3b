"""Ways of splits in reports: their numbers, their intervals, and the best of them."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.domains.campaigns.reports import read
from marketing_pipelines.domains.campaigns.split_results import (
    SplitResults,
    WayResults,
    of_step,
    share,
    wilson,
)
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

MAIL = {"subject": "Hello", "text": "Hello"}


# By hand from the formula of Wilson, E. B. (1927), with z = 1.96.
@pytest.mark.parametrize(
    ("number", "contacts", "bounds"),
    [
        (0, 0, (0.0, 1.0)),
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (1, 10, (0.0179, 0.4042)),
        (50, 100, (0.4038, 0.5962)),
        (60, 500, (0.0944, 0.1514)),
    ],
)
def test_the_interval_is_that_of_wilson(
    number: int, contacts: int, bounds: tuple[float, float]
) -> None:
    assert wilson(number, contacts) == pytest.approx(bounds, abs=5e-5)


def test_a_share_is_written_with_its_interval() -> None:
    assert share(60, 500) == "12.0% (9.4–15.1%)"
    assert share(0, 0) == "–"


def split(*numbers: tuple[int, int], decide_after: int = 500) -> SplitResults:
    ways = [
        WayResults(name, contacts, clicked=clicked)
        for name, (contacts, clicked) in zip("ABC", numbers, strict=False)
    ]
    return SplitResults("chance", "clicked", ways, decide_after)


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ([(499, 400), (10_000, 0)], "No way is named the best before each has 500 contacts."),
        ([(500, 60), (500, 20)], "Way A is the best by clicked."),
        ([(500, 20), (500, 25), (500, 100)], "Way C is the best by clicked."),
        ([(500, 60), (500, 50)], "The intervals of clicked overlap: no way is clearly the best."),
        ([(500, 0), (500, 0)], "The intervals of clicked overlap: no way is clearly the best."),
    ],
)
def test_a_way_is_the_best_where_its_interval_lies_above_the_others(
    numbers: list[tuple[int, int]], verdict: str
) -> None:
    assert split(*numbers).verdict == verdict


def test_ways_come_in_the_order_of_the_step_and_former_ones_last() -> None:
    config = '{"ways": [{"name": "new", "percent": 50}, {"percent": 50}], "decide_after": 7}'
    found = [WayResults("B", 3), WayResults("old", 2)]
    result = of_step("chance", config, found, has_goal=True)
    assert result.ways == [WayResults("new"), WayResults("B", 3), WayResults("old", 2)]
    assert (result.decide_after, result.measure) == (7, "goals")
    broken = of_step("chance", "{}", found, has_goal=False)
    assert (broken.ways, broken.decide_after, broken.measure) == (found, 500, "opened")


def test_a_report_counts_contacts_of_each_way_once_and_its_goals(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    ways = [{"percent": 0}, {"percent": 100}]
    program = world.program(
        [("chance", "split", {"ways": ways}), ("hello", "send_email", MAIL)],
        started_at=at("03-02 09:00"),
    )
    other = world.program([], name="other", status="imported")
    world.set_endings(program, goal={"event": "purchase"})
    contacts = world.contacts(4)
    world.event(contacts, "sent", at("03-02 10:00"), campaign=program)
    world.enrol(program, contacts, at("03-02 10:00"))
    world.move(at("03-02 10:05"))
    world.event(contacts[:3], "sent", at("03-02 10:06"), campaign=program)
    for _ in range(2):
        world.event(contacts[:2], "opened", at("03-02 11:00"), campaign=program)
    world.event(contacts, "opened", at("03-02 11:00"), campaign=other)
    world.event(contacts[:1], "clicked", at("03-02 11:05"), campaign=program)
    world.event(contacts[:1], "purchase", at("03-03 12:00"))
    world.event(contacts[1:2], "clicked", at("03-06 02:30"), campaign=program)
    world.move(at("03-03 12:05"))
    with world.engine.connect() as connection:
        [report] = read(connection, tick=at("03-06 02:30"), zone=ZoneInfo("UTC"))
    assert (report.row.has_goal, report.row.goals) == (True, 1)
    [result] = report.splits
    assert result.ways == [WayResults("A"), WayResults("B", 4, 3, 2, 1, 1)]
    tick = instant("2026-03-06T02:30:00+00:00")
    (outcome,) = installation.run("campaigns/reports", at=tick, only=True)
    assert (outcome.status, outcome.rows) == ("COMPLETED", 1)
    page = (Path(installation.settings.reports_url) / "campaigns/acme/welcome.html").read_text()
    assert "<h2>Ways of chance</h2>" in page
    assert "25.0% (4.6–69.9%)" in page
    assert "No way is named the best before each has 500 contacts." in page
    assert "<dt>Goals</dt>" in page
