"""Stale deals, briefs of meetings and insights of days."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def _instant(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _json(name: str, default: str) -> sa.Column[object]:
    return sa.Column(name, pg.JSONB(), server_default=sa.text(default), nullable=False)


def _organization_of(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id"], ["crm.organizations.id"], name=op.f(f"fk_{table}_organization_id")
    )


def upgrade() -> None:
    op.create_table(
        "stale_deals",
        sa.Column("deal_id", sa.BigInteger(), autoincrement=False, nullable=False),
        _instant("silent_since", nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        _instant("stale_at", nullable=False),
        _instant("at_risk_at"),
        _instant("ended_at"),
        sa.Column("ended_by", sa.Text()),
        sa.PrimaryKeyConstraint("deal_id", "silent_since", name=op.f("pk_stale_deals")),
        sa.ForeignKeyConstraint(
            ["deal_id"], ["crm.deals.id"], name=op.f("fk_stale_deals_deal_id"), ondelete="CASCADE"
        ),
        _organization_of("stale_deals"),
        sa.CheckConstraint(
            "ended_by in ('activity', 'won', 'lost')", name=op.f("ck_stale_deals_ended_by")
        ),
        sa.CheckConstraint(
            "(ended_at is null) = (ended_by is null)", name=op.f("ck_stale_deals_ended")
        ),
        schema="sales",
    )
    op.create_index(
        "ix_stale_deals_open",
        "stale_deals",
        ["organization_id"],
        schema="sales",
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index(
        "ix_stale_deals_stale_at", "stale_deals", ["organization_id", "stale_at"], schema="sales"
    )
    op.create_table(
        "meeting_briefs",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("meeting_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        _json("key_points", "'[]'::jsonb"),
        _json("talking_points", "'[]'::jsonb"),
        _json("questions", "'[]'::jsonb"),
        _json("facts", "'{}'::jsonb"),
        sa.Column("writer", sa.Text(), nullable=False),
        _instant("created_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meeting_briefs")),
        sa.ForeignKeyConstraint(
            ["meeting_id"],
            ["crm.meetings.id"],
            name=op.f("fk_meeting_briefs_meeting_id"),
            ondelete="CASCADE",
        ),
        _organization_of("meeting_briefs"),
        sa.UniqueConstraint(
            "meeting_id", "version", name=op.f("uq_meeting_briefs_meeting_id_version")
        ),
        schema="sales",
    )
    op.create_index(
        "ix_meeting_briefs_organization_id",
        "meeting_briefs",
        ["organization_id", "created_at"],
        schema="sales",
    )
    op.create_table(
        "insights",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        _json("metrics", "'{}'::jsonb"),
        _json("trends", "'[]'::jsonb"),
        _json("attention", "'[]'::jsonb"),
        _json("recommendations", "'[]'::jsonb"),
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        _instant("created_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insights")),
        _organization_of("insights"),
        sa.UniqueConstraint(
            "organization_id", "date", name=op.f("uq_insights_organization_id_date")
        ),
        schema="sales",
    )
    op.create_index(
        "ix_contacts_organization_id_created_at",
        "contacts",
        ["organization_id", "created_at"],
        schema="crm",
        if_not_exists=True,
    )
    op.create_index(
        "ix_deals_organization_id_created_at",
        "deals",
        ["organization_id", "created_at"],
        schema="crm",
        if_not_exists=True,
    )
