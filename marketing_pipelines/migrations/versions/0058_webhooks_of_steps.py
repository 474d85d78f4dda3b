"""Steps `webhook` write deliveries: drafts, and the endpoints of the URLs that steps name."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "deliveries",
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        schema="webhooks",
    )
    checks = {
        "state": "state in ('draft', 'waiting', 'delivered', 'failed')",
        "ended_at": "(state in ('draft', 'waiting')) = (ended_at is null)",
    }
    for check, condition in checks.items():
        name = op.f(f"ck_deliveries_{check}")
        op.drop_constraint(name, "deliveries", schema="webhooks", type_="check")
        op.create_check_constraint(name, "deliveries", condition, schema="webhooks")
    op.create_check_constraint(
        op.f("ck_deliveries_fields"),
        "deliveries",
        "state <> 'draft' or fields is not null",
        schema="webhooks",
    )
    op.create_index(
        "ix_deliveries_drafts",
        "deliveries",
        ["endpoint_id", "id"],
        unique=False,
        schema="webhooks",
        postgresql_where=sa.text("state = 'draft'"),
    )
    # Their secrets come by `webhook rotate`, which shows them to somebody.
    op.execute(
        """
        insert into webhooks.endpoints (organization_id, url, event_types, secret, created_at)
        select distinct step.organization_id, step.config ->> 'url', array['step.reached'], '',
               now()
        from lifecycle.steps as step
        where step.type = 'webhook' and step.config ->> 'url' is not null
            and not exists (
                select from webhooks.endpoints as known
                where known.organization_id = step.organization_id
                    and known.url = step.config ->> 'url'
            )
        """
    )
    op.execute(
        """
        update lifecycle.steps
        set config = config - array['kind', 'priority', 'valid_for', 'bulk']
        where type = 'webhook' and config ?| array['kind', 'priority', 'valid_for', 'bulk']
        """
    )
    op.execute(
        """
        update public.procrastinate_jobs set status = 'cancelled'
        where queue_name = 'send-webhook' and status = 'todo'
        """
    )
