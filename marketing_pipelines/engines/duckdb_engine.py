"""DuckDB, in memory, one connection per run: the engine of one machine."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from marketing_pipelines.failures import StoreUnavailableError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_EVENTS = "read_parquet($files, hive_partitioning = true)"
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")


class DuckDBEngine:
    """Reads the lake's files directly; through fsspec where they are not on a local disk."""

    name = "duckdb"

    def __init__(self, filesystem: Any = None, *, memory_limit: str = "2GB") -> None:
        self._filesystem = filesystem
        self._memory_limit = memory_limit
        self._connection: duckdb.DuckDBPyConnection | None = None

    def query(
        self, statement: str, files: Sequence[str], parameters: Mapping[str, Any]
    ) -> "pa.Table":
        """The result of the statement over exactly these files (at least one)."""
        import duckdb

        text = _PARAMETER.sub(r"$\1", statement.replace("FROM events", f"FROM {_EVENTS}"))
        bound = {"files": list(files), **parameters}
        try:
            return self._connect().execute(text, bound).to_arrow_table()
        except (duckdb.IOException, duckdb.HTTPException) as error:
            reason = str(error).splitlines()[0]
            raise StoreUnavailableError(f"The event lake cannot be read: {reason}") from error

    def close(self) -> None:
        """Frees its memory."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> "duckdb.DuckDBPyConnection":
        if self._connection is None:
            import duckdb

            self._connection = duckdb.connect(
                config={
                    "preserve_insertion_order": False,
                    "memory_limit": self._memory_limit,
                }
            )
            self._connection.execute("set TimeZone = 'UTC'")
            if self._filesystem is not None:
                self._connection.register_filesystem(self._filesystem)
        return self._connection
