"""The history of lifecycle stages and the ledger of recycled leads."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lifecycle_history",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column(
            "organization_id",
            sa.BigInteger,
            sa.ForeignKey("crm.organizations.id"),
            nullable=False,
        ),
        sa.Column("contact_id", sa.BigInteger, nullable=False),
        sa.Column("from", sa.Text, nullable=False),
        sa.Column("to", sa.Text, nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("tick", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.UniqueConstraint(
            "contact_id", "tick", "from", name="uq_lifecycle_history_contact_id_tick_from"
        ),
        schema="leads",
    )
    op.create_index(
        "ix_lifecycle_history_organization_id_at",
        "lifecycle_history",
        ["organization_id", "at"],
        schema="leads",
    )
    op.create_table(
        "lead_recycling",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column(
            "organization_id",
            sa.BigInteger,
            sa.ForeignKey("crm.organizations.id"),
            nullable=False,
        ),
        sa.Column("contact_id", sa.BigInteger, nullable=False),
        sa.Column("tick", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("previous_status", sa.Text, nullable=False),
        sa.Column("signal_event", sa.Text, nullable=False),
        sa.Column("enrolment_id", sa.BigInteger),
        sa.Column("task_id", sa.BigInteger),
        sa.UniqueConstraint("contact_id", "tick", name="uq_lead_recycling_contact_id_tick"),
        schema="leads",
    )
