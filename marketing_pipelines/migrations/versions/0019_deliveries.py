"""Answers of servers on messages: the id there, and refusals of the recipient for now."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "messages", sa.Column("provider_message_id", sa.Text(), nullable=True), schema="delivery"
    )
    op.add_column(
        "messages",
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        schema="delivery",
    )
    op.add_column(
        "messages",
        sa.Column("refusals", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        schema="delivery",
    )
    op.add_column(
        "messages",
        sa.Column("is_bulk", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="delivery",
    )
