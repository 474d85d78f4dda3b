"""Text is true or false for rules in any case of its letters."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0014_booleans.sql")
