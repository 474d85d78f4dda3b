"""Temporary tables made of a query, with bound parameters.

`create table … as` may read in parallel, which `insert … select` may not.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


class _CreateTemporary(sa.Executable, sa.ClauseElement):
    inherit_cache = False

    def __init__(self, name: str, query: Any) -> None:
        self.name = name
        self.query = query


@compiles(_CreateTemporary)
def _compile(element: _CreateTemporary, compiler: Any, **options: Any) -> str:
    name = compiler.preparer.quote(element.name)
    query = compiler.process(element.query, **options)
    return f"create temporary table {name} on commit drop as {query}"


def create_temporary(connection: sa.Connection, name: str, query: Any) -> int:
    """Makes the table anew with the rows of a query; it is gone at the end of the transaction.

    Returns:
        Number of its rows.
    """
    connection.execute(
        sa.text(f"drop table if exists {connection.dialect.identifier_preparer.quote(name)}")
    )
    return connection.execute(_CreateTemporary(name, query)).rowcount
