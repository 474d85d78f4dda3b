"""Parquet files: typed columns are passed on as they are, text is checked to be text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.csv_records import invalid_utf8
from marketing_pipelines.loading.files import InputFile, require_columns
from marketing_pipelines.loading.readers import BATCH_ROWS, Batch
from marketing_pipelines.loading.results import Reject

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_BYTES = 32 << 20


class ParquetReader:
    """A Parquet file, read a few thousand rows at a time however large its row groups are.

    Raises:
        BadInputError: not Parquet, or not the columns it needs.
    """

    def __init__(self, source: InputFile, required: tuple[str, ...]) -> None:
        self.path = source.path
        self.size = source.size
        with self._reading() as file:
            self.columns: list[str] = list(file.schema_arrow.names)
        require_columns(self.path, self.columns, required)

    def batches(self) -> Iterator[Batch]:
        """The rows with their numbers."""
        row = 1
        with self._reading() as file:
            total = file.metadata.num_rows
            for record_batch in file.iter_batches(_batch_rows(file), use_threads=False):
                batch = self._checked(record_batch, row)
                row += record_batch.num_rows
                yield batch._replace(position=self.size * (row - 1) // max(total, 1))

    def _reading(self) -> Any:
        return _Opened(self)

    def _checked(self, record_batch: "pa.RecordBatch", first_row: int) -> Batch:
        import numpy as np
        import pyarrow as pa

        columns: list[pa.Array] = []
        wrong: dict[int, str] = {}
        for name, column in zip(self.columns, record_batch.columns, strict=True):
            text, bad = _as_text(column)
            columns.append(text)
            wrong |= dict.fromkeys(bad, name)
        numbers = np.arange(first_row, first_row + record_batch.num_rows)
        names = [f"c{number}" for number in range(len(columns))]
        table = pa.table([pa.array(numbers), *columns], names=["line", *names])
        if wrong:
            kept = np.ones(table.num_rows, dtype=np.bool_)
            kept[list(wrong)] = False
            table = table.filter(pa.array(kept))
        rejects = [Reject(first_row + at, wrong[at], "is not valid UTF-8") for at in sorted(wrong)]
        return Batch(table, rejects, 0)


class _Opened:
    """Turns what pyarrow says about a damaged file into one sentence."""

    def __init__(self, reader: ParquetReader) -> None:
        self._reader = reader

    def __enter__(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(
                self._reader.path, pre_buffer=False, buffer_size=1 << 20, memory_map=False
            )
        except (pa.ArrowException, OSError) as error:
            raise self._sentence(error) from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        import pyarrow as pa

        self._file.close()
        if isinstance(error, pa.ArrowException | OSError):
            raise self._sentence(error) from error

    def _sentence(self, error: BaseException) -> BadInputError:
        reason = (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
        return BadInputError(f"{self._reader.path} is not readable Parquet ({reason}).")


def _batch_rows(file: Any) -> int:
    """Fewer rows at a time where rows are large."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    size = sum(group.total_byte_size for group in groups)
    if rows == 0 or size == 0:
        return BATCH_ROWS
    return int(max(1, min(BATCH_ROWS, _BATCH_BYTES * rows // size)))


def _as_text(column: "pa.Array") -> tuple["pa.Array", list[int]]:
    """Text columns of any encoding as plain text, with the positions that are not UTF-8."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.binary())
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        column = column.cast(pa.large_binary()).cast(pa.binary())
    elif pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        column = column.cast(pa.binary_view()).cast(pa.binary())
    elif not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        return column, []
    raw = column.view(pa.binary())
    bad = invalid_utf8(raw)
    if bad:
        values = raw.to_pylist()
        for at in bad:
            values[at] = None
        raw = pa.array(values, pa.binary())
    return raw.view(pa.string()), bad
