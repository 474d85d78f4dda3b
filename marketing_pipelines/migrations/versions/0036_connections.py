"""Connections to other systems, how far each is synchronized, and destinations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("create schema integrations")
    op.create_table(
        "connections",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), server_default="", nullable=False),
        sa.Column("settings", pg.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("secrets", sa.Text()),
        sa.Column("state", sa.Text(), server_default="ok", nullable=False),
        sa.Column("last_ok_at", INSTANT),
        sa.Column("error", sa.Text()),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "state in ('ok', 'failing', 'reconnect')", name=op.f("ck_connections_state")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_connections_organization_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint(
            "organization_id",
            "provider",
            "external_id",
            name=op.f("uq_connections_organization_id_provider_external_id"),
        ),
        schema="integrations",
    )
    op.create_table(
        "syncs",
        sa.Column("connection_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("last_ok_at", INSTANT),
        sa.Column("last_tick", INSTANT),
        sa.Column("backlog", sa.BigInteger()),
        sa.Column("next_at", INSTANT),
        sa.Column("error", sa.Text()),
        sa.Column("overdue_at", INSTANT, nullable=False),
        sa.Column("pages", pg.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["integrations.connections.id"],
            name=op.f("fk_syncs_connection_id"),
            ondelete="cascade",
        ),
        sa.PrimaryKeyConstraint("connection_id", "what", name=op.f("pk_syncs")),
        schema="integrations",
    )
    op.create_table(
        "destinations",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("url", sa.Text()),
        sa.Column("updated_at", INSTANT),
        sa.Column("gone_at", INSTANT),
        sa.Column("listed_by", sa.BigInteger()),
        sa.Column("page", sa.Text()),
        sa.Column("created_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_destinations_organization_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destinations")),
        sa.UniqueConstraint(
            "organization_id",
            "external_id",
            name=op.f("uq_destinations_organization_id_external_id"),
        ),
        schema="crm",
    )
    op.create_index(
        "ix_destinations_listed_by", "destinations", ["listed_by", "page"], schema="crm"
    )
