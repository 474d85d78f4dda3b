"""Rules of retention, and the indexes by which old rows are found."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

# Schema, table, column, suffix of the index, True if rows without an instant are left out.
INDEXES = (
    ("ops", "job_sessions", "started_at", "started_at", False),
    ("ops", "incidents", "recovered_at", "recovered_at", True),
    ("ops", "alerts", "recorded_at", "recorded_at", False),
    ("ops", "dead_letters", "settled_at", "settled_at", True),
    ("ops", "bus_events", "published_at", "published_at", False),
    ("sales", "meeting_briefs", "created_at", "created_at", False),
    ("sales", "insights", "date", "date", False),
    ("crm", "notifications", "read_at", "read_at", True),
    ("crm", "tasks", "done_at", "done", True),
    ("delivery", "warmup_reservations", "day", "day", False),
    ("delivery", "message_events", "received_at", "received_at", False),
    ("segments", "memberships", "left_at", "left_at", True),
    ("lifecycle", "step_results", "at", "at", False),
)


def upgrade() -> None:
    op.create_table(
        "retention",
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("first_tick", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("last_tick", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("old_rows", sa.BigInteger, nullable=False),
        sa.Column("removed_rows", sa.BigInteger, nullable=False, server_default="0"),
        schema="ops",
    )
    for schema, table, column, suffix, is_partial in INDEXES:
        where = sa.text(f"{column} is not null") if is_partial else None
        op.create_index(
            f"ix_{table}_{suffix}",
            table,
            [column],
            schema=schema,
            postgresql_where=where,
            if_not_exists=True,
        )
