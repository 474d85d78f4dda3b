"""Segments: rules, memberships, and the indexes by which events answer them."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0006_segments.sql")
    run_sql_file("0006_segments_functions.sql")
