"""Replacing rows of a table by Arrow rows, inside the caller's transaction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from marketing_pipelines.stores.postgres import copy_arrow

if TYPE_CHECKING:
    import pyarrow as pa


def replace_rows(
    connection: sa.Connection,
    table: sa.Table,
    old: sa.ColumnElement[bool],
    rows: "pa.Table | None",
) -> None:
    """Deletes the rows that match `old` and inserts `rows` (None = none), columns by name."""
    connection.execute(sa.delete(table).where(old))
    if rows is None:
        return
    columns = [table.c[name] for name in rows.schema.names]
    stage(connection, columns, rows)
    incoming = sa.table("incoming", *(sa.column(column.name, column.type) for column in columns))
    names = [column.name for column in columns]
    connection.execute(sa.insert(table).from_select(names, sa.select(*incoming.columns)))


def stage(
    connection: sa.Connection, columns: Sequence[sa.Column[Any]], rows: "pa.Table | None"
) -> None:
    """Copies rows (None = none) into the temporary table `incoming` with these columns."""
    definitions = ", ".join(
        f'"{column.name}" {column.type.compile(connection.dialect)}' for column in columns
    )
    connection.exec_driver_sql("drop table if exists incoming")
    connection.exec_driver_sql(f"create temporary table incoming ({definitions}) on commit drop")
    if rows is not None:
        copy_arrow(connection, "incoming", rows.to_reader())
