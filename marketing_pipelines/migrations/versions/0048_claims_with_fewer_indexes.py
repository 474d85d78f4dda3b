"""Messages without their index by program: those of a program are found by its steps."""

from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_messages_program", "messages", schema="delivery")
