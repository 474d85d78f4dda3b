"""The latest use of contents of messages, from which their retention counts."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "contents",
        sa.Column(
            "used_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        schema="delivery",
    )
    op.create_index("ix_contents_used_at", "contents", ["used_at"], schema="delivery")
