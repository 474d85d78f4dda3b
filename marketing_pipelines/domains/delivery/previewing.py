"""Previews of messages, and test copies that go past the queue.

Neither has a row: no suppression, cap, count or report knows of it, and the pages of its links say
that they are of a test copy.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.composing import rendered
from marketing_pipelines.domains.delivery.named_templates.catalog import Outgoing
from marketing_pipelines.domains.delivery.rendering import Rendered
from marketing_pipelines.domains.delivery.transports.choice import (
    SETTINGS,
    may_reach,
    transport_of,
)
from marketing_pipelines.domains.delivery.transports.outcomes import Transport
from marketing_pipelines.domains.delivery.transports.smtp import SmtpTransport
from marketing_pipelines.failures import BadInputError, ConfigurationError
from marketing_pipelines.settings import Settings

TEST_MARK = "[Test] "
# The part of a test copy that bears the mark, by channel.
MARKED: Mapping[str, str] = MappingProxyType({"email": "subject", "sms": "text", "push": "title"})


@dataclass(frozen=True)
class Preview:
    """A message as it would go to a contact.

    Attributes:
        category: External id of its category.
        problem: The reason for which the contact would not get it; None: there is none.
        domain: Sending domain of a mail; None: the organization has none.
    """

    message: Rendered
    kind: str
    category: str
    problem: str | None
    domain: str | None


def preview(
    connection: sa.Connection,
    organization_id: int,
    contact_id: int,
    channel: str,
    outgoing: Outgoing,
    *,
    now: dt.datetime,
    address: str | None = None,
    is_test: bool = False,
) -> Preview:
    """Writes a message for a contact.

    Args:
        address: Recipient; None: the contact's own address.
        is_test: True to mark it as a test copy.

    Raises:
        BadInputError: the contact has no address.
        MessageError, NotReadyError: it cannot be written; see `composing.rendered`.
    """
    content = dict(outgoing.content)
    if is_test:
        content[MARKED[channel]] = TEST_MARK + content[MARKED[channel]]
    statement = resources.files(__package__).joinpath("sql", "preview.sql").read_text()
    row = connection.execute(
        sa.text(statement),
        {
            # A mail program shows one of two mails with the same id; no message has a negative one.
            "id": -int(now.timestamp() * 1_000),
            "organization_id": organization_id,
            "contact_id": contact_id,
            "channel": channel,
            "kind": outgoing.kind,
            "content": json.dumps(content),
            "category_id": outgoing.category_id,
            "domain_id": outgoing.domain_id,
            "address": address,
            "now": now,
        },
    ).one()
    if row.recipient is None:
        raise BadInputError(f"The contact has no address for {channel}: name one with --to.")
    domain = row.domain if channel == "email" else None
    return Preview(rendered(row, row), row.kind, row.category, row.problem, domain)


def send_test(settings: Settings, message: Rendered, over: Transport | None = None) -> bool:
    """Hands a test copy over.

    Args:
        over: Transport of the mail's domain; None: that of the channel.

    Returns:
        True if it left; False: it is a file of the outbox.

    Raises:
        ConfigurationError: the channel has no server, or it must not reach the recipient.
        MessageError, RetryableError: the transport does not take it.
    """
    channel = message.channel
    transport = over or transport_of(settings, channel)
    if transport is None:
        raise ConfigurationError(f"{SETTINGS[channel]} is not set, so nothing can be sent.")
    if not may_reach(settings, channel, message.recipient):
        raise ConfigurationError(
            f"MARKETING_DELIVERY_ALLOW has no pattern for '{message.recipient}', so it gets nothing"
            " in staging."
        )
    try:
        transport.send(message)
    finally:
        if isinstance(transport, SmtpTransport):
            transport.close()
    return transport.line is not None
