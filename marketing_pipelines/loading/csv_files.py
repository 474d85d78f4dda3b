"""CSV files, plain or gzip."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.batches import BATCH_BYTES, BATCH_ROWS, Batch
from marketing_pipelines.loading.csv_records import DELIMITERS, Records, read_record, split_records
from marketing_pipelines.loading.files import InputFile, opened, require_columns
from marketing_pipelines.loading.lines import Chunk, LineSource

if TYPE_CHECKING:
    import pyarrow as pa


# A quote before a text that spreadsheets take for a formula, as exports put it there.
_FORMULA = re.compile(r"^'('*[=@\t\r+-])")
_QUOTED_FORMULA = re.compile(rb"'[=@\t\r+-]")


class CsvReader:
    """A CSV file: double quotes, UTF-8 with or without a byte order mark, any line end.

    Columns are separated by commas, or by semicolons or tabs where only those give a header with
    the required columns. A quote before a formula (`'=1+1`), as exports write it, is taken off.

    Raises:
        BadInputError: no header, or not the header it needs.
    """

    def __init__(self, source: InputFile, required: tuple[str, ...]) -> None:
        self.path = source.path
        self.size = source.size
        self._source = source
        with opened(source) as (stream, _):
            chunk = LineSource(stream, 1).next_chunk()
        headers = {delimiter: self._read_header(chunk, delimiter) for delimiter in DELIMITERS}
        read = {delimiter: names for delimiter, names in headers.items() if names is not None}
        if not read:
            raise BadInputError(f"{self.path}: the header, line 1, is not valid CSV.")
        fitting = [each for each, names in read.items() if set(required) <= {*names}]
        self._delimiter = fitting[0] if fitting else next(iter(read))
        self.columns: list[str] = read[self._delimiter]
        require_columns(self.path, self.columns, required)
        # An empty cell of an unknown column still costs the name of the column.
        self._batch_rows = max(1, min(BATCH_ROWS, BATCH_BYTES // sum(map(len, self.columns))))

    def batches(self) -> Iterator[Batch]:
        """The rows, about `BATCH_ROWS` at a time."""
        with opened(self._source) as (stream, raw):
            lines = LineSource(stream)
            header_seen = False
            while (chunk := lines.next_chunk()) is not None:
                if not header_seen:
                    chunk = self._without_header(chunk)
                    header_seen = True
                records = split_records(chunk, self.columns, self._delimiter)
                if records.unread:
                    lines.unread(records.unread)
                yield from self._cut(records, raw.tell())

    def _cut(self, records: Records, position: int) -> Iterator[Batch]:
        table = _parse(records, len(self.columns), self._delimiter)
        size = self._batch_rows
        yield Batch(table.slice(0, size), records.rejects, position, records.remarks)
        for start in range(size, table.num_rows, size):
            yield Batch(table.slice(start, size), [], position)

    def _read_header(self, chunk: Chunk | None, delimiter: str) -> list[str] | None:
        """Returns the names between these delimiters; None: it is not CSV with this delimiter."""
        if chunk is None or not chunk.data.strip():
            raise BadInputError(f"{self.path} is empty: a header with the column names is needed.")
        if b"\0" in chunk.data[:1000]:
            raise BadInputError(f"{self.path} is not text in UTF-8: save it as CSV in UTF-8.")
        start = _header_start(chunk.data)
        record = read_record(chunk.data, start, len(chunk.data), delimiter)
        if record.problem or (record.stray is not None and delimiter != ","):
            return None
        try:
            return [_FORMULA.sub(r"\1", cell.decode().strip()) for cell in record.cells]
        except UnicodeDecodeError as error:
            raise BadInputError(f"{self.path}: the header, line 1, is not UTF-8.") from error

    def _without_header(self, chunk: Chunk) -> Chunk:
        start = _header_start(chunk.data)
        end = read_record(chunk.data, start, len(chunk.data), self._delimiter).end
        lines = chunk.data.count(b"\n", 0, end)
        return Chunk(chunk.data[end:], chunk.first_line + lines, chunk.last)


def _header_start(data: bytes) -> int:
    """Blank lines before the header do not count."""
    return len(data) - len(data.lstrip(b"\r\n"))


def _parse(records: Records, cells: int, delimiter: str) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    names = [f"c{number}" for number in range(cells)]
    if not len(records.lines):
        columns = {"line": pa.array([], pa.int64())} | {n: pa.array([], pa.string()) for n in names}
        return pa.table(columns)
    table = pa_csv.read_csv(
        pa.BufferReader(records.data),
        read_options=pa_csv.ReadOptions(
            column_names=names, use_threads=False, block_size=len(records.data) + 1
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            check_utf8=False,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    if _QUOTED_FORMULA.search(records.data):
        table = _without_quotes(table)
    return table.add_column(0, "line", pa.array(records.lines))


def _without_quotes(table: "pa.Table") -> "pa.Table":
    """Takes the quote before a formula off all cells."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pattern = _FORMULA.pattern
    cells = [pc.replace_substring_regex(cell, pattern, r"\1") for cell in table.columns]
    return pa.table(cells, names=table.column_names)
