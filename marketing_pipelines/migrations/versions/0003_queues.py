"""The queues: Procrastinate's own schema, and what the project keeps beside it."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0003_procrastinate.sql")
    run_sql_file("0003_queues.sql")
