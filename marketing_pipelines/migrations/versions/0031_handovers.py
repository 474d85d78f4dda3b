"""Marks of messages that are being handed over, and how they ended until they are settled."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "handovers",
        sa.Column("message_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("claim", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("leased_until", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ended", pg.JSONB),
        schema="delivery",
    )
