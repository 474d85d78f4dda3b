"""The instants as of which contacts were scored, and arrivals of events for score rules alone."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scorings",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column(
            "organization_id",
            sa.BigInteger,
            sa.ForeignKey("crm.organizations.id"),
            nullable=False,
        ),
        sa.Column("contact_id", sa.BigInteger),
        sa.Column("score", sa.Text, nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.UniqueConstraint(
            "organization_id",
            "contact_id",
            "score",
            name="uq_scorings_organization_id_contact_id_score",
            postgresql_nulls_not_distinct=True,
        ),
        sa.CheckConstraint("score in ('intent', 'lead')", name="ck_scorings_score"),
        schema="leads",
    )
    op.add_column(
        "signal_arrivals",
        sa.Column("is_signal", sa.Boolean, nullable=False, server_default=sa.true()),
        schema="leads",
    )
