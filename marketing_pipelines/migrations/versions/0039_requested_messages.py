"""Index of the messages of applications that wait, by contact."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_messages_requested",
        "messages",
        ["contact_id"],
        schema="delivery",
        postgresql_where=sa.text("step_id is null and claimed_at is null"),
        if_not_exists=True,
    )
