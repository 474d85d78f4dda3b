"""Exports, and bare copies of the same rows, in the process of `child`."""

import time
from typing import Any

from sqlalchemy import Engine, text


def export_rows(format_: str, columns: str = "") -> dict[str, Any]:
    """Asks for an export of the contacts and does the task of its queue."""
    from marketing_pipelines.domains.exports.reading import status_of
    from marketing_pipelines.domains.exports.requesting import ExportOrder, request_export
    from marketing_pipelines.queueing.tasks import system_clock
    from marketing_pipelines_tests.benchmarks.child import _memory
    from marketing_pipelines_tests.queueing.consuming import consume

    _, engine = _ready()
    order = ExportOrder(
        organization_id=_organization(engine),
        kind="contacts",
        format=format_,
        columns=columns.split(",") if columns else None,
    )
    with engine.begin() as connection:
        number, _, _ = request_export(connection, order, now=system_clock())
    with _memory() as memory:
        started = time.monotonic()
        consume(engine, "exports")
        seconds = time.monotonic() - started
    with engine.begin() as connection:
        found = status_of(connection, number, system_clock(), None)
    assert found is not None
    assert found.state == "ready", found.error
    return {"rows": found.rows, "size": found.size, "seconds": seconds, **memory}


def bare_copy() -> dict[str, Any]:
    """The same rows, columns and order by one COPY into a file of csv."""
    from psycopg import sql

    from marketing_pipelines.stores.postgres import raw_cursor

    settings, engine = _ready()
    path = settings.data_dir / "bare.csv"
    with engine.connect() as connection, path.open("wb") as file:
        statement = sql.SQL("copy ({}) to stdout (format csv)").format(_query(connection, False))
        started = time.monotonic()
        with raw_cursor(connection).copy(statement) as copy:
            for row in copy:
                file.write(row)
        seconds = time.monotonic() - started
    return {"size": path.stat().st_size, "seconds": seconds}


def bare_parquet() -> dict[str, Any]:
    """The same rows, columns and order read as Arrow, and put into Parquet by DuckDB's COPY."""
    import duckdb

    from marketing_pipelines.stores.postgres import fast_reader

    settings, engine = _ready()
    path = settings.data_dir / "bare.parquet"
    with engine.connect() as connection:
        query = _query(connection, True).as_string(connection.connection.driver_connection)
    with duckdb.connect() as duck, fast_reader(engine.url) as source, source.cursor() as cursor:
        started = time.monotonic()
        cursor.execute("set statement_timeout = 0")
        cursor.execute(query)
        with cursor.fetch_record_batch() as rows:
            duck.register("rows", rows)
            duck.execute(f"copy rows to '{path}' (format parquet, compression zstd)")
        seconds = time.monotonic() - started
    return {"size": path.stat().st_size, "seconds": seconds}


def _ready() -> tuple[Any, Engine]:
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines_tests.benchmarks.child import _connected, _import_what_runs_import

    _import_what_runs_import()
    load_tables()
    settings, engine = _connected()
    return settings, engine


def _organization(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("select id from crm.organizations")).scalar_one())


def _query(connection: Any, typed: bool) -> Any:
    """The statement whose cells are bare columns, or those of Parquet."""
    from marketing_pipelines.domains.exports.declarations import table_kinds
    from marketing_pipelines.domains.exports.selection import RowChoice, TableRows

    rows = TableRows(table_kinds()["contacts"], RowChoice(_organization(connection.engine)))
    columns = rows.columns(connection, None)
    return rows.cells(
        columns, lambda column: column.typed if typed else column.plain or column.value
    )
