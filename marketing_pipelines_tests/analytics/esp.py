"""The ESP events of the sample data and the answers that plain pandas gives for them."""

import csv
import gzip
from pathlib import Path
from typing import Any

from marketing_pipelines.domains.analytics.tables import STAT_TYPES
from marketing_pipelines_tests.installation import Installation

FIRST_DAY, LAST_DAY = "2019-11-27", "2023-12-05"
FIRST_MONTH, LAST_MONTH = "2019-11-01", "2023-12-01"
FILE = "events/esp_events.csv.gz"


def run_everything(installation: Installation) -> None:
    """All days, campaign days and months of the file's span, with the hours they read."""
    installation.run("analytics/event_aggregates", FIRST_DAY, LAST_DAY)
    installation.run("analytics/campaign_daily_stats", FIRST_DAY, LAST_DAY)
    installation.run("analytics/monthly_usage", FIRST_MONTH, LAST_MONTH)


def assert_equal_to_expected(installation: Installation, shared_data: Path) -> None:
    """Every cell of the four tables."""
    folder = shared_data / "events" / "esp_events_expected"
    assert hours(installation) == expected_hours(folder)
    assert days(installation) == expected_days(folder)
    assert campaign_days(installation) == expected_campaign_days(folder)
    assert months(installation) == expected_months(folder)


def hours(installation: Installation) -> dict[tuple[str, ...], int]:
    rows = installation.rows(
        "select o.external_id, to_char(hour at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI'),"
        " event_type, event_count from analytics.hourly_events"
        " join analytics.organizations o on o.id = organization_id"
    )
    return {row[:3]: row[3] for row in rows}


def expected_hours(folder: Path) -> dict[tuple[str, ...], int]:
    return {
        (row["organization_id"], row["hour"].removesuffix("+0000"), row["event_type"]): int(
            row["events"]
        )
        for row in _read(folder / "hourly_org_event_counts.csv.gz")
    }


def days(installation: Installation) -> dict[tuple[str, str], int]:
    rows = installation.rows(
        "select date::text, event_type, sum(event_count)::int from analytics.daily_events"
        " group by 1, 2"
    )
    return {(day, event_type): count for day, event_type, count in rows}


def expected_days(folder: Path) -> dict[tuple[str, str], int]:
    return {
        (row["day"], event_type): int(count)
        for row in _read(folder / "events_per_day.csv")
        for event_type, count in row.items()
        if event_type != "day" and int(count)
    }


def campaign_days(installation: Installation) -> dict[tuple[str, ...], tuple[int, ...]]:
    columns = ", ".join([*STAT_TYPES, *(f"unique_{name}" for name in STAT_TYPES)])
    rows = installation.rows(
        f"select o.external_id, c.external_id, date::text, {columns}"
        " from analytics.campaign_daily_stats s"
        " join analytics.campaigns c on c.id = s.campaign_id"
        " join analytics.organizations o on o.id = s.organization_id"
    )
    return {row[:3]: row[3:] for row in rows}


def expected_campaign_days(folder: Path) -> dict[tuple[str, ...], tuple[int, ...]]:
    columns = [*STAT_TYPES, *(f"unique_{name}" for name in STAT_TYPES)]
    return {
        (row["organization_id"], row["event_source"], row["day"]): tuple(
            int(row[column]) for column in columns
        )
        for row in _read(folder / "daily_campaign_stats.csv.gz")
    }


def months(installation: Installation) -> dict[tuple[str, ...], int]:
    rows = installation.rows(
        "select o.external_id, to_char(month, 'YYYY-MM'), event_type, event_count"
        " from analytics.monthly_usage join analytics.organizations o on o.id = organization_id"
    )
    return {row[:3]: row[3] for row in rows}


def expected_months(folder: Path) -> dict[tuple[str, ...], int]:
    ignored = {"organization_id", "month", "events", "active_contacts"}
    return {
        (row["organization_id"], row["month"], event_type): int(count)
        for row in _read(folder / "monthly_org_usage.csv.gz")
        for event_type, count in row.items()
        if event_type not in ignored and int(count)
    }


def _read(path: Path) -> list[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        return list(csv.DictReader(file))
