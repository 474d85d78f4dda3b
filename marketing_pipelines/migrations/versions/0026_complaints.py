"""An index of the complaints about messages."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_message_events_complained",
        "message_events",
        ["received_at", "message_id"],
        schema="delivery",
        postgresql_where=sa.text("type = 'complained'"),
        if_not_exists=True,
    )
