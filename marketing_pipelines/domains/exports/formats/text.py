"""Files of text, row by row as PostgreSQL writes them: csv and JSON lines."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import IO

from marketing_pipelines.domains.exports.formulas import defused
from marketing_pipelines.domains.exports.progress import AttemptProgress

CSV = "format csv"
# Text that needs no quotes: JSON holds neither of these characters but escaped.
JSON = "format csv, quote E'\\x01', delimiter E'\\x02'"
# Rows are gathered, since a write into a store costs far more than one into memory.
PART_BYTES = 1 << 20


def header(names: Sequence[str]) -> bytes:
    """Returns the first line of a csv file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(defused(name) for name in names)
    return text.getvalue().encode()


def write_rows(file: IO[bytes], rows: Iterable[memoryview], progress: AttemptProgress) -> None:
    """Writes rows that are texts already."""
    part = bytearray()
    number = 0
    for row in rows:
        part += row
        number += 1
        if len(part) >= PART_BYTES:
            file.write(part)
            progress.add(number)
            part, number = bytearray(), 0
    file.write(part)
    progress.add(number)
