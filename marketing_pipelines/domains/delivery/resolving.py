"""Messages of unknown outcome, listed and resolved by hand."""

import datetime as dt
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import settling
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.domains.delivery.tables import messages
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores import intents

Resolution = Literal["sent", "failed", "resend"]
BY_HAND = "resolved by hand"


def listed(
    connection: sa.Connection,
    *,
    state: str | None,
    channel: str | None,
    organization_id: int | None,
    limit: int,
) -> list[sa.Row[Any]]:
    """Returns the latest messages, newest first; None: of any state, channel or organization."""
    statement = sa.text(resources.files(__package__).joinpath("sql", "listed.sql").read_text())
    return list(
        connection.execute(
            statement,
            {
                "state": state,
                "channel": channel,
                "organization": organization_id,
                "limit": limit,
            },
        ).all()
    )


def resolve(
    connection: sa.Connection, numbers: Sequence[int], resolution: Resolution, *, now: dt.datetime
) -> int:
    """Ends messages of unknown outcome as a person says, or queues them again; returns how many.

    Raises:
        BadInputError: there is no such message, or its outcome is known; nothing changes.
    """
    found = connection.execute(
        sa.select(*messages.columns)
        .where(messages.c.id.in_(numbers))
        .order_by(messages.c.id)
        .with_for_update()
    ).all()
    missing = set(numbers) - {message.id for message in found}
    if missing:
        raise BadInputError(f"There is no message {min(missing)}.")
    for message in found:
        if message.state != intents.UNKNOWN:
            raise BadInputError(
                f"Message {message.id} is {message.state}: only unknown ones are resolved by hand."
            )
    ends = []
    for message in found:
        if resolution == "sent":
            sent_at = message.claimed_at or now
            settling.prepare(connection, sent_at)
            ends.append(settling.ended(message, "sent", sent_at=sent_at))
        elif resolution == "failed":
            ends.append(settling.ended(message, "failed", BY_HAND))
        else:
            ends.append(settling.queued_again(message, now))
    settling.settle(connection, ends, states=(intents.UNKNOWN,))
    if resolution == "resend":
        notify_workers(connection, {message.channel for message in found})
    return len(found)
