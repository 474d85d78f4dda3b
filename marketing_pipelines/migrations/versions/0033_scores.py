"""Scores and their rules, and the fields of contacts and users for sales."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from marketing_pipelines.migrations.moved_attributes import MovedAttribute, move_attributes

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create schema leads")
    op.execute("create schema sales")
    op.create_table(
        "score_rules",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("rule", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("counts", sa.Text(), server_default="once", nullable=False),
        sa.Column("most", sa.Integer()),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "counts in ('once', 'each', 'per_day')", name=op.f("ck_score_rules_counts")
        ),
        sa.CheckConstraint("most > 0", name=op.f("ck_score_rules_most")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_score_rules_organization_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_rules")),
        sa.UniqueConstraint(
            "organization_id",
            "external_id",
            name=op.f("uq_score_rules_organization_id_external_id"),
        ),
        schema="leads",
    )
    op.create_table(
        "intent_days",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.CheckConstraint("band in ('high', 'medium', 'low')", name=op.f("ck_intent_days_band")),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["crm.contacts.id"], name=op.f("fk_intent_days_contact_id")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_intent_days_organization_id"),
        ),
        sa.PrimaryKeyConstraint("contact_id", "date", name=op.f("pk_intent_days")),
        schema="leads",
    )
    op.create_index(
        "ix_intent_days_date",
        "intent_days",
        ["date", "organization_id"],
        schema="leads",
    )
    op.create_table(
        "opportunity_points",
        sa.Column("opportunity_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["opportunity_id"],
            ["crm.opportunities.id"],
            name=op.f("fk_opportunity_points_opportunity_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_opportunity_points_organization_id"),
        ),
        sa.PrimaryKeyConstraint("opportunity_id", "date", name=op.f("pk_opportunity_points")),
        schema="leads",
    )
    op.create_index(
        "ix_opportunity_points_date",
        "opportunity_points",
        ["date", "organization_id"],
        schema="leads",
    )
    op.add_column("contacts", sa.Column("lead_score", sa.Integer()), schema="crm")
    op.add_column("contacts", sa.Column("intent_band", sa.Text()), schema="crm")
    op.add_column("contacts", sa.Column("lead_status", sa.Text()), schema="crm")
    op.add_column(
        "contacts",
        sa.Column("lead_status_at", sa.DateTime(timezone=True)),
        schema="crm",
    )
    op.add_column(
        "contacts",
        sa.Column("lifecycle_stage_at", sa.DateTime(timezone=True)),
        schema="crm",
    )
    op.add_column("contacts", sa.Column("manual_override", sa.Boolean()), schema="crm")
    op.add_column(
        "contacts",
        sa.Column("enriched_at", sa.DateTime(timezone=True)),
        schema="crm",
    )
    op.add_column(
        "contacts",
        sa.Column(
            "enriched_fields",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        schema="crm",
    )
    op.add_column(
        "contacts",
        sa.Column("next_follow_up_at", sa.DateTime(timezone=True)),
        schema="crm",
    )
    op.add_column("contacts", sa.Column("follow_up_note", sa.Text()), schema="crm")
    op.add_column(
        "contacts",
        sa.Column(
            "tags",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        schema="crm",
    )
    op.create_check_constraint(
        op.f("ck_contacts_lead_score"), "contacts", "lead_score between 0 and 100", schema="crm"
    )
    op.create_check_constraint(
        op.f("ck_contacts_intent_band"),
        "contacts",
        "intent_band in ('high', 'medium', 'low')",
        schema="crm",
    )
    op.create_check_constraint(
        op.f("ck_contacts_lead_status"),
        "contacts",
        "lead_status in ('new', 'working', 'nurturing', 'recycled', 'lost', 'unqualified')",
        schema="crm",
    )
    op.create_index(
        "ix_contacts_next_follow_up_at",
        "contacts",
        ["next_follow_up_at"],
        if_not_exists=True,
        schema="crm",
        postgresql_where=sa.text("next_follow_up_at is not null"),
    )
    op.add_column(
        "users",
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        schema="crm",
    )
    move_attributes(
        "crm.contacts",
        [
            MovedAttribute("lead_score", "integer", least=0, most=100),
            MovedAttribute("intent_band", choices=("high", "medium", "low")),
            MovedAttribute(
                "lead_status",
                choices=("new", "working", "nurturing", "recycled", "lost", "unqualified"),
            ),
            MovedAttribute("lead_status_at", "instant"),
            MovedAttribute("lifecycle_stage_at", "instant"),
            MovedAttribute("manual_override", "boolean"),
            MovedAttribute("enriched_at", "instant"),
            MovedAttribute("enriched_fields", "list"),
            MovedAttribute("next_follow_up_at", "instant"),
            MovedAttribute("follow_up_note"),
            MovedAttribute("tags", "list"),
        ],
    )
    move_attributes("crm.users", [MovedAttribute("active", "boolean")])
