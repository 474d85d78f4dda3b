"""Replacing rows of a table by Arrow rows, inside the caller's transaction."""

from typing import TYPE_CHECKING

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
    """Deletes the rows that match `old` and inserts `rows` (columns matched by name, None = none)."""
    connection.execute(sa.delete(table).where(old))
    if rows is None:
        return
    incoming = stage(connection, table, rows)
    names = [column.name for column in incoming.columns]
    connection.execute(sa.insert(table).from_select(names, sa.select(*incoming.columns)))


def stage(connection: sa.Connection, table: sa.Table, rows: "pa.Table | None") -> sa.TableClause:
    """Copies rows into the temporary table `incoming`, which has columns of `table`."""
    columns = list(table.columns) if rows is None else [table.c[n] for n in rows.schema.names]
    names = ", ".join(f'"{column.name}"' for column in columns)
    connection.exec_driver_sql("drop table if exists incoming")
    connection.exec_driver_sql(
        f"create temporary table incoming on commit drop as"
        f" select {names} from {table.fullname} with no data"
    )
    if rows is not None:
        copy_arrow(connection, "incoming", rows.to_reader())
    return sa.table("incoming", *(sa.column(column.name, column.type) for column in columns))
