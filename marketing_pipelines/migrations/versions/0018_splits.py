"""Splits of programs: a step type, and the way that each contact went."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STEPS = (
    "type in ('send_email', 'send_sms', 'send_push', 'wait', 'branch', 'wait_for', 'split', "
    "'update_contact', 'create_task', 'webhook', 'exit')"
)
OUTCOMES = "outcome in ('done', 'yes', 'no', 'way', 'skipped', 'exited', 'canceled', 'failed')"


def upgrade() -> None:
    op.add_column("step_results", sa.Column("way", sa.Text(), nullable=True), schema="lifecycle")
    for table, name, condition in (
        ("steps", "type", STEPS),
        ("step_results", "outcome", OUTCOMES),
        ("step_results", "way", "(outcome = 'way') = (way is not null)"),
    ):
        op.execute(f"alter table lifecycle.{table} drop constraint if exists ck_{table}_{name}")
        op.execute(
            f"alter table lifecycle.{table} add constraint ck_{table}_{name} check ({condition})"
        )
