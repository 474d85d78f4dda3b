"""Columns of enrolments and programs that are renewed with their source."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0010_renewed_programs.sql")
