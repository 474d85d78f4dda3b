"""Time zones in the database, from the package that Python reads them from."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0009_zones.sql")
