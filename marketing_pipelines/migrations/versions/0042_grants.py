"""Grants: the ends of the tokens of a connection, and the refusal of its refresh token."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for name, kind in (
        ("expires_at", INSTANT),
        ("refresh_expires_at", INSTANT),
        ("refused_at", INSTANT),
        ("given_hash", sa.Text()),
    ):
        op.add_column("connections", sa.Column(name, kind), schema="integrations")
