"""Incidents, alerts, totals of sessions, health reports and samples of metrics."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0002_observability.sql")
