"""Routes of actions may lead to endpoints of webhooks."""

from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("routes", "runs"):
        name = op.f(f"ck_{table}_target")
        op.drop_constraint(name, table, schema="actions", type_="check")
        targets = "target in ('job', 'task', 'endpoint')"
        op.create_check_constraint(name, table, targets, schema="actions")
