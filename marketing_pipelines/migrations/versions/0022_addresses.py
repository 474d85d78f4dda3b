"""Addresses of messages and suppressions, messages to users, and the columns of the claim."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0022_addresses.sql")
