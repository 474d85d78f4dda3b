"""The statements in `sql/`."""

from functools import cache
from importlib import resources

import sqlalchemy as sa


@cache
def read_sql(name: str) -> sa.TextClause:
    """The statement in `sql/<name>.sql`."""
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text)
