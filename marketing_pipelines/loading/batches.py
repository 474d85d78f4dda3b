"""The contract of the readers of input files: batches of rows, of bounded size."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

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
