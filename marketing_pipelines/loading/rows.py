"""Rows that are in memory, as values of JSON."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from marketing_pipelines.loading.batches import Batch
from marketing_pipelines.loading.json_files import MAX_DEPTH, cut_lines
from marketing_pipelines.loading.lines import Chunk


class RowsReader:
    """Rows read as a file of JSON lines with one row a line is; the number of a row is its line."""

    columns: list[str] | None = None

    def __init__(self, kind: str, rows: Sequence[Any]) -> None:
        self.path = Path(kind)
        lines = [_line(row) for row in rows]
        # Half a character is found and refused with its line.
        self._data = "\n".join(lines).encode("utf-8", "surrogatepass")
        self.size = len(self._data)

    def batches(self) -> Iterator[Batch]:
        """All rows."""
        yield from cut_lines(Chunk(self._data, 1, True), self.size)


def _line(row: Any) -> str:
    try:
        return json.dumps(row, ensure_ascii=False)
    except RecursionError:
        # The refusal names the cause: the row is nested too deep.
        return "[" * (MAX_DEPTH + 1)
