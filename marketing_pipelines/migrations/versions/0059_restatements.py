"""Restatements, with the causes of marks and the code that counted a partition."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "stale_partitions",
        sa.Column("cause", sa.Text(), server_default="rebuild", nullable=False),
        schema="analytics",
    )
    op.create_check_constraint(
        op.f("ck_stale_partitions_cause"),
        "stale_partitions",
        "cause in ('late', 'enrolment', 'rebuild')",
        schema="analytics",
    )
    op.add_column("finished_partitions", sa.Column("code_version", sa.Text()), schema="analytics")
    op.create_table(
        "restatements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "key",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("before", sa.BigInteger(), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column(
            "restated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "cause in ('late', 'enrolment', 'rebuild', 'code')", name=op.f("ck_restatements_cause")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restatements")),
        schema="analytics",
    )
    op.create_index(
        "ix_restatements_asset_partition",
        "restatements",
        ["asset", "partition", "organization_id"],
        unique=False,
        schema="analytics",
    )
    op.create_index(
        "ix_restatements_restated_at",
        "restatements",
        ["restated_at"],
        unique=False,
        schema="analytics",
    )
