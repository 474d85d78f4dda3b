"""The messages of one recipient with their states and events."""

from collections.abc import Sequence
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.names import find_contact, organization_number
from marketing_pipelines.domains.delivery.addresses import address_of
from marketing_pipelines.domains.delivery.tables import messages
from marketing_pipelines.failures import BadInputError

LATEST = 100


def messages_of(
    connection: sa.Connection, recipient: str, organization: str
) -> Sequence[sa.Row[Any]]:
    """The latest 100 messages of a recipient, newest first, with the events reported of each.

    Args:
        recipient: External id or number of a contact, or an address that was written to.

    Raises:
        BadInputError: nobody has this name, and nothing went to this address.
    """
    number, contacts = recipients_of(connection, recipient, organization)
    statement = sa.text(resources.files(__package__).joinpath("sql", "messages_of.sql").read_text())
    values = {"contacts": contacts, "organization": number, "limit": LATEST}
    return connection.execute(statement, values).all()


def recipients_of(
    connection: sa.Connection, recipient: str, organization: str
) -> tuple[int, Sequence[int]]:
    """The numbers of an organization and of the contacts that a recipient stands for.

    Raises:
        BadInputError: nobody has this name, and nothing went to this address.
    """
    if "@" in recipient or recipient.startswith("+"):
        number = organization_number(connection, organization)
        return number, _contacts_written_to(connection, number, recipient)
    number, contact = find_contact(connection, recipient, organization)
    return number, [contact]


def _contacts_written_to(
    connection: sa.Connection, organization: int, recipient: str
) -> Sequence[int]:
    channel = "email" if "@" in recipient else "sms"
    found = connection.scalars(
        sa.select(messages.c.contact_id)
        .distinct()
        .where(
            messages.c.organization_id == organization,
            messages.c.address == address_of(channel, recipient),
            messages.c.channel == channel,
            messages.c.sent_at.is_not(None),
            messages.c.contact_id.is_not(None),
        )
    ).all()
    if not found:
        raise BadInputError(f"No message went to '{recipient}'.")
    return found
