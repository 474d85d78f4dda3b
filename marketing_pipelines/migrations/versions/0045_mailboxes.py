"""Mail of connected mailboxes, and the attempts of synchronizations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create schema inbox")
    op.create_table(
        "email_messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("thread_id", sa.BigInteger(), nullable=True),
        sa.Column("in_reply_to", sa.Text(), nullable=True),
        sa.Column(
            "reference_ids",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column("from_address", sa.Text(), nullable=True),
        sa.Column(
            "to_addresses",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column(
            "cc_addresses",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("snippet", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("direction", sa.Text(), nullable=True),
        sa.Column(
            "contact_ids",
            postgresql.ARRAY(sa.BigInteger()),
            server_default=sa.text("'{}'::bigint[]"),
            nullable=False,
        ),
        sa.Column("is_auto_reply", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_bounce", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("malformed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "attachments",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("raw_path", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.Text(), nullable=True),
        sa.Column("share", sa.Text(), nullable=False),
        sa.CheckConstraint("direction in ('in', 'out')", name=op.f("ck_email_messages_direction")),
        sa.CheckConstraint(
            "share in ('metadata', 'subject', 'full')", name=op.f("ck_email_messages_share")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["crm.organizations.id"],
            name=op.f("fk_email_messages_organization_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_messages")),
        sa.UniqueConstraint(
            "organization_id", "identity", name=op.f("uq_email_messages_organization_id_identity")
        ),
        schema="inbox",
    )
    op.create_index(
        "ix_email_messages_contact_ids",
        "email_messages",
        ["contact_ids"],
        unique=False,
        schema="inbox",
        postgresql_using="gin",
    )
    op.create_index(
        "ix_email_messages_message_id",
        "email_messages",
        ["organization_id", "message_id"],
        unique=False,
        schema="inbox",
    )
    op.create_index(
        "ix_email_messages_raw_path",
        "email_messages",
        ["received_at"],
        unique=False,
        schema="inbox",
        postgresql_where=sa.text("raw_path is not null"),
    )
    op.create_index(
        "ix_email_messages_received_at",
        "email_messages",
        ["organization_id", "received_at"],
        unique=False,
        schema="inbox",
    )
    op.create_index(
        "ix_email_messages_reference_ids",
        "email_messages",
        ["reference_ids"],
        unique=False,
        schema="inbox",
        postgresql_using="gin",
    )
    op.create_index(
        "ix_email_messages_thread_id", "email_messages", ["thread_id"], unique=False, schema="inbox"
    )
    op.create_table(
        "cursors",
        sa.Column("connection_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("highest_uid", sa.BigInteger(), nullable=False),
        sa.Column("lowest_uid", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["integrations.connections.id"],
            name=op.f("fk_cursors_connection_id"),
            ondelete="cascade",
        ),
        sa.PrimaryKeyConstraint("connection_id", "folder", name=op.f("pk_cursors")),
        schema="inbox",
    )
    op.create_table(
        "mailboxes",
        sa.Column("connection_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cut_off_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["integrations.connections.id"],
            name=op.f("fk_mailboxes_connection_id"),
            ondelete="cascade",
        ),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_mailboxes")),
        schema="inbox",
    )
    op.create_table(
        "message_places",
        sa.Column("connection_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["integrations.connections.id"],
            name=op.f("fk_message_places_connection_id"),
            ondelete="cascade",
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["inbox.email_messages.id"],
            name=op.f("fk_message_places_message_id"),
            ondelete="cascade",
        ),
        sa.PrimaryKeyConstraint(
            "connection_id", "folder", "uidvalidity", "uid", name=op.f("pk_message_places")
        ),
        schema="inbox",
    )
    op.create_index(
        "ix_message_places_message_id",
        "message_places",
        ["message_id"],
        unique=False,
        schema="inbox",
        postgresql_where=sa.text("message_id is not null"),
    )
    op.add_column(
        "syncs",
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        schema="integrations",
    )
