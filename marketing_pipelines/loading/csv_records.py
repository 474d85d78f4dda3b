"""Splits a chunk into CSV records, and names the faults of lines that are none.

Nearly every line is a whole record by itself; one regular expression over the whole chunk (RE2)
finds those. The few others are looked at one by one: a record may run over several lines inside
quotes. A line that begins no valid record is refused alone, and reading goes on at the next line,
so that a forgotten quote never swallows what follows it.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from marketing_pipelines.loading.lines import MAX_LINE_LENGTH, Chunk
from marketing_pipelines.loading.remarks import Remark
from marketing_pipelines.loading.results import Reject

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

DELIMITERS = (",", ";", "\t")
# Cells with a stray quote are left to the look at single lines, but for JSON without quotes around.
_CELL = r'(?:"[^"]*(?:""[^"]*)*"|[^"\[{,\r\n][^",\r\n]*|[\[{][^,\r\n]*|)'
_ONE_CELL = {
    delimiter: re.compile(
        rb'(?:"([^"]*+(?:""[^"]*+)*+)"|([^",\r\n][^,\r\n]*+|))(,|\r?\n|\r?\Z)'.replace(
            b",", delimiter.encode()
        ),
        re.DOTALL,
    )
    for delimiter in DELIMITERS
}
_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"', re.DOTALL)
_MAX_CELLS_IN_PATTERN = 200
_STRAY = "has a quote inside that is kept: quote the whole cell and double the quotes in it"
TOO_LONG = "the line is longer than 1 MiB"


class Records(NamedTuple):
    """The valid records of a chunk, one after the other, and the lines they begin at.

    Args:
        unread: the end of the chunk, if it begins a record that the next chunk may complete.
        remarks: about valid records.
    """

    data: bytes
    lines: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    rejects: list[Reject]
    unread: bytes
    remarks: Sequence[Remark] = ()


def split_records(chunk: Chunk, header: list[str], delimiter: str = ",") -> Records:
    """Separates valid records from bad lines; blank lines are neither."""
    import numpy as np

    text = np.frombuffer(chunk.data, dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n")).astype(np.int64) + 1
    if not len(ends) or ends[-1] != len(text):
        ends = np.append(ends, len(text))
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1]))
    whole = _whole_records(chunk.data, starts, len(header), delimiter)
    whole &= ends - starts <= MAX_LINE_LENGTH
    if whole.all():
        return Records(chunk.data, np.arange(len(ends)) + chunk.first_line, [], b"")
    return _Repair(chunk, header, delimiter, starts, ends, whole).run()


def line_array(data: bytes, starts: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "pa.Array":
    """The lines as an Arrow array over the same bytes; `starts` are their offsets."""
    import numpy as np
    import pyarrow as pa

    offsets = np.append(starts, len(data)).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(starts), buffers)


def invalid_utf8(lines: "pa.Array") -> list[int]:
    """Positions of values in a binary array that are not UTF-8."""
    import pyarrow as pa

    try:
        lines.view(pa.string()).validate(full=True)
    except pa.ArrowInvalid:
        return [i for i, line in enumerate(lines.to_pylist()) if line and not _is_utf8(line)]
    return []


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _whole_records(
    data: bytes, starts: "np.ndarray[tuple[int], np.dtype[np.int64]]", cells: int, delimiter: str
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Returns a mask of the lines that are whole records of so many cells in valid UTF-8."""
    import numpy as np
    import pyarrow.compute as pc

    if cells > _MAX_CELLS_IN_PATTERN:
        return np.zeros(len(starts), dtype=np.bool_)
    lines = line_array(data, starts)
    cell = _CELL.replace(",", delimiter)
    pattern = rf"\A{cell}(?:{delimiter}{cell}){{{cells - 1}}}\r?\n?\z"
    matches = pc.match_substring_regex(lines, pattern).to_numpy(zero_copy_only=False)
    whole: np.ndarray[tuple[int], np.dtype[np.bool_]] = matches.copy()
    whole[invalid_utf8(lines)] = False
    if cells == 1:
        whole &= pc.match_substring_regex(lines, r"[^\r\n]").to_numpy(zero_copy_only=False)
    return whole


class _Repair:
    """Goes through a chunk in which some lines are not whole records."""

    def __init__(
        self,
        chunk: Chunk,
        header: list[str],
        delimiter: str,
        starts: "np.ndarray[tuple[int], np.dtype[np.int64]]",
        ends: "np.ndarray[tuple[int], np.dtype[np.int64]]",
        whole: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    ) -> None:
        import numpy as np

        self._chunk = chunk
        self._header = header
        self._delimiter = delimiter
        self._starts = starts
        self._ends = ends
        self._odd = np.flatnonzero(~whole)
        self._whole = whole
        self._rejects: list[Reject] = []
        self._remarks: list[Remark] = []
        self._pieces: list[bytes] = []
        self._lines: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []

    def run(self) -> Records:
        import numpy as np

        position = 0
        unread = b""
        for line in self._odd.tolist():
            if line < position:
                continue
            self._keep(position, line)
            record_end = self._read(line)
            if record_end is None:
                unread = self._chunk.data[int(self._starts[line]) :]
                position = len(self._starts)
                break
            position = record_end
        self._keep(position, len(self._starts))
        lines = np.concatenate(self._lines) if self._lines else np.zeros(0, dtype=np.int64)
        return Records(b"".join(self._pieces), lines, self._rejects, unread, self._remarks)

    def _keep(self, first: int, beyond: int) -> None:
        """Takes the whole records of lines [first, beyond)."""
        import numpy as np

        if first < beyond:
            begin, end = int(self._starts[first]), int(self._ends[beyond - 1])
            self._pieces.append(self._chunk.data[begin:end])
            self._lines.append(np.arange(first, beyond) + self._chunk.first_line)

    def _read(self, line: int) -> int | None:
        """Reads the record that begins at a line; the line after it, or None: not all there."""
        data = self._chunk.data
        begin, end = int(self._starts[line]), int(self._ends[line])
        if end - begin > MAX_LINE_LENGTH:
            return self._refuse(line, "", TOO_LONG)
        if not data[begin:end].strip(b"\r\n"):
            return line + 1
        limit = min(len(data), begin + MAX_LINE_LENGTH)
        record = read_record(data, begin, limit, self._delimiter)
        if record.problem == _UNFINISHED:
            more_may_come = not self._chunk.last and len(data) - begin <= MAX_LINE_LENGTH
            return None if more_may_come else self._refuse(line, "", "the quote is never closed")
        if record.problem:
            return self._refuse(line, "", record.problem)
        if len(record.cells) != len(self._header):
            found, expected = len(record.cells), len(self._header)
            return self._refuse(line, "", f"{found} cells where the header has {expected}")
        for name, cell in zip(self._header, record.cells, strict=True):
            if not _is_utf8(cell):
                return self._refuse(line, name, "is not valid UTF-8")
        if record.stray is not None:
            name, cell = self._header[record.stray], record.cells[record.stray]
            shown = cell[:60].decode("utf-8", "ignore")
            reason = f"'{shown}' {_STRAY}"
            self._remarks.append(Remark(line + self._chunk.first_line, name, reason))
        self._pieces.append(data[begin : record.end])
        if data[record.end - 1 : record.end] != b"\n":
            self._pieces.append(b"\n")
        return self._next_line(line, record.end)

    def _next_line(self, line: int, end: int) -> int:
        import numpy as np

        self._lines.append(np.array([line + self._chunk.first_line], dtype=np.int64))
        return int(np.searchsorted(self._starts, end))

    def _refuse(self, line: int, column: str, reason: str) -> int:
        self._rejects.append(Reject(line + self._chunk.first_line, column, reason))
        return line + 1


class CsvRecord(NamedTuple):
    """One record's cells, its end, and its error (empty: none).

    Args:
        stray: which cell has a quote inside although it is neither quoted nor JSON.
    """

    cells: list[bytes]
    end: int
    problem: str
    stray: int | None = None


_UNFINISHED = "unfinished"


def read_record(data: bytes, start: int, limit: int, delimiter: str = ",") -> CsvRecord:
    """Reads one record strictly (RFC 4180), looking no further than `limit`."""
    cells: list[bytes] = []
    position, stray = start, None
    while True:
        match = _ONE_CELL[delimiter].match(data, position, limit)
        if match is None:
            return CsvRecord(cells, position, _cell_problem(data, position, limit))
        quoted, plain, separator = match.groups()
        if plain and b'"' in plain and plain[:1] not in (b"{", b"["):
            stray = len(cells)
        cells.append(plain if quoted is None else quoted.replace(b'""', b'"'))
        position = match.end()
        if position == limit < len(data):
            return CsvRecord(cells, position, _UNFINISHED)
        if separator != delimiter.encode():
            return CsvRecord(cells, position, "", stray)


def _cell_problem(data: bytes, position: int, limit: int) -> str:
    if data[position : position + 1] != b'"':
        return "a carriage return stands outside quotes"
    closed = _QUOTED.match(data, position, limit)
    return _UNFINISHED if closed is None else "text follows a closing quote"
