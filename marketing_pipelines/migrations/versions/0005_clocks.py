"""The cron by which each clock struck last, so that an edited one does not run for the past."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0005_clocks.sql")
