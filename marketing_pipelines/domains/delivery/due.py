"""The instant at which the next message of a channel may be sent.

The messages of a program that is paused, or not active yet, stay unclaimed. Messages of a cancelled
program are claimed, to be ended.
"""

import datetime as dt
from typing import Literal

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import lanes
from marketing_pipelines.domains.delivery.tables import CHANNELS, handovers, messages
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores import intents

_HAS_SERVERS = sa.text(
    "select exists (select from integrations.connections where provider = 'smtp')"
)


def next_at(
    connection: sa.Connection,
    channel: str,
    now: dt.datetime,
    server_id: int | Literal["any"] | None = "any",
) -> dt.datetime | None:
    """Returns the next instant at which a message is due or a lease ends; None: nothing waits.

    Args:
        server_id: As for a claim; `any`: whatever server the messages go over.
    """
    ends = sa.func.greatest(messages.c.leased_until, handovers.c.leased_until)
    marked = messages.outerjoin(
        handovers,
        sa.and_(handovers.c.message_id == messages.c.id, handovers.c.claim == messages.c.claim),
    )
    lease_ends = connection.execute(
        sa.select(sa.func.min(ends))
        .select_from(marked)
        .where(messages.c.channel == channel, intents.is_in(messages, intents.CLAIMED))
    ).scalar()
    zone = get_settings().zone
    opens = [
        stream.opens_at
        for stream in lanes.streams(connection, channel, now, zone)
        if server_id in ("any", stream.server_id)
    ]
    return min((at for at in (lease_ends, *opens) if at is not None), default=None)


def next_of_servers(connection: sa.Connection, now: dt.datetime) -> dict[int, dt.datetime]:
    """Returns the next instant of the mails of each domain with a server of its own, by server."""
    if not connection.execute(_HAS_SERVERS).scalar_one():
        return {}
    found: dict[int, dt.datetime] = {}
    for stream in lanes.streams(connection, "email", now, get_settings().zone):
        if stream.server_id is not None:
            known = found.get(stream.server_id, stream.opens_at)
            found[stream.server_id] = min(known, stream.opens_at)
    return found


def due_channels(connection: sa.Connection, now: dt.datetime) -> list[str]:
    """The channels in which something can be done now."""
    nexts = {channel: next_at(connection, channel, now) for channel in CHANNELS}
    return [channel for channel, at in nexts.items() if at is not None and at <= now]
