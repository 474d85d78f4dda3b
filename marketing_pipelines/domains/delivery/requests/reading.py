"""The present state of one message, for the application that asked for it."""

import datetime as dt
from dataclasses import dataclass
from importlib import resources

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.hooks.tables import message_events


@dataclass(frozen=True)
class MessageEvent:
    """An event of a message, as its provider or its links report it.

    Attributes:
        type: delivered, opened, clicked, bounced, complained, unsubscribed, resubscribed, failed,
            or noted, which changes nothing.
        occurred_at: None: the provider does not say.
    """

    type: str
    occurred_at: dt.datetime | None
    provider: str
    reason: str | None


@dataclass(frozen=True)
class MessageStatus:
    """A message as it is now.

    Attributes:
        organization: External id.
        contact: External id; None: it goes to a user.
        address: Normalised address; None: there is none.
        attempts: Claims by workers that were used.
        reason: Why it ended as it did, or waits.
        due_at: Not before this.
        sent_at: When the server took it; None: it has not.
        events: Oldest first.
    """

    id: int
    organization: str
    channel: str
    kind: str
    contact: str | None
    address: str | None
    state: str
    attempts: int
    reason: str | None
    queued_at: dt.datetime
    due_at: dt.datetime
    sent_at: dt.datetime | None
    events: list[MessageEvent]


def message_status(
    connection: sa.Connection, number: int, organization_id: int | None
) -> MessageStatus | None:
    """Returns a message.

    Args:
        organization_id: Its organization; None: any.

    Returns:
        None: there is no such message of this organization.
    """
    folder = resources.files("marketing_pipelines.domains.delivery") / "sql" / "requests"
    statement = sa.text((folder / "message_status.sql").read_text(encoding="utf-8"))
    row = connection.execute(statement, {"id": number, "organization_id": organization_id}).first()
    if row is None:
        return None
    event = message_events.c
    listed = connection.execute(
        sa.select(event.type, event.occurred_at, event.provider, event.reason)
        .where(event.message_id == number)
        .order_by(event.occurred_at, event.id)
    )
    events = [MessageEvent(**one._mapping) for one in listed]
    return MessageStatus(**row._mapping, events=events)
