"""Finding organizations and contacts by the names that people use: external id, or number."""

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import contacts, organizations, users
from marketing_pipelines.failures import BadInputError


def organization_number(connection: sa.Connection, name: str) -> int:
    """The number of the organization with this external id or, if there is none, this number.

    Raises:
        BadInputError: there is neither.
    """
    rows = connection.execute(
        sa.select(organizations.c.id, organizations.c.external_id).where(
            (organizations.c.external_id == name) | (sa.cast(organizations.c.id, sa.Text) == name)
        )
    ).all()
    for row in sorted(rows, key=lambda row: row.external_id != name):
        return int(row.id)
    raise BadInputError(f"There is no organization '{name}': give its external id or its number.")


def find_user(connection: sa.Connection, organization_id: int, name: str) -> int | None:
    """The number of an organization's user by external id; None: there is none."""
    number: int | None = connection.execute(
        sa.select(users.c.id).where(
            users.c.organization_id == organization_id, users.c.external_id == name
        )
    ).scalar()
    return number


def find_contact(connection: sa.Connection, name: str, organization: str | None) -> tuple[int, int]:
    """The organization and the number of a contact, by external id or number.

    Args:
        organization: External id or number; None: the organization with such a contact.

    Raises:
        BadInputError: there is none, or several organizations have one.
    """
    found = sa.select(contacts.c.organization_id, contacts.c.id, contacts.c.external_id)
    if organization is not None:
        number = organization_number(connection, organization)
        found = found.where(contacts.c.organization_id == number)
    by_name = connection.execute(found.where(contacts.c.external_id == name).limit(2)).all()
    if not by_name and name.isdigit() and len(name) < 19:
        by_name = connection.execute(found.where(contacts.c.id == int(name))).all()
    if len(by_name) > 1:
        raise BadInputError(f"Several organizations have a contact '{name}': name one of them.")
    if not by_name:
        raise BadInputError(f"There is no contact '{name}': give its external id or its number.")
    [row] = by_name
    return row.organization_id, row.id
