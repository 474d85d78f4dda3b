"""The index of push tokens as addresses of contacts."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_contacts_push_address",
        "contacts",
        ["organization_id", sa.text("delivery.address_of('push', attributes ->> 'push_token')")],
        schema="crm",
        postgresql_where=sa.text("(attributes ->> 'push_token') is not null"),
        if_not_exists=True,
    )
