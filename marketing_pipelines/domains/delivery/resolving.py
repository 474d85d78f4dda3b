"""Lists messages and the reasons for which they wait; resolves unknown outcomes by hand."""

import datetime as dt
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import OrganizationSettings
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.delivery import settling
from marketing_pipelines.domains.delivery.lanes import PAUSED, usable
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.domains.delivery.tables import CHANNELS, MESSAGE_KINDS, messages
from marketing_pipelines.failures import BadInputError, ConfigurationError
from marketing_pipelines.freshness.partitions import midnight
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores import intents

Resolution = Literal["sent", "failed", "resend"]
BY_HAND = "resolved by hand"
MESSAGES_AT_ONCE = 1_000


def listed(
    connection: sa.Connection,
    *,
    state: str | None,
    channel: str | None,
    organization_id: int | None,
    limit: int,
    now: dt.datetime,
) -> list[sa.Row[Any]]:
    """Returns the latest messages, newest first; None: of any state, channel or organization."""
    zone = get_settings().zone
    today = now.astimezone(zone).date()
    statement = sa.text(resources.files(__package__).joinpath("sql", "listed.sql").read_text())
    return list(
        connection.execute(
            statement,
            {
                "state": state,
                "channel": channel,
                "organization": organization_id,
                "limit": limit,
                "now": now,
                "today": today,
                "tomorrow": midnight(today + dt.timedelta(days=1), zone),
                "paused": list(PAUSED),
                "channels": json.dumps([_served(channel) for channel in CHANNELS]),
            },
        ).all()
    )


def _served(channel: str) -> dict[str, str | None]:
    """A channel with its line, or with the reason for which none of its messages goes."""
    # Listing alone needs the libraries of the transports.
    from marketing_pipelines.domains.delivery.transports.choice import SETTINGS, transport_of

    try:
        transport = transport_of(get_settings(), channel)
    except ConfigurationError as error:
        return {"channel": channel, "line": None, "problem": str(error)}
    if transport is None:
        problem = f"{SETTINGS[channel]} is not set"
        return {"channel": channel, "line": None, "problem": problem}
    return {"channel": channel, "line": transport.line, "problem": None}


def restored_from(backup_id: str) -> str:
    """The reason that a message of unknown outcome has since the restore of a backup."""
    return f"restored from {backup_id}"


def unknown_since_restore(connection: sa.Connection, backup_id: str) -> list[int]:
    """The first messages that the restore of a backup made unknown and that are so still."""
    return list(
        connection.execute(
            sa.select(messages.c.id)
            .where(
                messages.c.state == intents.UNKNOWN,
                messages.c.reason == restored_from(backup_id),
            )
            .order_by(messages.c.id)
            .limit(MESSAGES_AT_ONCE)
        ).scalars()
    )


def resolve(
    connection: sa.Connection, numbers: Sequence[int], resolution: Resolution, *, now: dt.datetime
) -> int:
    """Ends messages of unknown outcome as a person says, or queues them again; returns how many.

    A message that is queued again is valid as long as it was when it was written.

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
            settling.prepare(connection, sent_at.astimezone(dt.UTC).date())
            ends.append(settling.ended(message, "sent", sent_at=sent_at))
        elif resolution == "failed":
            ends.append(settling.ended(message, "failed", BY_HAND))
        else:
            ends.append(settling.queued_again(message, now))
    settling.settle(connection, ends, states=(intents.UNKNOWN,))
    if resolution == "resend":
        _renew(connection, numbers, now)
        # A webhook of a former release is taken over by the next pass of its program.
        notify_workers(connection, {message.channel for message in found} & set(CHANNELS))
    return len(found)


def _renew(connection: sa.Connection, numbers: Sequence[int], now: dt.datetime) -> None:
    """Begins the validity of messages anew; one that is valid for ever stays so."""
    settings = connection.execute(
        sa.select(
            organizations.c.id,
            organizations.c.external_id,
            sa.cast(organizations.c.settings, sa.Text).label("settings"),
        ).where(
            organizations.c.id.in_(
                sa.select(messages.c.organization_id).where(messages.c.id.in_(numbers))
            )
        )
    )
    seconds = [
        {"organization": row.id, "kind": kind, "seconds": rules.delivery.valid_for.seconds(kind)}
        for row in settings
        for rules in [usable(row.settings, row.external_id) or OrganizationSettings()]
        for kind in MESSAGE_KINDS
    ]
    connection.execute(_RENEW, {"ids": list(numbers), "now": now, "seconds": json.dumps(seconds)})


_RENEW = sa.text("""
    update delivery.messages as message
    set expires_at = cast(:now as timestamptz) + coalesce(
        message.expires_at - message.queued_at, make_interval(secs => nullif(rule.seconds, 0))
    )
    from jsonb_to_recordset(cast(:seconds as jsonb)) as rule (
        organization bigint, kind text, seconds float
    )
    where message.id = any(:ids) and message.expires_at is distinct from '9999-12-31Z'
        and rule.organization = message.organization_id and rule.kind = message.kind
""")
