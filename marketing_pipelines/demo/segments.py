"""Segments of the demo organizations, as a load file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HOUSEHOLDS: dict[str, tuple[str, Any]] = {
    "redeemers": ("Redeemed a coupon", {"event": "converted"}),
    "regulars": (
        "At least 500 purchases",
        {"event": "purchase", "times": 500},
    ),
    "mailed-in-vain": (
        "Mailed three times, never redeemed",
        {
            "all": [
                {"event": "sent", "times": 3},
                {"event": "converted", "op": "=", "times": 0},
            ]
        },
    ),
    "families": (
        "Households with children that redeem",
        {"all": [{"attribute": "kids_count", "op": "exists"}, {"segment": "redeemers"}]},
    ),
}
READERS: dict[str, tuple[str, Any]] = {
    "engaged": ("Opened twice in a week", {"event": "opened", "times": 2, "within": "7d"}),
    "asleep": (
        "Mailed, but nothing opened for two weeks",
        {
            "all": [
                {"event": "delivered", "within": "30d"},
                {"event": "opened", "op": "=", "times": 0, "within": "14d"},
            ]
        },
    ),
    "clicked-not-bought": (
        "Clicked this month without a purchase",
        {
            "all": [
                {"event": "clicked", "within": "30d"},
                {"not": {"event": "purchase", "within": "30d"}},
            ]
        },
    ),
    "engaged-buyers": (
        "Engaged, and bought",
        {"all": [{"segment": "engaged"}, {"event": "purchase"}]},
    ),
}


def write_segments(
    organizations: Iterable[str], chosen: dict[str, tuple[str, Any]], target: Path
) -> Path:
    """Writes the same segments for each organization."""
    with target.open("w", encoding="utf-8") as file:
        for organization in organizations:
            for external_id, (name, rule) in chosen.items():
                row = {
                    "external_id": external_id,
                    "organization_id": organization,
                    "name": name,
                    "rule": rule,
                }
                file.write(json.dumps(row) + "\n")
    return target
