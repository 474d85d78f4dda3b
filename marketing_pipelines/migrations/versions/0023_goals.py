"""Exits and goals of programs, and the enrolments that reached a goal."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

PROGRAMS = (("campaigns", "campaigns"), ("campaigns", "sequences"), ("journey", "journeys"))


def upgrade() -> None:
    for schema, table in PROGRAMS:
        op.add_column(table, sa.Column("exit", pg.JSONB(), nullable=True), schema=schema)
        op.add_column(table, sa.Column("goal", pg.JSONB(), nullable=True), schema=schema)
        op.add_column(
            table,
            sa.Column("goal_days", sa.Integer(), server_default="7", nullable=False),
            schema=schema,
        )
    op.create_table(
        "goals",
        sa.Column("enrolment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("enrolment_id", name=op.f("pk_goals")),
        schema="lifecycle",
    )
