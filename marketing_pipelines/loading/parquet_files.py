"""Parquet files: typed columns are passed on as they are, text is checked to be text."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.arrow_types import expanded_size, out_of_range, readable
from marketing_pipelines.loading.batches import BATCH_BYTES, BATCH_ROWS, Batch
from marketing_pipelines.loading.csv_records import invalid_utf8
from marketing_pipelines.loading.files import InputFile, require_columns
from marketing_pipelines.loading.parquet_pages import weigh
from marketing_pipelines.loading.results import Reject

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROW_BYTES = 16 << 20
MAX_PAGES_BYTES = 512 << 20
MAX_LISTS_BYTES = 512 << 20
_MEBIBYTE = 1 << 20


class ParquetReader:
    """A Parquet file, of which so many rows are read at a time as fit into memory when unpacked.

    Raises:
        BadInputError: not Parquet, not the columns it needs, or rows that are too large.
    """

    def __init__(self, source: InputFile, required: tuple[str, ...]) -> None:
        self.path = source.path
        self.size = source.size
        with _Opened(self.path) as file:
            self.columns: list[str] = list(file.schema_arrow.names)
            require_columns(self.path, self.columns, required)
            self._steps = [self._step(file, number) for number in range(file.num_row_groups)]
            self._lists = [
                column.path
                for column in map(file.schema.column, range(len(file.schema)))
                if column.max_repetition_level and column.physical_type == "BYTE_ARRAY"
            ]

    def batches(self) -> Iterator[Batch]:
        """The rows with their numbers."""
        row = 1
        with _Opened(self.path, self._lists) as file:
            total = max(file.metadata.num_rows, 1)
            for table in self._tables(file):
                batch = self._checked(table, row)
                row += table.num_rows
                yield batch._replace(position=self.size * (row - 1) // total)

    def _step(self, file: Any, group: int) -> int:
        """Returns the number of rows of a row group to read together.

        Raises:
            BadInputError: not even one fits into memory.
        """
        with self.path.open("rb") as stream:
            try:
                weight = weigh(stream, file, group)
            except ValueError as error:
                raise BadInputError(f"{self.path} is not readable Parquet ({error}).") from error
        row = max(weight.row + sum(map(len, self.columns)), 1)
        for size, limit, name in (
            (row, MAX_ROW_BYTES, "one row"),
            (weight.pages, MAX_PAGES_BYTES, "one page of each column"),
            (weight.lists, MAX_LISTS_BYTES, "the lists"),
        ):
            if size > limit:
                raise BadInputError(
                    f"{self.path}: {name} of row group {group + 1} can take"
                    f" {size // _MEBIBYTE:,} MiB of memory, and {limit // _MEBIBYTE} are allowed:"
                    " write smaller values, pages and row groups."
                )
        return max(1, min(BATCH_ROWS, BATCH_BYTES // row))

    def _tables(self, file: Any) -> Iterator["pa.Table"]:
        """The rows, unpacked, about `BATCH_ROWS` or `BATCH_BYTES` at a time."""
        pending: list[pa.Table] = []
        rows = size = 0
        for part in self._parts(file):
            if rows + part.num_rows > BATCH_ROWS or size + part.nbytes > BATCH_BYTES:
                yield from _joined(pending)
                pending, rows, size = [], 0, 0
            pending.append(part)
            rows, size = rows + part.num_rows, size + part.nbytes
        yield from _joined(pending)

    def _parts(self, file: Any) -> Iterator["pa.Table"]:
        import pyarrow as pa

        row = 1
        for step, groups in itertools.groupby(range(len(self._steps)), self._steps.__getitem__):
            batches = file.iter_batches(step, row_groups=[*groups], use_threads=False)
            for batch in itertools.chain.from_iterable(map(_halved, batches)):
                if batch.num_rows == 1 and _size(batch) > MAX_ROW_BYTES:
                    raise BadInputError(
                        f"{self.path}: row {row} is larger than {MAX_ROW_BYTES // _MEBIBYTE} MiB;"
                        " the rows before it are loaded."
                    )
                row += batch.num_rows
                yield pa.table([readable(column) for column in batch.columns], self.columns)

    def _checked(self, table: "pa.Table", first_row: int) -> Batch:
        import numpy as np
        import pyarrow as pa

        columns: list[pa.Array] = []
        wrong: dict[int, tuple[str, str]] = {}
        for name, chunked in zip(self.columns, table.columns, strict=True):
            column, bad = _as_text(chunked.chunk(0))
            columns.append(column)
            wrong |= dict.fromkeys(bad, (name, "is not valid UTF-8"))
            wrong |= dict.fromkeys(out_of_range(column), (name, "is out of range"))
        numbers = np.arange(first_row, first_row + table.num_rows)
        names = [f"c{number}" for number in range(len(columns))]
        table = pa.table([pa.array(numbers), *columns], names=["line", *names])
        if wrong:
            kept = np.ones(table.num_rows, dtype=np.bool_)
            kept[list(wrong)] = False
            table = table.filter(pa.array(kept))
        return Batch(table, [Reject(first_row + at, *wrong[at]) for at in sorted(wrong)], 0)


class _Opened:
    """A Parquet file that is open; errors of pyarrow become one sentence.

    Args:
        dictionaries: paths of text columns whose dictionaries stay as they are.
    """

    def __init__(self, path: Path, dictionaries: list[str] | None = None) -> None:
        self._path = path
        self._dictionaries = dictionaries

    def __enter__(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(
                self._path,
                pre_buffer=False,
                buffer_size=1 << 20,
                memory_map=False,
                read_dictionary=self._dictionaries,
                # INT96 counts nanoseconds within days; all of them at once end in 2262.
                coerce_int96_timestamp_unit="us",
            )
        except (pa.ArrowException, OSError) as error:
            raise self._sentence(error) from error
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import pyarrow as pa

        self._file.close()
        if isinstance(error, pa.ArrowException | OSError):
            raise self._sentence(error) from error

    def _sentence(self, error: BaseException) -> BadInputError:
        reason = (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
        return BadInputError(f"{self._path} is not readable Parquet ({reason}).")


def _size(batch: "pa.RecordBatch") -> int:
    return sum(map(expanded_size, batch.columns))


def _joined(tables: list["pa.Table"]) -> Iterator["pa.Table"]:
    """Tables as one, whose columns have one chunk each; none as nothing."""
    import pyarrow as pa

    if len(tables) == 1:
        yield tables[0]
    elif tables:
        yield pa.concat_tables(tables).combine_chunks()


def _halved(batch: "pa.RecordBatch") -> Iterator["pa.RecordBatch"]:
    """A batch in parts that are small when their dictionaries are written out."""
    if batch.num_rows <= 1 or _size(batch) <= BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _halved(batch.slice(0, half))
    yield from _halved(batch.slice(half))


def _as_text(column: "pa.Array") -> tuple["pa.Array", list[int]]:
    """Binary columns as text, with the positions that are not UTF-8; others as they are."""
    import pyarrow as pa

    if not pa.types.is_binary(column.type):
        return column, []
    bad = invalid_utf8(column)
    if bad:
        values = column.to_pylist()
        for at in bad:
            values[at] = None
        column = pa.array(values, pa.binary())
    return column.view(pa.string()), bad
