"""JSON lines, plain or gzip: one object a line."""

from collections.abc import Iterator

from marketing_pipelines.loading.csv_records import TOO_LONG, invalid_utf8, line_array
from marketing_pipelines.loading.files import InputFile, opened
from marketing_pipelines.loading.lines import LONGEST_LINE, Chunk, LineSource
from marketing_pipelines.loading.readers import BATCH_ROWS, Batch
from marketing_pipelines.loading.results import Reject


class JsonLinesReader:
    """A file of JSON objects; what is in a line is judged later, where the columns are known."""

    columns: list[str] | None = None

    def __init__(self, source: InputFile) -> None:
        self.path = source.path
        self.size = source.size
        self._source = source

    def batches(self) -> Iterator[Batch]:
        """The lines that are text, about `BATCH_ROWS` at a time; blank lines are left out."""
        with opened(self._source) as (stream, raw):
            lines = LineSource(stream)
            while (chunk := lines.next_chunk()) is not None:
                yield from _cut(chunk, raw.tell())


def _cut(chunk: Chunk, position: int) -> Iterator[Batch]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    data = chunk.data
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")).astype(np.int64) + 1
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends))
    starts = starts[starts < len(data)]
    texts = line_array(data, starts)
    numbers = np.arange(len(starts)) + chunk.first_line
    too_long = np.diff(np.append(starts, len(data))) > LONGEST_LINE
    wrong = dict.fromkeys(np.flatnonzero(too_long).tolist(), TOO_LONG)
    wrong = dict.fromkeys(invalid_utf8(texts), "the line is not valid UTF-8") | wrong
    kept = pc.match_substring_regex(texts, r"[^ \t\r\n]").to_numpy(zero_copy_only=False).copy()
    kept[list(wrong)] = False
    table = pa.table({"line": numbers, "document": texts}).filter(pa.array(kept))
    table = table.set_column(1, "document", table["document"].cast(pa.string(), safe=False))
    rejects = [Reject(int(numbers[at]), "", wrong[at]) for at in sorted(wrong)]
    yield Batch(table.slice(0, BATCH_ROWS), rejects, position)
    for start in range(BATCH_ROWS, table.num_rows, BATCH_ROWS):
        yield Batch(table.slice(start, BATCH_ROWS), [], position)
