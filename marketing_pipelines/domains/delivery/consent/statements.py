"""The statements of consent, by name."""

from functools import cache
from importlib import resources

import sqlalchemy as sa


@cache
def consent_sql(name: str) -> sa.TextClause:
    """The statement in `sql/consent/<name>.sql`."""
    folder = resources.files("marketing_pipelines.domains.delivery") / "sql" / "consent"
    return sa.text((folder / f"{name}.sql").read_text(encoding="utf-8"))
