"""Requests of applications, tokens of one organization, the source of contacts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

KEY = ["organization_id", "idempotency_key"]


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("body_digest", sa.Text(), nullable=False),
        sa.Column(
            "message_ids",
            pg.ARRAY(sa.BigInteger()),
            server_default=sa.text("'{}'::bigint[]"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["crm.organizations.id"], name=op.f("fk_requests_organization_id")
        ),
        sa.UniqueConstraint(*KEY, name=op.f("uq_requests_organization_id_idempotency_key")),
        schema="delivery",
    )
    op.drop_index("uq_messages_idempotency_key", table_name="messages", schema="delivery")
    op.create_index(
        "ix_messages_idempotency_key",
        "messages",
        KEY,
        schema="delivery",
        postgresql_where=sa.text("idempotency_key is not null"),
    )
    op.add_column(
        "contacts",
        sa.Column("source", sa.Text(), server_default="import", nullable=False),
        schema="crm",
    )
    op.create_check_constraint(
        op.f("ck_contacts_source"),
        "contacts",
        "source in ('import', 'manual', 'form', 'api', 'stub')",
        schema="crm",
    )
    for table in ("tokens", "audit_log"):
        op.add_column(table, sa.Column("organization_id", sa.BigInteger()), schema="ops")
        op.create_foreign_key(
            op.f(f"fk_{table}_organization_id"),
            table,
            "organizations",
            ["organization_id"],
            ["id"],
            source_schema="ops",
            referent_schema="crm",
        )
