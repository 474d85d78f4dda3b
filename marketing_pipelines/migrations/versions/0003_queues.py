"""The queues: Procrastinate's own schema, and what the project keeps beside it.

The schema is the installed release's; `pyproject.toml` holds it at the one that this migration
was written for. A migration that raises it applies Procrastinate's own scripts.
"""

from procrastinate.schema import SchemaManager

from marketing_pipelines.stores.schema import run_sql, run_sql_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(SchemaManager.get_schema())
    run_sql_file("0003_queues.sql")
