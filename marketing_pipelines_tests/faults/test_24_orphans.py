"""Fault 24: events of messages of which nobody said that they were sent or delivered."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only

pytestmark = pytest.mark.fault

DAY = "2026-03-02"
CHECK = dg.AssetCheckKey(dg.AssetKey(["analytics", "campaign_daily_stats"]), "funnel_is_plausible")


def events(campaign: str, **numbers: int) -> list[dict[str, Any]]:
    """So many events of each type, of one contact each."""
    return [
        {
            "event_id": f"{campaign} {event_type} {number}",
            "event_type": event_type,
            "contact_id": f"c{number}",
            "event_source": campaign,
            "occurred_at": f"{DAY}T10:{number:02}:00Z",
        }
        for event_type, count in numbers.items()
        for number in range(count)
    ]


@pytest.mark.fault(24)
def test_fault_24_orphans_are_kept_and_counted_raw_and_a_warning_names_their_campaigns(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [
        *events("sound", sent=3, delivered=2, opened=2),
        *events("unsent", opened=2, clicked=1),
        *events("undelivered", sent=2, opened=1),
        *events("unsent but delivered", delivered=1),
        *events("more delivered", sent=1, delivered=2),
    ]
    assert installation.load_events(tmp_path, rows).loaded == len(rows)
    installation.run("analytics/campaign_daily_stats", DAY)
    assert installation.rows("select count(*) from analytics.contact_activity") == [(len(rows),)]
    assert installation.rows(
        "select external_id, sent, delivered, opened, clicked"
        " from analytics.campaign_daily_stats as stats"
        " join campaigns.campaigns as campaign on campaign.id = campaign_id order by 1"
    ) == [
        ("more delivered", 1, 2, 0, 0),
        ("sound", 3, 2, 2, 0),
        ("undelivered", 2, 0, 1, 0),
        ("unsent", 0, 0, 2, 1),
        ("unsent but delivered", 0, 1, 0, 0),
    ]
    nothing = "opens or clicks or deliveries, but nothing was sent"
    assert warning(installation) == (
        False,
        "WARN",
        [
            f"campaign more delivered on {DAY}: more delivered than sent",
            f"campaign undelivered on {DAY}: opens or clicks, but nothing was delivered",
            f"campaign unsent but delivered on {DAY}: {nothing}",
            f"campaign unsent on {DAY}: {nothing}",
        ],
    )


@pytest.mark.soak
@soak_only
def test_fault_24_what_came_late_ends_the_warning(
    installation: Installation, tmp_path: Path
) -> None:
    installation.load_events(tmp_path, events("spring", opened=1))
    installation.run_marked()
    assert warning(installation)[0] is False
    installation.load_events(tmp_path, events("spring", sent=1, delivered=1))
    installation.run_marked()
    assert warning(installation)[0] is True


def warning(installation: Installation) -> tuple[bool, str, list[str]]:
    """The latest check: passed or not, its severity, and the rows that it names."""
    storage = installation.instance.event_log_storage
    [latest] = storage.get_asset_check_execution_history(CHECK, limit=1)
    assert latest.event is not None
    assert latest.event.dagster_event is not None
    data = latest.event.dagster_event.asset_check_evaluation_data
    return data.passed, data.severity.value, sorted(data.metadata["first"].value)
