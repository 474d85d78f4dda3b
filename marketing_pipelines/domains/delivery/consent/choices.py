"""Choices of recipients: leaving a category or a channel, coming back, confirming a subscription.

Each is one transaction that writes only what changes, so that a repeated form changes nothing. It
locks the events first: those of a provider may change the same rows at the same time.
"""

import datetime as dt
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.consent.statements import consent_sql
from marketing_pipelines.domains.delivery.hooks.recording import lock_events
from marketing_pipelines.domains.delivery.links import Confirmation

Evidence = Mapping[str, str]


@dataclass(frozen=True)
class Addressee:
    """A contact by one channel."""

    organization_id: int
    contact_id: int
    channel: str


@dataclass(frozen=True)
class Recipient(Addressee):
    """The recipient of a message.

    Attributes:
        organization: Name of the organization that sent it.
        category_id: Category of the message; None: the organization has no categories.
        address: Address that it went to, as the contact gives it.
    """

    message_id: int
    organization: str
    category_id: int | None
    address: str | None


@dataclass(frozen=True)
class Choice:
    """A category as a recipient sees it.

    Attributes:
        is_on: True if the recipient gets its messages.
    """

    id: int
    external_id: str
    name: str
    mode: str
    state: str | None
    is_on: bool


@dataclass(frozen=True)
class AskedConfirmation:
    """A subscription that a link confirms.

    Attributes:
        state: Present state; None: there is no subscription.
    """

    state: str | None
    category: str
    organization: str
    organization_id: int


def recipient_of(connection: sa.Connection, message_id: int) -> Recipient | None:
    """The recipient of a message; None: it is gone, or went to no contact."""
    row = connection.execute(
        consent_sql("recipient_of_message"), {"message_id": message_id}
    ).first()
    return None if row is None else Recipient(**row._mapping)


def choices_of(connection: sa.Connection, recipient: Addressee) -> list[Choice]:
    """The categories that the recipient can choose, the default one first."""
    given = {"is_suppressed": has_left(connection, recipient), **_of(recipient)}
    return [Choice(**row._mapping) for row in connection.execute(consent_sql("choices"), given)]


def has_left(connection: sa.Connection, recipient: Addressee) -> bool:
    """Returns true if the recipient left the channel as a whole."""
    return bool(connection.execute(consent_sql("is_suppressed"), _of(recipient)).scalar_one())


def leave_category(
    connection: sa.Connection, recipient: Recipient, *, now: dt.datetime, evidence: Evidence
) -> None:
    """Takes the recipient out of the message's category."""
    lock_events(connection)
    if recipient.category_id is None:
        connection.execute(consent_sql("make_default_category"), _of(recipient))
        recipient = recipient_of(connection, recipient.message_id) or recipient
    for choice in choices_of(connection, recipient):
        if choice.id == recipient.category_id:
            _leave(connection, recipient, choice, now, evidence)


def leave_everything(connection: sa.Connection, recipient: Recipient, *, now: dt.datetime) -> None:
    """Suppresses the channel for the recipient."""
    lock_events(connection)
    given = {**_of(recipient), "now": now}
    if connection.execute(consent_sql("suppress_channel"), given).first() is not None:
        _write_way_out(connection, recipient, None, now)


def choose(
    connection: sa.Connection,
    recipient: Recipient,
    wanted: Collection[int],
    *,
    now: dt.datetime,
    evidence: Evidence,
) -> None:
    """Subscribes the recipient to these categories and to no other; writes only changes."""
    lock_events(connection)
    if wanted and has_left(connection, recipient):
        connection.execute(consent_sql("lift_channel"), _of(recipient))
    for choice in choices_of(connection, recipient):
        if choice.id in wanted and not choice.is_on:
            # The link was sent to the address.
            proof = {**evidence, "confirmed_at": now.isoformat()}
            _set(connection, recipient, choice.id, "subscribed", now, proof)
            connection.execute(
                consent_sql("return_address"),
                _change(recipient, choice.id, "subscribed", now, proof),
            )
        elif choice.id not in wanted and choice.is_on:
            _leave(connection, recipient, choice, now, evidence)


def asked(connection: sa.Connection, confirmation: Confirmation) -> AskedConfirmation | None:
    """The subscription that a confirmation is about; None: its category or contact is gone."""
    row = connection.execute(consent_sql("confirmable"), _of_confirmation(confirmation)).first()
    return None if row is None else AskedConfirmation(**row._mapping)


def confirm(
    connection: sa.Connection,
    confirmation: Confirmation,
    *,
    now: dt.datetime,
    evidence: Evidence,
) -> None:
    """Confirms a subscription, if it waits for that.

    A contact that had left everything comes back to this category and to no other. The link was
    sent to the address, so the contacts with it come back, too.
    """
    lock_events(connection)
    proof = {**evidence, "confirmed_at": now.isoformat()}
    given = {**_of_confirmation(confirmation), "now": now, "evidence": json.dumps(proof)}
    confirmed = connection.execute(consent_sql("confirm"), given).first()
    if confirmed is None:
        return
    contact = Addressee(confirmed.organization_id, confirmation.contact_id, "email")
    category_id = confirmation.category_id
    if has_left(connection, contact):
        connection.execute(consent_sql("lift_channel"), _of(contact))
        for choice in choices_of(connection, contact):
            if choice.is_on and choice.id != category_id:
                _set(connection, contact, choice.id, "unsubscribed", now, evidence)
    connection.execute(
        consent_sql("return_address"), _change(contact, category_id, "subscribed", now, proof)
    )


def _leave(
    connection: sa.Connection,
    recipient: Recipient,
    choice: Choice,
    now: dt.datetime,
    evidence: Evidence,
) -> None:
    if _set(connection, recipient, choice.id, "unsubscribed", now, evidence):
        _write_way_out(connection, recipient, choice.external_id, now)


def _set(
    connection: sa.Connection,
    recipient: Addressee,
    category_id: int,
    state: str,
    now: dt.datetime,
    evidence: Evidence,
) -> bool:
    given = _change(recipient, category_id, state, now, evidence)
    return connection.execute(consent_sql("set_subscription"), given).first() is not None


def _change(
    recipient: Addressee, category_id: int, state: str, now: dt.datetime, evidence: Evidence
) -> dict[str, Any]:
    given = {**_of(recipient), "category_id": category_id, "state": state, "source": "link"}
    return given | {"evidence": json.dumps(dict(evidence)), "now": now}


def _write_way_out(
    connection: sa.Connection, recipient: Recipient, category: str | None, now: dt.datetime
) -> None:
    month = now.astimezone(dt.UTC).date()
    connection.execute(sa.select(sa.func.analytics.ensure_activity_month(month)))
    given = {"message_id": recipient.message_id, "category": category, "now": now}
    connection.execute(consent_sql("write_way_out"), given)


def _of(recipient: Addressee) -> dict[str, Any]:
    return {
        "organization_id": recipient.organization_id,
        "contact_id": recipient.contact_id,
        "channel": recipient.channel,
    }


def _of_confirmation(confirmation: Confirmation) -> dict[str, Any]:
    return {"contact_id": confirmation.contact_id, "category_id": confirmation.category_id}
