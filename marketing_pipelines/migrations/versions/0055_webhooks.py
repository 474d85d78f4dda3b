"""Endpoints of webhooks and the deliveries to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create schema webhooks")
    op.create_table(
        "endpoints",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "event_types",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("last_ok_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'disabled') = (disabled_at is not null)",
            name=op.f("ck_endpoints_disabled_at"),
        ),
        sa.CheckConstraint(
            "(state = 'failing') = (probe_at is not null)", name=op.f("ck_endpoints_probe_at")
        ),
        sa.CheckConstraint(
            "state in ('active', 'failing', 'disabled')", name=op.f("ck_endpoints_state")
        ),
        sa.CheckConstraint(
            "(old_secret is null) = (old_secret_until is null)",
            name=op.f("ck_endpoints_old_secret"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["crm.organizations.id"], name=op.f("fk_endpoints_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
        schema="webhooks",
    )
    op.create_index(
        "ix_endpoints_organization_id",
        "endpoints",
        ["organization_id", "id"],
        unique=False,
        schema="webhooks",
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("endpoint_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "data",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'waiting') = (ended_at is null)", name=op.f("ck_deliveries_ended_at")
        ),
        sa.CheckConstraint(
            "state in ('waiting', 'delivered', 'failed')", name=op.f("ck_deliveries_state")
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhooks.endpoints.id"],
            name=op.f("fk_deliveries_endpoint_id"),
            ondelete="cascade",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint(
            "endpoint_id", "event_id", name=op.f("uq_deliveries_endpoint_id_event_id")
        ),
        schema="webhooks",
    )
    op.create_index(
        "ix_deliveries_contact_id",
        "deliveries",
        ["contact_id"],
        unique=False,
        schema="webhooks",
        postgresql_where=sa.text("contact_id is not null"),
    )
    op.create_index(
        "ix_deliveries_published_at",
        "deliveries",
        ["published_at"],
        unique=False,
        schema="webhooks",
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["endpoint_id", "due_at", "id"],
        unique=False,
        schema="webhooks",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_deliveries_waiting_of_contacts",
        "deliveries",
        ["endpoint_id", "contact_id", "id"],
        unique=False,
        schema="webhooks",
        postgresql_where=sa.text("state = 'waiting' and contact_id is not null"),
    )
