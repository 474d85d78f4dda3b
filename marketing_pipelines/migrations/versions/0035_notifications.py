"""Notifications of users; users without a choice of mails get them in production only."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text()),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True)),
        sa.Column("mailed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_notifications_organization_id"),
        ),
        sa.UniqueConstraint(
            "job",
            "kind",
            "subject",
            "period",
            "user_id",
            name=op.f("uq_notifications_job_kind_subject_period_user_id"),
        ),
        schema="crm",
    )
    op.create_index(
        "ix_notifications_organization_id",
        "notifications",
        ["organization_id", "id"],
        schema="crm",
    )
    op.create_index("ix_notifications_user_id", "notifications", ["user_id", "id"], schema="crm")
    op.alter_column("users", "notify_by_mail", nullable=True, server_default=None, schema="crm")
