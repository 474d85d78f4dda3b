"""The one way to read an input file: CSV, JSON lines or Parquet, in batches of bounded size."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from marketing_pipelines.loading.files import inspect
from marketing_pipelines.loading.remarks import Remark
from marketing_pipelines.loading.results import Reject

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 40_000
BATCH_BYTES = 16 << 20


class Batch(NamedTuple):
    """Some rows of a file.

    Args:
        table: `line` (line of a text file, row of a Parquet file, from 1) and either the file's
            columns as `c0`, `c1`, … in the header's order, or, for JSON lines, `document`.
        rejects: lines that are no rows.
        position: bytes of the file read so far.
        remarks: about lines that are rows.
    """

    table: "pa.Table"
    rejects: list[Reject]
    position: int
    remarks: Sequence[Remark] = ()


class Reader(Protocol):
    """One input file.

    Args:
        path: the file.
        size: its bytes on disk.

    `columns` is None where every row names its own (JSON lines).
    """

    path: Path
    size: int

    @property
    def columns(self) -> list[str] | None:
        """Names in the header."""
        ...

    def batches(self) -> Iterator[Batch]:
        """The rows in the file's order; once."""
        ...


def open_reader(path: Path, required: tuple[str, ...]) -> Reader:
    """Looks at a file and its header.

    Args:
        required: columns without which a file with a header is refused.

    Raises:
        BadInputError: the file as a whole cannot be used; the sentence names it and says why.
    """
    from marketing_pipelines.loading.csv_files import CsvReader
    from marketing_pipelines.loading.json_files import JsonLinesReader
    from marketing_pipelines.loading.parquet_files import ParquetReader

    source = inspect(path)
    if source.format == "parquet":
        return ParquetReader(source, required)
    if source.format == "json lines":
        return JsonLinesReader(source)
    return CsvReader(source, required)
