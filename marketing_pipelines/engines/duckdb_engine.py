"""DuckDB, in memory, one connection per run: the engine of one machine."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketing_pipelines.engines.interruption import interruptibly
from marketing_pipelines.engines.memory import limit_mb
from marketing_pipelines.failures import StoreUnavailableError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_EVENTS = "read_parquet($files, hive_partitioning = true)"
# Little at first, so that it spills early and a run needs little memory; operators that cannot
# spill get the rest.
FIRST_MB, MAX_MB = 160, 2_048
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")


class DuckDBEngine:
    """Reads the lake's files directly; through fsspec where they are not on a local disk.

    Args:
        spill_folder: Folder for intermediate results that do not fit into memory.
    """

    name = "duckdb"

    def __init__(self, spill_folder: Path, filesystem: Any = None) -> None:
        self._spill_folder = spill_folder
        self._filesystem = filesystem
        self._connection: duckdb.DuckDBPyConnection | None = None

    def query(
        self, statement: str, files: Sequence[str], parameters: Mapping[str, Any]
    ) -> "pa.Table":
        """The result of the statement over exactly these files (at least one)."""
        import duckdb

        text = _PARAMETER.sub(r"$\1", statement.replace("FROM events", f"FROM {_EVENTS}"))
        bound = {"files": list(files), **parameters}
        try:
            try:
                return self._interruptibly(text, bound)
            except duckdb.OutOfMemoryException:
                self._connect().execute(f"set memory_limit = '{limit_mb() or MAX_MB}MB'")
                return self._interruptibly(text, bound)
        except (duckdb.IOException, duckdb.HTTPException) as error:
            reason = str(error).splitlines()[0]
            raise StoreUnavailableError(f"The event lake cannot be read: {reason}") from error

    def check(self) -> str:
        """Its version."""
        import duckdb

        return f"DuckDB {duckdb.__version__} in the process of each job"

    def close(self) -> None:
        """Frees its memory."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _interruptibly(self, text: str, bound: Mapping[str, Any]) -> "pa.Table":
        connection = self._connect()
        return interruptibly(
            lambda: connection.execute(text, bound).to_arrow_table(), connection.interrupt
        )

    def _connect(self) -> "duckdb.DuckDBPyConnection":
        if self._connection is None:
            import duckdb

            self._spill_folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self._spill_folder)
            self._connection = duckdb.connect(
                config={
                    "preserve_insertion_order": False,
                    "memory_limit": f"{min(FIRST_MB, limit_mb() or FIRST_MB)}MB",
                    "temp_directory": str(self._spill_folder / str(os.getpid())),
                }
            )
            self._connection.execute("set TimeZone = 'UTC'")
            self._connection.execute("set enable_progress_bar = false")
            if self._filesystem is not None:
                self._connection.register_filesystem(self._filesystem)
        return self._connection


def _remove_abandoned(spill_folder: Path) -> None:
    """Removes the spill folders of killed processes; each is named by its process."""
    import psutil

    for folder in spill_folder.glob("*"):
        if not psutil.pid_exists(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
