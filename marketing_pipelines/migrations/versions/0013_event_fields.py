"""The properties that events of each type have, which segment rules may name."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0013_event_fields.sql")
