"""Files of the events that contacts are assumed to send."""

import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path


def write_events(path: Path, events: Iterable[tuple[str, str, dt.datetime]]) -> None:
    """Writes events of the organization `acme`: contact, type and instant of each."""
    path.write_text(
        "\n".join(
            json.dumps(
                {
                    "organization_id": "acme",
                    "event_id": f"e{number}",
                    "contact_id": contact,
                    "event_type": kind,
                    "occurred_at": instant.isoformat(),
                }
            )
            for number, (contact, kind, instant) in enumerate(events)
        )
    )
