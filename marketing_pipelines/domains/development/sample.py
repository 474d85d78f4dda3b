"""The work of the sample job: contacts per organization."""

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import contacts, organizations


def count_contacts(connection: sa.Connection) -> dict[str, int]:
    """Counts the contacts of each organization, by its external id."""
    rows = connection.execute(
        sa.select(organizations.c.external_id, sa.func.count(contacts.c.id).label("number"))
        .join_from(organizations, contacts, isouter=True)
        .group_by(organizations.c.external_id)
        .order_by(organizations.c.external_id)
    )
    return {row.external_id: row.number for row in rows}
