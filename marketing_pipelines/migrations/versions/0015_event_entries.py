"""Arrival instants of events, and a policy that begins no second execution at a time."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0015_event_entries.sql")
