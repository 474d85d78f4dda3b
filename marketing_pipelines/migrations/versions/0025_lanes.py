"""Indexes of the lanes and the leases of messages, in place of the one of due messages."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_messages_due", table_name="messages", schema="delivery")
    op.create_index(
        "ix_messages_queued",
        "messages",
        [
            "channel",
            "organization_id",
            sa.text("coalesce(domain_id, 0)"),
            "kind",
            sa.text("coalesce(program_kind, '')"),
            sa.text("coalesce(program_id, 0)"),
            sa.text("(- priority)"),
            "due_at",
            "id",
        ],
        schema="delivery",
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_messages_leased",
        "messages",
        ["channel", "leased_until"],
        schema="delivery",
        postgresql_where=sa.text("state in ('claimed', 'sending')"),
    )
