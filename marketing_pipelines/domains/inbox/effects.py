"""The effects of mail: activities and events of contacts, and the ends of messages that came back.

They are written in the transaction that stores the mail, so each mail has them once.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.events import EmailForwarded, EmailReceived, EmailReplied
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.inbox.mails import Mail
from marketing_pipelines.domains.inbox.returned_messages import settle_returned
from marketing_pipelines.domains.inbox.statements import statement
from marketing_pipelines.domains.inbox.storing import StoredMails
from marketing_pipelines.queueing import bus
from marketing_pipelines.settings import Settings

_EVENTS: Mapping[str, type[EmailReceived]] = {"replied": EmailReplied, "forwarded": EmailForwarded}


def apply(
    connection: sa.Connection,
    stored: StoredMails,
    *,
    organization_id: int,
    owner_id: int | None,
    owner_address: str,
    connected_at: dt.datetime,
    now: dt.datetime,
    settings: Settings,
) -> None:
    """Writes the activities and events of mails, and settles messages that came back.

    Args:
        connection: In the transaction of read committed that stored them.
        stored: The mails of the transaction; those that were there get activities alone.
        owner_id: User whose mailbox it is; None: of no user.
        owner_address: Address of the mailbox.
        connected_at: First tick of the mailbox. Of mail that arrived before it only what is
            younger than `triggers.latest_event_hours` publishes events.
        now: Tick.
    """
    ids = [*stored.new, *stored.completed]
    if not ids:
        return
    owner = {"owner_id": owner_id, "owner_address": owner_address}
    connection.execute(statement("write_activities"), {"ids": ids, **owner})
    if stored.new:
        _publish(connection, stored.new, organization_id, connected_at, now)
        settle_returned(connection, stored.new, organization_id, now, settings)


def _publish(
    connection: sa.Connection,
    mails: Mapping[int, Mail],
    organization_id: int,
    connected_at: dt.datetime,
    now: dt.datetime,
) -> None:
    hours = settings_of(connection, organization_id).triggers.latest_event_hours
    since = {"connected_at": connected_at, "oldest": now - dt.timedelta(hours=hours)}
    given = {"ids": list(mails), "organization_id": organization_id, **since}
    named = [
        {"id": number, "names": list(mail.names), "is_forward": mail.is_forward}
        for number, mail in mails.items()
    ]
    rows = [
        *connection.execute(statement("incoming_mails"), {**given, "mails": named}),
        *connection.execute(statement("late_answers"), given),
    ]
    bus.publish(connection, _events(organization_id, rows))


def _events(organization_id: int, rows: Sequence[sa.Row[Any]]) -> list[bus.BusEvent]:
    """An event of each arrival, and one of each reply and forward; those of late ones exist."""
    events: list[bus.BusEvent] = []
    for row in rows:
        kinds: list[type[EmailReceived]] = [] if row.is_late else [EmailReceived]
        if row.kind is not None:
            kinds.append(_EVENTS[row.kind])
        about = {"organization_id": organization_id, "contact_id": row.contact_id}
        events += [kind(**about, message=str(row.id), at=row.at) for kind in kinds]
    return events
