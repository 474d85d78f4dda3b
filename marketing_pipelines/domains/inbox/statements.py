"""The statements of this domain, each with its parameters of JSON."""

from functools import cache
from importlib import resources

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_JSON = ("asked", "mails", "places", "threads")


@cache
def statement(name: str) -> sa.TextClause:
    """Returns the statement of a file in `sql`."""
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    objects = [sa.bindparam(one, type_=pg.JSONB) for one in _JSON if f":{one}" in text]
    return sa.text(text).bindparams(*objects)
