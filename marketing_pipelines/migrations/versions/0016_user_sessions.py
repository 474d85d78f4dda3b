"""Sign-ins that end on the server, and audit entries that stand for many calls."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0016_user_sessions.sql")
