"""Numbers of partitions that were over leave restatements when they change, with the cause."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines.domains.analytics import restatements
from marketing_pipelines_tests.cli.console import call_here, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event
from marketing_pipelines_tests.scale import soak_only

DAY = "2026-03-01"
HOUR = "2026-03-01-08:00"
CAMPAIGN_DAYS = "analytics/campaign_daily_stats"
EVENTS = [event(n, f"{DAY}T{n:02}:00:00Z", contact_id=f"c{n}") for n in (8, 9)]
LATE = event(20, f"{DAY}T08:30:00Z", contact_id="c20")


def restated(site: Installation, asset: str = CAMPAIGN_DAYS) -> list[tuple[Any, ...]]:
    return site.rows(
        "select partition, column_name, before, after, cause from analytics.restatements"
        " where asset = :asset order by id",
        asset=asset,
    )


@pytest.fixture
def site(installation: Installation, tmp_path: Path) -> Installation:
    campaign = {"campaign_id": "k1", "organization_id": "acme", "status": "active"}
    path = tmp_path / "campaigns.jsonl"
    path.write_text(json.dumps(campaign | {"started_at": f"{DAY}T00:00:00Z"}))
    installation.load("campaigns", path)
    installation.load_events(tmp_path, EVENTS)
    installation.run_marked()
    installation.run(CAMPAIGN_DAYS, DAY)
    assert installation.rows("select * from analytics.restatements") == []
    return installation


@pytest.mark.soak
@soak_only
def test_a_late_event_restates_its_hour_day_month_and_campaign_day(
    site: Installation, tmp_path: Path
) -> None:
    site.load_events(tmp_path, [LATE])
    site.run_marked()
    assert restated(site) == [
        (DAY, "opened", 2, 3, "late"),
        (DAY, "unique_opened", 2, 3, "late"),
    ]
    assert site.rows(
        "select asset, partition, key, column_name, before, after, cause"
        " from analytics.restatements where asset <> :asset and column_name = 'event_count'"
        " order by asset",
        asset=CAMPAIGN_DAYS,
    ) == [
        ("analytics/event_aggregates", DAY, {"event_type": "opened"}, "event_count", 2, 3, "late"),
        ("analytics/hourly_events", HOUR, {"event_type": "opened"}, "event_count", 1, 2, "late"),
        (
            "analytics/monthly_usage",
            DAY,
            {"event_type": "monthly:opened"},
            "event_count",
            2,
            3,
            "late",
        ),
    ]
    runs = site.rows(
        "select count(*) from analytics.restatements where run_id !~ '^[0-9a-f-]{36}$'"
    )
    assert runs == [(0,)]


def test_why_prints_the_changed_numbers_of_a_campaign_s_day(site: Installation) -> None:
    asked = ("why", "--campaign", "k1", "--organization", "acme", "--date", DAY)
    assert call_here(*asked).stdout == (
        f"No number of campaign k1 on {DAY} was replaced after the day was over.\n"
    )
    site.execute("update analytics.campaign_daily_stats set opened = 7")
    site.run(CAMPAIGN_DAYS, DAY)
    header, line = call_here(*asked).stdout.splitlines()
    assert header.split() == ["restated_at", "column", "before", "after", "cause", "run_id"]
    assert "opened" in line
    assert "the day was asked for again" in line


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--date", DAY), "Give --contact, or --campaign with --date."),
        (("--campaign", "k1"), "Give --contact, or --campaign with --date."),
        (
            ("--campaign", "k1", "--date", "yesterday"),
            "--date 'yesterday' is no day such as 2026-03-01.",
        ),
    ],
)
def test_why_needs_a_contact_or_a_day(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], sentence: str
) -> None:
    assert refusal_here(capsys, "why", *options, code=2) == sentence


@pytest.mark.soak
@soak_only
def test_an_enrolment_restates_the_numbers_of_enrolments_alone(
    site: Installation, tmp_path: Path
) -> None:
    enrol(site, "c8")
    site.load_events(tmp_path, [LATE])
    site.run_marked()
    assert restated(site) == [
        (DAY, "entered", 0, 1, "enrolment"),
        (DAY, "opened", 2, 3, "late"),
        (DAY, "unique_opened", 2, 3, "late"),
    ]


def enrol(site: Installation, contact: str) -> None:
    site.execute(
        "insert into campaigns.campaign_contacts (organization_id, campaign_id, contact_id,"
        " entered_at) select contacts.organization_id, campaigns.id, contacts.id,"
        " timestamptz '2026-03-01 10:00:00Z' from crm.contacts join campaigns.campaigns"
        " using (organization_id) where contacts.external_id = :contact",
        contact=contact,
    )


@pytest.mark.parametrize(
    "cause", [pytest.param("rebuild", marks=[pytest.mark.soak, soak_only]), "code"]
)
def test_a_run_by_hand_is_a_rebuild_unless_other_code_counted_before(
    site: Installation, cause: str
) -> None:
    # As an older release counted it.
    site.execute("update analytics.campaign_daily_stats set opened = 7, unique_opened = 1")
    if cause == "code":
        site.execute("update analytics.finished_partitions set code_version = 'older'")
    site.run(CAMPAIGN_DAYS, DAY)
    expected = [(DAY, "opened", 7, 2, cause), (DAY, "unique_opened", 1, 2, cause)]
    assert restated(site) == expected
    site.run(CAMPAIGN_DAYS, DAY)
    assert restated(site) == expected, "the second run changes nothing"


@pytest.mark.soak
@soak_only
def test_rows_that_come_and_go_count_0_before_and_after(site: Installation) -> None:
    site.execute(
        "update analytics.event_aggregates set event_type = 'clicked' where event_type = 'opened'"
    )
    site.run("analytics/event_aggregates", DAY)
    found = site.rows(
        "select key ->> 'event_type', column_name, before, after from analytics.restatements"
        " order by id"
    )
    assert found == [
        ("clicked", "event_count", 2, 0),
        ("clicked", "unique_contacts", 2, 0),
        ("opened", "event_count", 0, 2),
        ("opened", "unique_contacts", 0, 2),
    ]


@pytest.mark.soak
@soak_only
def test_a_day_that_had_not_ended_when_it_was_written_is_not_restated(site: Installation) -> None:
    site.execute("update analytics.campaign_daily_stats set opened = 7")
    site.execute(
        "update analytics.finished_partitions set finished_at = '2026-03-01 23:59:59Z'"
        " where asset = :asset",
        asset=CAMPAIGN_DAYS,
    )
    site.run(CAMPAIGN_DAYS, DAY)
    assert restated(site) == []


@pytest.mark.soak
@soak_only
def test_the_sums_of_restatements_are_the_differences_of_the_table(
    site: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where most of them are summed up: one row per organization and column."""
    monkeypatch.setattr(restatements, "MAX_ROWS", 5)
    before = sums(site)
    more = [
        event(
            f"{organization}-{hour}-{kind}",
            f"{DAY}T{hour:02}:15:00Z",
            organization_id=organization,
            event_type=kind,
        )
        for organization in ("acme", "zeta")
        for hour in range(6, 12)
        for kind in ("opened", "clicked")
    ]
    site.load_events(tmp_path, more)
    site.run_marked()
    expected = sums(site)
    expected.subtract(before)
    rows = site.rows(
        "select asset, organization_id, column_name, sum(after - before)::int"
        " from analytics.restatements group by 1, 2, 3"
    )
    found = Counter({(asset, organization, name): n for asset, organization, name, n in rows})
    # Only the hours of the first events were over and written before.
    assert found.total() > 0
    for asset in ("analytics/event_aggregates", "analytics/monthly_usage", CAMPAIGN_DAYS):
        of_asset = {place: n for place, n in expected.items() if place[0] == asset and n}
        assert {place: n for place, n in found.items() if place[0] == asset} == of_asset
    for asset, each, summed in site.rows(
        "select asset, count(*) filter (where not key ? 'restatements')::int,"
        " count(*) filter (where key ? 'restatements')::int from analytics.restatements"
        " group by asset, run_id"
    ):
        assert each <= 5, asset
        assert summed <= 4 * 2, asset
    count = len(restated(site))
    site.run(CAMPAIGN_DAYS, DAY)
    assert len(restated(site)) == count


def sums(site: Installation) -> Counter[tuple[str, int, str]]:
    found: Counter[tuple[str, int, str]] = Counter()
    for name in ("opened", "clicked", "unique_opened", "unique_clicked"):
        for organization, number in site.rows(
            f"select organization_id, sum({name})::int from analytics.campaign_daily_stats"
            " group by organization_id"
        ):
            found[CAMPAIGN_DAYS, organization, name] = number
    for name in ("event_count", "unique_contacts"):
        for is_month, organization, number in site.rows(
            f"select event_type like 'monthly:%', organization_id, sum({name})::int"
            " from analytics.event_aggregates group by 1, 2"
        ):
            asset = "analytics/monthly_usage" if is_month else "analytics/event_aggregates"
            found[asset, organization, name] = number
    return found
