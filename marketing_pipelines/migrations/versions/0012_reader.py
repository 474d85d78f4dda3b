"""Rights of analysts: names and attributes to read, nothing to lock, notify or write."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0012_reader.sql")
