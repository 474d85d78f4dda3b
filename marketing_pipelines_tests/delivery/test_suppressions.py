"""Events suppress their contact in the transaction that brings them."""

from pathlib import Path
from typing import Any

from marketing_pipelines_tests.installation import Installation

EVENTS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "unsubscribed": ({"event_type": "unsubscribed"}, [("email", "unsubscribed")]),
    "complained": ({"event_type": "complained"}, [("email", "complaint")]),
    "hard bounce": (
        {"event_type": "bounced", "properties": {"bounce_type": "hard"}},
        [("email", "hard_bounce")],
    ),
    "soft bounce": ({"event_type": "bounced", "properties": {"bounce_type": "soft"}}, []),
    "bounce of no kind": ({"event_type": "bounced"}, []),
    "sms": (
        {"event_type": "unsubscribed", "properties": {"channel": "sms"}},
        [("sms", "unsubscribed")],
    ),
    "push": (
        {"event_type": "complained", "properties": {"channel": "push"}},
        [("push", "complaint")],
    ),
    "all": (
        {"event_type": "unsubscribed", "properties": {"channel": "all"}},
        [("all", "unsubscribed")],
    ),
    "a channel nobody knows": (
        {"event_type": "unsubscribed", "properties": {"channel": "pigeon"}},
        [("email", "unsubscribed")],
    ),
    "opened": ({"event_type": "opened"}, []),
}


def suppressions(installation: Installation) -> list[tuple[Any, ...]]:
    return installation.rows(
        "select contacts.external_id, channel, reason, since from delivery.suppressions"
        " join crm.contacts on contacts.id = contact_id order by 1, 2, 3"
    )


def test_an_event_suppresses_as_its_type_and_channel_say(
    installation: Installation, tmp_path: Path
) -> None:
    at = "2026-03-01T10:00:00Z"
    events = [
        {"event_id": case, "contact_id": case, "occurred_at": at, **event}
        for case, (event, _) in EVENTS.items()
    ]
    installation.load_events(tmp_path, events)
    assert sorted(row[:3] for row in suppressions(installation)) == sorted(
        (case, *row) for case, (_, rows) in EVENTS.items() for row in rows
    )


def test_the_first_of_a_file_counts_and_a_later_one_changes_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    def event(number: int, contact: str, at: str) -> dict[str, Any]:
        return {
            "event_id": f"e{number}",
            "contact_id": contact,
            "event_type": "unsubscribed",
            "occurred_at": at,
        }

    installation.load_events(
        tmp_path,
        [
            event(1, "c1", "2026-03-02T10:00:00Z"),
            event(2, "c1", "2026-03-01T10:00:00Z"),
            event(3, "c2", "2026-03-01T11:00:00Z"),
        ],
    )
    first = suppressions(installation)
    assert [(row[0], row[3].isoformat()) for row in first] == [
        ("c1", "2026-03-01T10:00:00+00:00"),
        ("c2", "2026-03-01T11:00:00+00:00"),
    ]
    installation.load_events(
        tmp_path,
        [event(4, "c1", "2026-03-03T10:00:00Z"), event(3, "c2", "2026-03-01T11:00:00Z")],
    )
    assert suppressions(installation) == first


def test_other_reasons_and_channels_are_rows_of_their_own(
    installation: Installation, tmp_path: Path
) -> None:
    kinds = [("unsubscribed", "email"), ("complained", "email"), ("unsubscribed", "sms")]
    installation.load_events(
        tmp_path,
        [
            {
                "event_id": f"e{number}",
                "event_type": kind,
                "occurred_at": "2026-03-01T10:00:00Z",
                "properties": {"channel": channel},
            }
            for number, (kind, channel) in enumerate(kinds)
        ],
    )
    assert [row[1:3] for row in suppressions(installation)] == [
        ("email", "complaint"),
        ("email", "unsubscribed"),
        ("sms", "unsubscribed"),
    ]
