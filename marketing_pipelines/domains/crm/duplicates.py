"""Contacts of one organization that have one normalised address. They are listed, never merged."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from marketing_pipelines.domains.crm.names import organization_number


@dataclass(frozen=True)
class Duplicate:
    """Contacts with one address, the oldest first.

    Attributes:
        channel: email or sms.
        contacts: External ids.
    """

    channel: str
    address: str
    contacts: list[str]


def duplicates(connection: sa.Connection, organization: str) -> Iterator[Duplicate]:
    """The addresses that several contacts of an organization have, in their order.

    Raises:
        BadInputError: there is no such organization.
    """
    number = organization_number(connection, organization)
    rows = connection.execute(_DUPLICATES, {"organization_id": number})
    for row in rows:
        yield Duplicate(row.channel, row.address, row.contacts)


_DUPLICATES = sa.text("""
    select channel, address, array_agg(external_id order by id) as contacts
    from (
        select 'email' as channel, delivery.address_of('email', email) as address, id, external_id
        from crm.contacts where organization_id = :organization_id
        union all
        select 'sms', delivery.address_of('sms', phone), id, external_id
        from crm.contacts where organization_id = :organization_id
    ) as held
    where address is not null
    group by channel, address
    having count(*) > 1
    order by channel, address collate "C"
""")
