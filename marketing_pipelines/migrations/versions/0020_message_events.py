"""Events of messages as providers report them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_event_id", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "reading",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_events")),
        sa.UniqueConstraint(
            "provider",
            "provider_event_id",
            name=op.f("uq_message_events_provider_provider_event_id"),
        ),
        schema="delivery",
    )
    op.create_index(
        "ix_message_events_early",
        "message_events",
        ["message_id"],
        unique=False,
        schema="delivery",
        postgresql_where=sa.text("applied_at is null and message_id is not null"),
    )
    op.create_index(
        "ix_message_events_lost",
        "message_events",
        ["received_at"],
        unique=False,
        schema="delivery",
        postgresql_where=sa.text("applied_at is null and message_id is null"),
    )
    op.create_index(
        "ix_message_events_message_id",
        "message_events",
        ["message_id"],
        unique=False,
        schema="delivery",
    )
    op.create_index(
        "ix_message_events_unread",
        "message_events",
        ["provider"],
        unique=False,
        schema="delivery",
        postgresql_where=sa.text("type = 'unread'"),
    )
    op.create_index(
        "uq_message_events_token",
        "message_events",
        ["provider", "token"],
        unique=True,
        schema="delivery",
        postgresql_where=sa.text("token is not null"),
    )
    op.create_index(
        "ix_messages_provider_message_id",
        "messages",
        ["provider_message_id"],
        unique=False,
        schema="delivery",
        postgresql_where=sa.text("provider_message_id is not null"),
    )
