"""Messages that may be sent now, and the instant at which the next ones may.

The messages of a program that is paused, or not active yet, stay unclaimed. Messages of a cancelled
program are claimed, to be ended.
"""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.tables import CHANNELS, messages, sending_domains
from marketing_pipelines.stores import intents

PAUSED = ("draft", "scheduled", "paused", "imported")
# The engine's own view; the engine stands above this domain.
_programs = sa.table(
    "programs",
    sa.column("kind", sa.Text),
    sa.column("id", sa.BigInteger),
    sa.column("status", sa.Text),
    schema="lifecycle",
)


def may_go(channel: str) -> sa.ColumnElement[bool]:
    """Returns the condition that nothing holds a message of the channel: its program or domain."""
    is_paused = sa.exists().where(
        _programs.c.kind == messages.c.program_kind,
        _programs.c.id == messages.c.program_id,
        _programs.c.status.in_(PAUSED),
    )
    is_held = sa.exists().where(
        sending_domains.c.id
        == sa.func.coalesce(
            messages.c.domain_id, sa.func.delivery.default_domain(messages.c.organization_id)
        ),
        sending_domains.c.paused_until > sa.func.now(),
    )
    own = (messages.c.channel == channel, ~is_paused)
    return sa.and_(*own, ~is_held) if channel == "email" else sa.and_(*own)


def next_at(connection: sa.Connection, channel: str) -> dt.datetime | None:
    """Returns the next instant at which a message is due or a lease ends; None: nothing waits."""
    free_at = intents.free_at(messages)
    return connection.execute(
        sa.select(free_at)
        .where(intents.is_in(messages, *intents.NOT_ENDED), may_go(channel))
        .order_by(free_at, messages.c.id)
        .limit(1)
    ).scalar()


def due_channels(connection: sa.Connection, now: dt.datetime) -> list[str]:
    """The channels in which something can be done now."""
    nexts = {channel: next_at(connection, channel) for channel in CHANNELS}
    return [channel for channel, at in nexts.items() if at is not None and at <= now]
