"""Contacts by the names or addresses that an application gives.

An address belongs to the contact with the smallest number that has it; an address that no contact
has becomes a contact of its own.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Literal

import sqlalchemy as sa

ContactSource = Literal["form", "api", "import"]


@dataclass(frozen=True)
class Asked:
    """A contact or an address.

    Attributes:
        contact: External id; None: an address is given.
        address: Normalised address; None: a contact is given.
        given: The address as it was given.
        name: Name of the person, for a new contact.
    """

    contact: str | None = None
    address: str | None = None
    given: str | None = None
    name: str | None = None


def contacts_of(
    connection: sa.Connection,
    organization_id: int,
    channel: str,
    asked: Sequence[Asked],
    *,
    source: ContactSource,
) -> list[int | None]:
    """The contact of each; adds contacts for addresses that no contact of the organization has.

    Args:
        channel: The channel of the addresses: email, sms or push.
        source: `crm.contacts.source` of new contacts.

    Returns:
        Numbers in the order of `asked`. None: there is no such contact; or the contact that an
        earlier call added for the address has another one now.
    """
    given = {
        "organization_id": organization_id,
        "channel": channel,
        "asked": json.dumps([{"place": at, **asdict(one)} for at, one in enumerate(asked)]),
    }
    connection.execute(_sql("add_contacts"), {**given, "source": source})
    # A statement of its own: it sees contacts that another call has just added.
    return list(connection.execute(_sql("find_contacts"), given).scalars())


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text).bindparams(
        sa.bindparam("channel", type_=sa.Text), sa.bindparam("asked", type_=sa.Text)
    )
