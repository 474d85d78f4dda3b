"""The file of a request: its rows, read in one snapshot, in its format."""

from collections.abc import Sequence
from typing import IO

from marketing_pipelines.domains.exports.columns import ExportColumn, names_of
from marketing_pipelines.domains.exports.formats import text
from marketing_pipelines.domains.exports.progress import Progress
from marketing_pipelines.domains.exports.selection import TableRows
from marketing_pipelines.domains.exports.snapshot import Snapshot


def write_table(
    file: IO[bytes],
    format_: str,
    rows: TableRows,
    snapshot: Snapshot,
    chosen: Sequence[str] | None,
    progress: Progress,
) -> None:
    """Writes the rows of a table in a format."""
    columns = rows.columns(snapshot.connection, chosen)
    if format_ == "csv":
        file.write(text.header(names_of(columns)))
        query = rows.cells(columns, lambda column: column.csv)
        text.write_rows(file, snapshot.copied(query, text.CSV), progress)
    elif format_ == "json":
        text.write_rows(file, snapshot.copied(rows.lines(columns), text.JSON), progress)
