"""Texts that fit no index are refused in one sentence, with row and column."""

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines_tests.installation import Installation

# PostgreSQL compresses texts of one letter until they fit.
LONG = "".join(random.Random(1).choices(string.ascii_letters, k=400_000))
MEETING = {"external_id": "m", "starts_at": "2026-03-10T10:00:00Z"}
STEP = {"program_kind": "campaign", "program": "c", "external_id": "s", "position": 1}


@pytest.mark.parametrize(
    ("kind", "row", "reason"),
    [
        ("contacts", {"external_id": LONG}, "external_id is longer than 2000 bytes"),
        ("contacts", {"external_id": "a", "email": f"a@{LONG}"}, "email is longer than 2000 bytes"),
        ("contacts", {"external_id": "a", "email": "é" * 1001}, "email is longer than 2000 bytes"),
        ("contacts", {"external_id": "a", "email": "é" * 1000}, None),
        # Neither is anything that a rule could name.
        ("contacts", {"external_id": "a", LONG: 1, "b": {LONG: 2}}, None),
        ("contacts", {"external_id": "a", "push_token": LONG}, None),
        (
            "meetings",
            MEETING | {"attendees": ["ann", LONG]},
            "attendees holds a value that is longer than 2000 bytes",
        ),
        (
            "meetings",
            MEETING | {"attendees": f"ann; {LONG}"},
            "attendees holds a value that is longer than 2000 bytes",
        ),
        ("meetings", MEETING | {"attendees": [f"{n}@{'x' * 100}" for n in range(50)]}, None),
        ("deals", {"external_id": "d", "tags": [LONG], "name": LONG}, None),
        (
            "suppressions",
            {"address": LONG, "reason": "do_not_contact"},
            "address is longer than 2000 bytes",
        ),
        (
            "campaigns",
            {"external_id": "c", "goal": {"event": LONG}},
            "goal event: names an event type of more than 2000 bytes",
        ),
        (
            "campaign_triggers",
            {"campaign_id": "c", "external_id": "t", "type": "event", "event_type": LONG},
            "event_type names an event type of more than 2000 bytes",
        ),
        (
            "steps",
            STEP | {"type": "wait_for", "config": {"event": LONG, "timeout": "1d"}},
            "config event: names an event type of more than 2000 bytes",
        ),
    ],
)
def test_a_text_that_fits_no_index_is_refused_by_its_column(
    shared_installation: Installation, tmp_path: Path, kind: str, row: Any, reason: str | None
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"organization_id": "acme"} | row))
    result = shared_installation.load(kind, path)
    assert list(result.notes) == ([] if reason is None else [f"Refused: {reason} (line 1)"])
    assert result.rejected == (reason is not None)


def test_events_with_a_long_property_name_are_stored(
    shared_installation: Installation, tmp_path: Path
) -> None:
    at = "2026-03-01T10:00:00Z"
    event = {"event_id": "long", "occurred_at": at, "properties": {LONG: 1, "plan": "pro"}}
    assert shared_installation.load_events(tmp_path, [event]).loaded == 1
    assert shared_installation.rows(
        "select field from segments.event_fields where event_type = 'sent' order by field"
    ) == [("",), ("plan",)]
