"""Comments that say of some columns what they hold."""

from marketing_pipelines.stores.schema import run_sql_file

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_file("0008_truer_comments.sql")
