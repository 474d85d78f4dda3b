"""Deals with the history of their stages, opportunities, activities, meetings; done tasks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("contact_id", sa.BigInteger()),
        sa.Column("company_id", sa.BigInteger()),
        sa.Column("owner_id", sa.BigInteger()),
        sa.Column("pipeline", sa.Text()),
        sa.Column("stage", sa.Text()),
        sa.Column("status", sa.Text(), server_default="open"),
        sa.Column("amount", sa.Numeric()),
        sa.Column("currency", sa.Text()),
        sa.Column("expected_close_on", sa.Date()),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("stage_changed_at", sa.DateTime(timezone=True)),
        sa.Column(
            "tags",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column(
            "attributes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("status in ('open', 'won', 'lost')", name=op.f("ck_deals_status")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_deals_amount")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["crm.companies.id"], name=op.f("fk_deals_company_id")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["crm.contacts.id"], name=op.f("fk_deals_contact_id")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["crm.organizations.id"], name=op.f("fk_deals_organization_id")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["crm.users.id"], name=op.f("fk_deals_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deals")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_deals_organization_id_external_id")
        ),
        schema="crm",
    )
    op.create_index("ix_deals_contact_id", "deals", ["contact_id"], schema="crm")
    op.create_index(
        "ix_deals_open",
        "deals",
        ["organization_id"],
        schema="crm",
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_table(
        "opportunities",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.BigInteger()),
        sa.Column("stage", sa.Text()),
        sa.Column("travel_date", sa.Date()),
        sa.Column("score", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "attributes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["crm.contacts.id"], name=op.f("fk_opportunities_contact_id")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_opportunities_organization_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opportunities")),
        sa.UniqueConstraint(
            "organization_id",
            "external_id",
            name=op.f("uq_opportunities_organization_id_external_id"),
        ),
        schema="crm",
    )
    op.create_index("ix_opportunities_contact_id", "opportunities", ["contact_id"], schema="crm")
    op.create_index(
        "ix_opportunities_organization_id_travel_date",
        "opportunities",
        ["organization_id", "travel_date"],
        schema="crm",
    )
    op.create_table(
        "activities",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text()),
        sa.Column("contact_id", sa.BigInteger()),
        sa.Column("deal_id", sa.BigInteger()),
        sa.Column("company_id", sa.BigInteger()),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.Column("source", sa.Text(), server_default="file", nullable=False),
        sa.Column("ref", sa.Text()),
        sa.CheckConstraint("direction in ('in', 'out')", name=op.f("ck_activities_direction")),
        sa.CheckConstraint(
            "kind in ('email', 'call', 'meeting', 'note', 'task', 'other')",
            name=op.f("ck_activities_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["crm.companies.id"], name=op.f("fk_activities_company_id")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["crm.contacts.id"], name=op.f("fk_activities_contact_id")
        ),
        sa.ForeignKeyConstraint(["deal_id"], ["crm.deals.id"], name=op.f("fk_activities_deal_id")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_activities_organization_id"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["crm.users.id"], name=op.f("fk_activities_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activities")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_activities_organization_id_external_id")
        ),
        schema="crm",
    )
    op.create_index(
        "ix_activities_contact_id",
        "activities",
        ["contact_id", "occurred_at"],
        schema="crm",
    )
    op.create_index(
        "ix_activities_deal_id",
        "activities",
        ["deal_id", "occurred_at"],
        schema="crm",
        postgresql_where=sa.text("deal_id is not null"),
    )
    op.create_index(
        "ix_activities_organization_id_occurred_at",
        "activities",
        ["organization_id", "occurred_at"],
        schema="crm",
    )
    op.create_table(
        "deal_stage_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("deal_id", sa.BigInteger(), nullable=False),
        sa.Column("from", sa.Text()),
        sa.Column("to", sa.Text()),
        sa.Column("from_status", sa.Text()),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["deal_id"],
            ["crm.deals.id"],
            name=op.f("fk_deal_stage_history_deal_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_deal_stage_history_organization_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deal_stage_history")),
        schema="crm",
    )
    op.create_index(
        "ix_deal_stage_history_deal_id",
        "deal_stage_history",
        ["deal_id", "at"],
        schema="crm",
    )
    op.create_index(
        "ix_deal_stage_history_organization_id_at",
        "deal_stage_history",
        ["organization_id", "at"],
        schema="crm",
    )
    op.create_table(
        "meetings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("owner_id", sa.BigInteger()),
        sa.Column("deal_id", sa.BigInteger()),
        sa.Column(
            "attendees",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column("status", sa.Text(), server_default="planned", nullable=False),
        sa.Column(
            "attributes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("status in ('planned', 'cancelled')", name=op.f("ck_meetings_status")),
        sa.CheckConstraint("ends_at >= starts_at", name=op.f("ck_meetings_ends_at")),
        sa.ForeignKeyConstraint(["deal_id"], ["crm.deals.id"], name=op.f("fk_meetings_deal_id")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["crm.organizations.id"], name=op.f("fk_meetings_organization_id")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["crm.users.id"], name=op.f("fk_meetings_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meetings")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_meetings_organization_id_external_id")
        ),
        schema="crm",
    )
    op.create_index(
        "ix_meetings_deal_id",
        "meetings",
        ["deal_id"],
        schema="crm",
        postgresql_where=sa.text("deal_id is not null"),
    )
    op.create_index("ix_meetings_starts_at", "meetings", ["starts_at"], schema="crm")
    op.create_table(
        "meeting_attendees",
        sa.Column("meeting_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("attendee", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"],
            ["crm.meetings.id"],
            name=op.f("fk_meeting_attendees_meeting_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_meeting_attendees_organization_id"),
        ),
        sa.PrimaryKeyConstraint("meeting_id", "position", name=op.f("pk_meeting_attendees")),
        schema="crm",
    )
    op.create_index(
        "ix_meeting_attendees_address",
        "meeting_attendees",
        ["organization_id", "address"],
        schema="crm",
    )
    op.create_index(
        "ix_meeting_attendees_attendee",
        "meeting_attendees",
        ["organization_id", "attendee"],
        schema="crm",
    )
    op.add_column("tasks", sa.Column("external_id", sa.Text()), schema="crm")
    op.add_column("tasks", sa.Column("deal_id", sa.BigInteger()), schema="crm")
    op.add_column("tasks", sa.Column("done_at", sa.DateTime(timezone=True)), schema="crm")
    op.create_index(
        "ix_tasks_deal_id",
        "tasks",
        ["deal_id"],
        schema="crm",
        postgresql_where=sa.text("deal_id is not null"),
    )
    op.create_index(
        "ix_tasks_done_at",
        "tasks",
        ["organization_id", "done_at"],
        schema="crm",
        postgresql_where=sa.text("done_at is not null"),
    )
    op.create_unique_constraint(
        op.f("uq_tasks_organization_id_external_id"),
        "tasks",
        ["organization_id", "external_id"],
        schema="crm",
    )
