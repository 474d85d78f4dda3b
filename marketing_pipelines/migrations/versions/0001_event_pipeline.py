"""The event pipeline: entities, events, marks, aggregates and the analysts' views."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0001_tables.sql")
    run_sql_file("0001_mechanisms.sql")
    run_sql_file("0001_views.sql")
