"""Partitions that are done again and hold what they held make nothing stale."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event
from marketing_pipelines_tests.scale import soak_only

HOURS = ("2026-03-01-08:00", "2026-03-01-11:00")
EVENTS = [event(number, f"2026-03-01T{number:02}:00:00Z") for number in (8, 9, 11)]


def marked(installation: Installation) -> list[tuple[str, str]]:
    return [
        tuple(row)
        for row in installation.rows(
            "select distinct asset, partition from analytics.stale_partitions order by 1, 2"
        )
    ]


@pytest.mark.soak
@soak_only
def test_hours_without_a_change_mark_no_day_and_days_without_one_no_month(
    installation: Installation, tmp_path: Path
) -> None:
    installation.load_events(tmp_path, EVENTS)
    installation.run_marked()
    assert marked(installation) == []
    installation.run("analytics/contact_activity", *HOURS)
    assert marked(installation) == []
    installation.run("analytics/event_aggregates", "2026-03-01")
    assert marked(installation) == []
    more = [event(20, "2026-03-01T09:30:00Z")]
    installation.load_events(tmp_path, more)
    installation.run("analytics/contact_activity", *HOURS)
    assert ("analytics/event_aggregates", "2026-03-01") in marked(installation)
    installation.run("analytics/event_aggregates", "2026-03-01")
    assert ("analytics/monthly_usage", "2026-03-01") in marked(installation)


def test_the_row_count_of_a_run_is_its_table_s(installation: Installation, tmp_path: Path) -> None:
    installation.load_events(tmp_path, EVENTS)
    installation.run("analytics/contact_activity", *HOURS)
    installation.run("analytics/hourly_events", HOURS[0])
    installation.run("segments/memberships")
    found = latest_metadata(installation, "analytics/hourly_events")
    assert (found["rows"], found["partitions"], found["dagster/row_count"]) == (1, 1, 3)
    found = latest_metadata(installation, "segments/memberships")
    assert (found["rows"], found["dagster/row_count"]) == (0, 0)
    assert "partitions" not in found


def latest_metadata(installation: Installation, key: str) -> dict[str, Any]:
    event = installation.instance.get_latest_materialization_event(dg.AssetKey(key.split("/")))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}
