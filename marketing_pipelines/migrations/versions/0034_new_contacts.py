"""Contacts that are not announced yet, and the turn in which users get new ones."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unannounced_contacts",
        sa.Column("contact_id", sa.BigInteger, primary_key=True, autoincrement=False),
        schema="crm",
    )
    op.create_table(
        "assignment_turns",
        sa.Column(
            "organization_id",
            sa.BigInteger,
            sa.ForeignKey("crm.organizations.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("assigned", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        schema="crm",
    )
    # Contacts that are known otherwise count as announced by the former release.
    op.execute("""
        insert into crm.unannounced_contacts (contact_id)
        select contact.id
        from crm.contacts as contact
        where contact.source in ('stub', 'api') and not exists (
            select from delivery.subscriptions as subscription
            where subscription.contact_id = contact.id and subscription.state = 'subscribed'
        )
    """)
