"""Requests of exports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create schema exports")
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("segment_id", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("columns", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column(
            "notify",
            postgresql.ARRAY(sa.BigInteger()),
            server_default=sa.text("'{}'::bigint[]"),
            nullable=False,
        ),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("body_digest", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("expected_rows", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("progress_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("file", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "format in ('csv', 'json', 'xlsx', 'pdf', 'parquet')", name=op.f("ck_requests_format")
        ),
        sa.CheckConstraint(
            "kind in ('contact', 'contacts', 'events', 'messages', 'campaign_stats', 'deals', "
            "'activities')",
            name=op.f("ck_requests_kind"),
        ),
        sa.CheckConstraint(
            "state <> 'ready' or num_nulls(file, size, expires_at) = 0",
            name=op.f("ck_requests_ready"),
        ),
        sa.CheckConstraint(
            "state in ('queued', 'running', 'ready', 'failed', 'expired', 'cancelled')",
            name=op.f("ck_requests_state"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["crm.organizations.id"], name=op.f("fk_requests_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.UniqueConstraint(
            "organization_id",
            "idempotency_key",
            name=op.f("uq_requests_organization_id_idempotency_key"),
        ),
        schema="exports",
    )
    op.create_index(
        "ix_requests_contact_id",
        "requests",
        ["contact_id"],
        unique=False,
        schema="exports",
        postgresql_where=sa.text("contact_id is not null"),
    )
    op.create_index(
        "ix_requests_created_at", "requests", ["created_at"], unique=False, schema="exports"
    )
    op.create_index(
        "ix_requests_organization_id",
        "requests",
        ["organization_id", "id"],
        unique=False,
        schema="exports",
    )
    op.create_index(
        "ix_requests_unended",
        "requests",
        ["id"],
        unique=False,
        schema="exports",
        postgresql_where=sa.text("state in ('queued', 'running')"),
    )
    op.create_index(
        "ix_requests_with_file",
        "requests",
        ["expires_at"],
        unique=False,
        schema="exports",
        postgresql_where=sa.text("file is not null"),
    )
