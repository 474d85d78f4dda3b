"""Contacts by the names or addresses that an application gives.

An address belongs to the contact with the smallest number that has it; an address that no contact
has becomes a contact of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Literal

import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.ledger import lift, open_ledger

ContactSource = Literal["form", "api", "import"]


class ErasedPersonError(BadInputError):
    """An address is that of an erased person.

    Attributes:
        place: Its place among the addresses, from 0.
    """

    def __init__(self, place: int) -> None:
        super().__init__(
            "The person with this address was erased: only a sign-up or a transactional message "
            "begins anew."
        )
        self.place = place


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
    is_own_wish: bool,
) -> list[int | None]:
    """The contact of each; adds contacts for addresses that no contact of the organization has.

    Args:
        is_own_wish: True if the people of the addresses began it themselves, by a sign-up or an
            order: for an erased person that is a new relationship.
        channel: The channel of the addresses: email, sms or push.
        source: `crm.contacts.source` of new contacts.

    Returns:
        Numbers in the order of `asked`. None: there is no such contact; or the contact that an
        earlier call added for the address has another one now.

    Raises:
        ErasedPersonError: an address is that of an erased person, whose wish it is not.
    """
    given = {
        "organization_id": organization_id,
        "channel": channel,
        "asked": json.dumps([{"place": at, **asdict(one)} for at, one in enumerate(asked)]),
    }
    _ask_ledger(connection, organization_id, channel, asked, given, is_own_wish=is_own_wish)
    connection.execute(_sql("add_contacts"), {**given, "source": source})
    # A statement of its own: it sees contacts that another call has just added.
    return list(connection.execute(_sql("find_contacts"), given).scalars())


def _ask_ledger(
    connection: sa.Connection,
    organization_id: int,
    channel: str,
    asked: Sequence[Asked],
    given: Mapping[str, object],
    *,
    is_own_wish: bool,
) -> None:
    found = open_ledger(connection, get_settings())
    if found is None:
        return
    places = connection.execute(_sql("erased_recipients"), {**given, **found.blocks}).scalars()
    addresses = {place: asked[place].address or "" for place in places}
    if addresses and not is_own_wish:
        raise ErasedPersonError(min(addresses))
    if addresses:
        ids = {f"address:{address}" for address in addresses.values()}
        names = {channel: set(addresses.values()), "external_id": ids}
        lift(connection, found, organization_id, names)


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text).bindparams(
        sa.bindparam("channel", type_=sa.Text), sa.bindparam("asked", type_=sa.Text)
    )
