"""Writes the deliveries of events of the bus."""

import datetime as dt
from collections.abc import Sequence
from importlib import resources

import sqlalchemy as sa


def publish_events(
    connection: sa.Connection, event_ids: Sequence[int], now: dt.datetime
) -> list[int]:
    """Writes a delivery for each event and endpoint that wants it, once.

    Returns:
        The endpoints with new deliveries.
    """
    text = resources.files(__package__).joinpath("sql", "publish_events.sql")
    found = connection.execute(
        sa.text(text.read_text(encoding="utf-8")), {"ids": list(event_ids), "now": now}
    )
    return sorted(set(found.scalars()))
