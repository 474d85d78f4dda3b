"""Keys of tasks that are enqueued once until they end, or for some time after that."""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "task_keys",
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("unique_for", sa.Interval, nullable=False),
        sa.Column("until", sa.TIMESTAMP(timezone=True)),
        sa.Index("ix_task_keys_task_id", "task_id"),
        sa.Index("ix_task_keys_until", "until"),
        schema="ops",
    )
