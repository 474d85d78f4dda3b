"""Writes the deliveries of events that name their endpoint."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg


@dataclass(frozen=True)
class AddressedEvent:
    """An event for one endpoint.

    Attributes:
        event_id: Key of the event; a delivery is written once for each.
        data: Sent with the external id of the organization.
    """

    organization_id: int
    endpoint_id: int
    event_id: str
    type: str
    data: Mapping[str, Any]


def publish_addressed(
    connection: sa.Connection, events: Sequence[AddressedEvent], now: dt.datetime
) -> list[AddressedEvent]:
    """Writes a delivery for each event.

    Returns:
        The events without a delivery: the organization has no such endpoint, or it is disabled.
    """
    text = resources.files(__package__).joinpath("sql", "publish_addressed.sql")
    statement = sa.text(text.read_text(encoding="utf-8")).bindparams(
        sa.bindparam("data", type_=pg.ARRAY(pg.JSONB))
    )
    values = {
        "organization_ids": [event.organization_id for event in events],
        "endpoint_ids": [event.endpoint_id for event in events],
        "event_ids": [event.event_id for event in events],
        "types": [event.type for event in events],
        "data": [dict(event.data) for event in events],
        "now": now,
    }
    places = set(connection.execute(statement, values).scalars())
    return [event for place, event in enumerate(events, start=1) if place not in places]
