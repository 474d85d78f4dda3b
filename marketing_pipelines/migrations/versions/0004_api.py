"""The API's tokens and its audit log."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0004_api.sql")
