"""The step engine: programs, enrolments, steps, messages."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0007_step_engine.sql")
    run_sql_file("0007_step_engine_functions.sql")
