"""The in-memory DuckDB in which rows are read as the right types and judged, column by column."""

import contextlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.zones import offsets

if TYPE_CHECKING:
    import pyarrow as pa

_MEMORY = "256MB"
_MACROS = (
    "id_problem",
    "text_problem",
    "json_problem",
    "document_problem",
    "read_instant",
    "held_instant",
    "instant_problem",
    "extra_problem",
    "number_problem",
    "date_problem",
    "list_problem",
    "listed",
)


@cache
def read_sql(name: str) -> str:
    """The text of `loading/sql/<name>.sql`."""
    folder = resources.files("marketing_pipelines.loading")
    return folder.joinpath("sql", *f"{name}.sql".split("/")).read_text(encoding="utf-8")


def _local_instants(local: Any, zone: Any) -> Any:
    """The first instants of local times in a zone, the same in all rows. DuckDB's own time zones
    may differ from the project's.
    """
    import numpy as np
    import pyarrow as pa

    first, *changes = offsets(zone[0].as_py())
    starts = np.array([change.starts_local for change in changes], "datetime64[us]")
    ahead = np.array([one.utc_offset for one in (first, *changes)], "timedelta64[us]")
    times = local.cast(pa.timestamp("us")).to_numpy()
    instants = times - ahead[np.searchsorted(starts, times, side="right")]
    return pa.array(instants.astype("int64")).cast(pa.timestamp("us", "UTC"))


_unused: list["Checker"] = []


@contextlib.contextmanager
def borrowed_checker() -> Iterator["Checker"]:
    """A checker that no one else uses meanwhile.

    Making one takes longer than checking a few rows, so it stays for the next load of the process;
    one that met an error goes.
    """
    try:
        checker = _unused.pop()
    except IndexError:
        checker = Checker()
    try:
        yield checker
    except BaseException:
        checker.close()
        raise
    _unused.append(checker)


class Checker:
    """A DuckDB connection that knows this package's macros; for one thread."""

    def __init__(self) -> None:
        import duckdb
        from duckdb.func import PythonUDFType

        self._connection = duckdb.connect(
            config={"threads": 1, "memory_limit": _MEMORY, "preserve_insertion_order": True}
        )
        self._connection.execute("set timezone = 'UTC'")
        self._connection.create_function(
            "local_instant",
            _local_instants,
            ["TIMESTAMP", "VARCHAR"],
            "TIMESTAMP WITH TIME ZONE",
            type=PythonUDFType.ARROW,
        )
        for name in _MACROS:
            self._connection.execute(read_sql(f"macros/{name}"))

    def query(self, sql: str, tables: dict[str, "pa.Table"], parameters: Any = None) -> "pa.Table":
        """The result of a query over Arrow tables, which the SQL calls by the names given here."""
        import duckdb

        for name, table in tables.items():
            self._connection.register(name, table)
        try:
            return self._connection.execute(sql, parameters).to_arrow_table()
        except duckdb.OutOfMemoryException as error:
            raise BadInputError(
                f"Rows of the file take more than {_MEMORY} to check: write smaller ones; the rows"
                " before them are loaded."
            ) from error
        finally:
            for name in tables:
                self._connection.unregister(name)

    def close(self) -> None:
        """Frees its memory."""
        self._connection.close()
