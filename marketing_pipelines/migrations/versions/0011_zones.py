"""Time zones in the database, from the package that Python reads them from."""

import sqlalchemy as sa
from alembic import op

from marketing_pipelines.stores import zone_table
from marketing_pipelines.stores.schema import run_sql_file
from marketing_pipelines.stores.tables import installation

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0011_zones.sql")
    # The triggers of this release read the zones; a new database has nothing to mark.
    if op.get_bind().execute(sa.select(installation.c.id)).first() is not None:
        zone_table.write(op.get_bind())
