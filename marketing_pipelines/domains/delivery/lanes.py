"""Lanes of messages: organization, sending domain and kind; and the rules of their organizations.

A stream is the messages of one lane, program and priority. A lane that is closed, because its
domain, line, rate or warm-up lets nothing through, costs one look at each of its streams, however
many messages wait there.
"""

import datetime as dt
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import OrganizationSettings, validated
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness.partitions import midnight

# The messages of such programs stay where they are.
PAUSED = ("draft", "scheduled", "paused", "imported")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stream:
    """The messages of one lane, program and priority.

    Attributes:
        lane: Number of the lane among those listed with it.
        domain_id: 0 = the organization's default domain.
        program_kind: Empty: they are of no program.
        rank: The negative priority: lower first.
        first_due_at: When its first message is due; `first_id` is that message.
        room: Most messages that the lane lets through now; None: any number.
        valid_seconds: After these a message without an end of its own is expired; 0 = never.
        quiet_hours: As `quiet_zones` takes them; None: there are none.
        opens_at: The first instant at which one of them may go.
        server_id: Connection to the mail server of their domain; None: the channel's server.
    """

    lane: int
    organization_id: int
    domain_id: int
    kind: str
    program_kind: str
    program_id: int
    rank: int
    first_due_at: dt.datetime
    first_id: int
    room: int | None
    timezone: str | None
    valid_seconds: float
    cap_day: int
    cap_week: int
    cap_month: int
    quiet_hours: str | None
    opens_at: dt.datetime
    server_id: int | None

    def as_row(self) -> dict[str, Any]:
        """The stream as the claim takes it."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("opens_at", "server_id")
        } | {"first_due_at": self.first_due_at.isoformat()}


def streams(
    connection: sa.Connection, channel: str, now: dt.datetime, zone: ZoneInfo
) -> list[Stream]:
    """Returns the streams of a channel with queued messages whose program is not paused.

    Marketing messages of an organization whose settings cannot be used wait for better ones.
    """
    today = now.astimezone(zone).date()
    values = {
        "channel": channel,
        "now": now,
        "paused": list(PAUSED),
        "today": today,
        "tomorrow": midnight(today + dt.timedelta(days=1), zone),
    }
    rows = connection.execute(_STREAMS, values).all()
    rules = {row.organization_id: usable(row.settings, row.organization) for row in rows}
    lanes: dict[tuple[Any, ...], int] = {}
    found = []
    for row in rows:
        own_settings = rules[row.organization_id]
        if own_settings is None and row.kind == "marketing":
            continue
        own_settings = own_settings or OrganizationSettings()
        caps, hours = own_settings.frequency_caps, own_settings.quiet_hours
        opens_at = row.due_at if row.room != 0 else max(row.due_at, row.opens_at)
        found.append(
            Stream(
                lane=lanes.setdefault((row.organization_id, row.domain_id, row.kind), len(lanes)),
                organization_id=row.organization_id,
                domain_id=row.domain_id,
                kind=row.kind,
                program_kind=row.program_kind,
                program_id=row.program_id,
                rank=row.rank,
                first_due_at=row.due_at,
                first_id=row.first_id,
                room=row.room,
                timezone=row.timezone,
                valid_seconds=own_settings.delivery.valid_for.seconds(row.kind),
                cap_day=caps.day,
                cap_week=caps.week,
                cap_month=caps.month,
                quiet_hours=f"{hours.start}-{hours.end}" if hours.start else None,
                opens_at=opens_at,
                server_id=row.server_id,
            )
        )
    return found


def hours_of(found: Iterable[Stream]) -> Sequence[str]:
    """Returns the different quiet hours of streams."""
    return sorted({stream.quiet_hours for stream in found if stream.quiet_hours is not None})


def usable(settings: str, organization: str) -> OrganizationSettings | None:
    """The settings of an organization, given as JSON; None: they cannot be used."""
    try:
        return _validated(settings, organization)
    except BadInputError as error:
        _logger.warning("%s Its marketing messages wait.", error)
        return None


@lru_cache(maxsize=1_000)
def _validated(settings: str, organization: str) -> OrganizationSettings:
    # Each claim reads them, and most have not changed since the one before.
    return validated(json.loads(settings), organization)


_STREAMS = sa.text(resources.files(__package__).joinpath("sql", "streams.sql").read_text())
