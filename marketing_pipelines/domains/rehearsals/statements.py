"""The statements of rehearsals."""

from functools import cache
from importlib import resources

import sqlalchemy as sa


@cache
def read_sql(name: str) -> sa.TextClause:
    """The statement in `sql/<name>.sql`."""
    return sa.text(resources.files(__package__).joinpath("sql", f"{name}.sql").read_text())
