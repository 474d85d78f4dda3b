"""The expected aggregates, counted event by event in plain Python."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from marketing_pipelines_tests.installation import Installation

Counts = dict[tuple[str, str, str], tuple[int, int]]
FORMATS = {"hour": "%Y-%m-%d %H", "day": "%Y-%m-%d", "month": "%Y-%m"}


def event(number: int | str, occurred_at: str, **others: Any) -> dict[str, Any]:
    """One row of an events file, received when it happened unless told otherwise."""
    row = {
        "event_id": f"e{number}",
        "organization_id": "acme",
        "contact_id": "c1",
        "event_type": "opened",
        "event_source": "k1",
        "occurred_at": occurred_at,
        "received_at": occurred_at,
    }
    return row | others


def winners(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Each event id of an organization once: the row that was received first."""
    kept: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        key = row["organization_id"], row["event_id"]
        held = kept.get(key)
        if held is None or _precedence(row) < _precedence(held):
            kept[key] = row
    return list(kept.values())


def _precedence(row: Mapping[str, Any]) -> tuple[dt.datetime, dt.datetime]:
    return _instant(row["received_at"]), _instant(row["occurred_at"])


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def count(rows: Iterable[Mapping[str, Any]], grain: str, zone: str = "UTC") -> Counts:
    """(events, distinct contacts) per organization, type and bucket."""
    contacts: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in winners(rows):
        local = _instant(row["occurred_at"]).astimezone(ZoneInfo(zone))
        key = row["organization_id"], row["event_type"], local.strftime(FORMATS[grain])
        contacts[key].append(row["contact_id"])
    return {key: (len(found), len(set(found))) for key, found in contacts.items()}


def stored(installation: Installation, grain: str) -> Counts:
    """The same from the tables."""
    relation, bucket = {
        "hour": ("hourly_events", "to_char(hour at time zone 'UTC', 'YYYY-MM-DD HH24')"),
        "day": ("daily_events", "date::text"),
        "month": ("monthly_usage", "to_char(month, 'YYYY-MM')"),
    }[grain]
    rows = installation.rows(
        f"select o.external_id, event_type, {bucket}, event_count, unique_contacts"
        f" from analytics.{relation} join analytics.organizations o on o.id = organization_id"
    )
    return {row[:3]: row[3:] for row in rows}


def assert_counted(
    installation: Installation, rows: Iterable[Mapping[str, Any]], zone: str = "UTC"
) -> None:
    """All three grains hold exactly what plain counting gives."""
    rows = list(rows)
    assert stored(installation, "hour") == count(rows, "hour")
    assert stored(installation, "day") == count(rows, "day", zone)
    assert stored(installation, "month") == count(rows, "month", zone)
