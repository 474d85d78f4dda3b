"""The in-memory DuckDB in which rows are read as the right types and judged, column by column."""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_MACROS = (
    "id_problem",
    "text_problem",
    "json_problem",
    "document_problem",
    "read_instant",
    "held_instant",
    "instant_problem",
    "extra_problem",
)


@cache
def read_sql(name: str) -> str:
    """The text of `loading/sql/<name>.sql`."""
    folder = resources.files("marketing_pipelines.loading")
    return folder.joinpath("sql", *f"{name}.sql".split("/")).read_text(encoding="utf-8")


class Checker:
    """A DuckDB connection that knows this package's macros; for one thread."""

    def __init__(self) -> None:
        import duckdb

        self._connection = duckdb.connect(
            config={"threads": 1, "memory_limit": "256MB", "preserve_insertion_order": True}
        )
        self._connection.execute("set timezone = 'UTC'")
        for name in _MACROS:
            self._connection.execute(read_sql(f"macros/{name}"))

    def query(self, sql: str, tables: dict[str, "pa.Table"], parameters: Any = None) -> "pa.Table":
        """The result of a query over Arrow tables, which the SQL calls by the names given here."""
        for name, table in tables.items():
            self._connection.register(name, table)
        try:
            return self._connection.execute(sql, parameters).to_arrow_table()
        finally:
            for name in tables:
                self._connection.unregister(name)

    def close(self) -> None:
        """Frees its memory."""
        self._connection.close()
