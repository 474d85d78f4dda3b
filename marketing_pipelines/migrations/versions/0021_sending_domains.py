"""Sending domains with their warm-up, and the lines that messages go over."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def _instant(name: str, **options: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **options)  # type: ignore[arg-type]


def upgrade() -> None:
    op.create_table(
        "sending_domains",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("from_address", sa.Text(), nullable=False),
        sa.Column("from_name", sa.Text()),
        sa.Column("reply_to", sa.Text()),
        sa.Column("headers", pg.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("warmup", sa.Text(), server_default="auto", nullable=False),
        sa.Column("warmup_started_on", sa.Date()),
        sa.Column("per_second", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _instant("paused_until"),
        _instant("next_start_at"),
        _instant("created_at", server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("warmup in ('auto', 'off')", name=op.f("ck_sending_domains_warmup")),
        sa.CheckConstraint("per_second >= 0", name=op.f("ck_sending_domains_per_second")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_sending_domains_organization_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending_domains")),
        sa.UniqueConstraint(
            "organization_id", "domain", name=op.f("uq_sending_domains_organization_id_domain")
        ),
        schema="delivery",
    )
    op.create_table(
        "warmup_reservations",
        sa.Column("domain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer()),
        _instant("closed_at"),
        sa.PrimaryKeyConstraint("domain_id", "day", name=op.f("pk_warmup_reservations")),
        schema="delivery",
    )
    op.create_table(
        "lines",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        _instant("open_until"),
        _instant("opened_at"),
        sa.Column("last_error", sa.Text()),
        sa.Column("ceiling", sa.Float()),
        _instant("ceiling_until"),
        _instant("next_start_at"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lines")),
        schema="delivery",
    )
    op.add_column("messages", sa.Column("domain_id", sa.BigInteger()), schema="delivery")
    op.add_column("messages", sa.Column("reserved_on", sa.Date()), schema="delivery")
    op.create_index(
        "ix_messages_sent",
        "messages",
        ["sent_at"],
        schema="delivery",
        postgresql_where=sa.text("sent_at is not null"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_messages_reserved",
        "messages",
        ["reserved_on", "domain_id"],
        schema="delivery",
        postgresql_where=sa.text("reserved_on is not null"),
        if_not_exists=True,
    )
