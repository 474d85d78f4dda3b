"""Templates of messages, and the variables that a message's caller gave."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "templates",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="email", nullable=False),
        sa.Column("kind", sa.Text(), server_default="marketing", nullable=False),
        sa.Column("category", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("title", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.Column("html", sa.Text()),
        sa.Column("from", sa.Text()),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("valid_for", sa.Text()),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["crm.organizations.id"], name=op.f("fk_templates_organization_id")
        ),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_templates_organization_id_external_id")
        ),
        sa.CheckConstraint(
            "channel in ('email', 'sms', 'push')", name=op.f("ck_templates_channel")
        ),
        sa.CheckConstraint(
            "kind in ('marketing', 'transactional')", name=op.f("ck_templates_kind")
        ),
        sa.CheckConstraint("priority between -100 and 100", name=op.f("ck_templates_priority")),
        schema="delivery",
    )
    op.add_column("messages", sa.Column("variables", pg.JSONB()), schema="delivery")
