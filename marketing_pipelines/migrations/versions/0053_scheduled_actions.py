"""Scheduled actions, their routes and the times that routes took them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create schema actions")
    op.create_table(
        "routes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("target in ('job', 'task')", name=op.f("ck_routes_target")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["crm.organizations.id"], name=op.f("fk_routes_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routes")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_routes_organization_id_external_id")
        ),
        schema="actions",
    )
    op.create_table(
        "scheduled_actions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("every", sa.Text(), nullable=True),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("catch_up", sa.Text(), server_default="once", nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state in ('active', 'paused')) = (ended_at is null)",
            name=op.f("ck_scheduled_actions_ended_at"),
        ),
        sa.CheckConstraint(
            "catch_up in ('once', 'skip')", name=op.f("ck_scheduled_actions_catch_up")
        ),
        sa.CheckConstraint(
            "state <> 'active' or next_at is not null", name=op.f("ck_scheduled_actions_next_at")
        ),
        sa.CheckConstraint(
            "state in ('active', 'paused', 'finished', 'skipped', 'cancelled')",
            name=op.f("ck_scheduled_actions_state"),
        ),
        sa.CheckConstraint(
            "(cron is null) = (zone is null)", name=op.f("ck_scheduled_actions_zone")
        ),
        sa.CheckConstraint(
            "(run_at is null) = (cron is not null)", name=op.f("ck_scheduled_actions_once_or_again")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_scheduled_actions_organization_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduled_actions")),
        schema="actions",
    )
    op.create_index(
        "ix_scheduled_actions_dedupe_key",
        "scheduled_actions",
        ["organization_id", "type", "dedupe_key"],
        unique=False,
        schema="actions",
        postgresql_where=sa.text("dedupe_key is not null"),
    )
    op.create_index(
        "ix_scheduled_actions_due",
        "scheduled_actions",
        ["next_at", "id"],
        unique=False,
        schema="actions",
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "ix_scheduled_actions_organization_id",
        "scheduled_actions",
        ["organization_id", "id"],
        unique=False,
        schema="actions",
    )
    op.create_index(
        "ix_scheduled_actions_ended_at",
        "scheduled_actions",
        ["ended_at"],
        unique=False,
        schema="actions",
        postgresql_where=sa.text("ended_at is not null"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("action_id", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("route_id", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "run_id", sa.Text(), server_default=sa.text("(gen_random_uuid())::text"), nullable=False
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state in ('starting', 'done', 'failed')", name=op.f("ck_runs_state")),
        sa.CheckConstraint("target in ('job', 'task')", name=op.f("ck_runs_target")),
        sa.ForeignKeyConstraint(
            ["action_id"],
            ["actions.scheduled_actions.id"],
            name=op.f("fk_runs_action_id"),
            ondelete="cascade",
        ),
        sa.ForeignKeyConstraint(
            ["route_id"], ["actions.routes.id"], name=op.f("fk_runs_route_id"), ondelete="cascade"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint(
            "action_id", "due_at", "route_id", name=op.f("uq_runs_action_id_due_at_route_id")
        ),
        schema="actions",
    )
    op.create_index("ix_runs_created_at", "runs", ["created_at"], unique=False, schema="actions")
    op.create_index("ix_runs_route_id", "runs", ["route_id"], unique=False, schema="actions")
    op.create_index(
        "ix_runs_starting",
        "runs",
        ["id"],
        unique=False,
        schema="actions",
        postgresql_where=sa.text("state = 'starting'"),
    )
