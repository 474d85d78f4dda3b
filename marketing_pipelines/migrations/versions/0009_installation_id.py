"""An identity that the database and its lake share."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0009_installation_id.sql")
