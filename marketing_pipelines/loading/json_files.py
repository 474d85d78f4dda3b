"""JSON lines, plain or gzip: one object a line."""

import contextlib
import json
import re
from collections.abc import Iterator

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.batches import BATCH_ROWS, Batch
from marketing_pipelines.loading.csv_records import TOO_LONG, invalid_utf8, line_array
from marketing_pipelines.loading.files import InputFile, opened
from marketing_pipelines.loading.lines import MAX_LINE_LENGTH, Chunk, LineSource
from marketing_pipelines.loading.results import Reject

MAX_DEPTH = 1_000
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET = re.compile(rb"[{}\[\]]")


class JsonLinesReader:
    """A file of JSON objects, whose content is judged later, where the columns are known.

    Raises:
        BadInputError: the file is one JSON array, or objects that run over several lines.
    """

    columns: list[str] | None = None

    def __init__(self, source: InputFile) -> None:
        self.path = source.path
        self.size = source.size
        self._source = source
        with opened(source) as (stream, _):
            chunk = LineSource(stream, 1).next_chunk()
        if chunk is not None and (reason := _not_lines(chunk)):
            raise BadInputError(f"{self.path} {reason}.")

    def batches(self) -> Iterator[Batch]:
        """The lines that are text, about `BATCH_ROWS` at a time; blank lines are left out."""
        with opened(self._source) as (stream, raw):
            lines = LineSource(stream)
            while (chunk := lines.next_chunk()) is not None:
                yield from cut_lines(chunk, raw.tell())


def _not_lines(chunk: Chunk) -> str | None:
    """Returns the reason for which a file cannot hold one JSON object per line; None: it may."""
    text = chunk.data.decode("utf-8", "replace").lstrip()
    first, _, others = text.partition("\n")
    alone = _is_json(first)
    if first.startswith("[") and not (alone and (others.strip() or not chunk.last)):
        return "is a JSON array: write one object a line, as jq -c '.[]' does"
    if first.startswith("{") and not alone:
        with contextlib.suppress(ValueError, RecursionError):
            json.JSONDecoder().raw_decode(text)
            return "holds objects that run over several lines: write one a line, as jq -c . does"
    return None


def _depth(line: bytes) -> int:
    """Returns the depth of nested objects and lists of a line; 0 if there are few."""
    if line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", line)):
        depth += 1 if bracket in b"{[" else -1
        deepest = max(deepest, depth)
    return deepest


def _is_json(text: str) -> bool:
    with contextlib.suppress(ValueError, RecursionError):
        json.loads(text)
        return True
    return False


def cut_lines(chunk: Chunk, position: int) -> Iterator[Batch]:
    """The lines of a chunk that are text, `BATCH_ROWS` at a time; the first has the rejects."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    data = chunk.data
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")).astype(np.int64) + 1
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends))
    starts = starts[starts < len(data)]
    texts = line_array(data, starts)
    numbers = np.arange(len(starts)) + chunk.first_line
    lengths = np.diff(np.append(starts, len(data)))
    too_long = lengths > MAX_LINE_LENGTH
    wrong = dict.fromkeys(np.flatnonzero(too_long).tolist(), TOO_LONG)
    wrong = dict.fromkeys(invalid_utf8(texts), "the line is not valid UTF-8") | wrong
    for at in np.flatnonzero(lengths > MAX_DEPTH).tolist():
        if at not in wrong and _depth(texts[at].as_py()) > MAX_DEPTH:
            wrong[at] = f"is nested more than {MAX_DEPTH:,} deep"
    kept = pc.match_substring_regex(texts, r"[^ \t\r\n]").to_numpy(zero_copy_only=False).copy()
    kept[list(wrong)] = False
    table = pa.table({"line": numbers, "document": texts}).filter(pa.array(kept))
    table = table.set_column(1, "document", table["document"].cast(pa.string(), safe=False))
    rejects = [Reject(int(numbers[at]), "", wrong[at]) for at in sorted(wrong)]
    yield Batch(table.slice(0, BATCH_ROWS), rejects, position)
    for start in range(BATCH_ROWS, table.num_rows, BATCH_ROWS):
        yield Batch(table.slice(start, BATCH_ROWS), [], position)
