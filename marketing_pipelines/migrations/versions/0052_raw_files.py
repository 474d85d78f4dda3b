"""Notes of raw mail that is being written."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "raw_files",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column(
            "organization_id",
            sa.BigInteger,
            sa.ForeignKey("crm.organizations.id"),
            nullable=False,
        ),
        sa.Column("identity", sa.Text, nullable=False),
        schema="inbox",
    )
