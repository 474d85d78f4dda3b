"""The instant at which a subscription's confirmation was asked for; the index of subscribers."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "subscriptions",
        sa.Column("asked_at", sa.DateTime(timezone=True)),
        schema="delivery",
    )
    op.create_index(
        "ix_subscriptions_subscribed",
        "subscriptions",
        ["category_id", "contact_id"],
        schema="delivery",
        postgresql_where=sa.text("state = 'subscribed'"),
        if_not_exists=True,
    )
