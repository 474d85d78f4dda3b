"""A restore that is not finished: everything else refuses the database."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("installation", sa.Column("unfinished_restore", JSONB), schema="ops")
