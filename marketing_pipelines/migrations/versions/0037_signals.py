"""Signals that arrived; rates of decay by type of event move into the setting of the rate."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signal_arrivals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal_arrivals")),
        schema="leads",
    )
    op.create_index(
        "ix_signal_arrivals_organization_id",
        "signal_arrivals",
        ["organization_id", "id"],
        schema="leads",
    )
    op.execute("""
        update crm.organizations
        set settings = jsonb_set(
            settings #- '{intent,decay_rates}',
            '{intent,decay_rate}',
            jsonb_build_object('default', coalesce(settings #> '{intent,decay_rate}', '2'))
                || (settings #> '{intent,decay_rates}')
        )
        where jsonb_typeof(settings #> '{intent,decay_rates}') = 'object'
            and coalesce(jsonb_typeof(settings #> '{intent,decay_rate}'), 'number') = 'number'
    """)
