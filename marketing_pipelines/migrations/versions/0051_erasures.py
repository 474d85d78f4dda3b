"""The ledger of erased persons, and the key of its hashes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("installation", sa.Column("erasure_key", sa.Text), schema="ops")
    empty = sa.text("'{}'::text[]")
    op.create_table(
        "erasures",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
        sa.Column(
            "organization_id",
            sa.BigInteger,
            sa.ForeignKey("crm.organizations.id"),
            nullable=False,
        ),
        sa.Column("contact_ids", pg.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("hashes", pg.ARRAY(sa.Text), nullable=False, server_default=empty),
        sa.Column("lifted", pg.ARRAY(sa.Text), nullable=False, server_default=empty),
        sa.Column("names", sa.Text),
        sa.Column("requested_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("tables_done_at", sa.TIMESTAMP(timezone=True)),
        sa.Column("lake_done_at", sa.TIMESTAMP(timezone=True)),
        sa.Column("proof", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        schema="ops",
    )
    op.create_index(
        "ix_erasures_hashes", "erasures", ["hashes"], schema="ops", postgresql_using="gin"
    )
    op.create_index(
        "ix_erasures_contact_ids", "erasures", ["contact_ids"], schema="ops", postgresql_using="gin"
    )
    op.create_index(
        "ix_erasures_pending",
        "erasures",
        ["requested_at"],
        schema="ops",
        postgresql_where=sa.text("lake_done_at is null"),
    )
