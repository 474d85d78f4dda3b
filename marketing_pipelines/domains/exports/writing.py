"""The file of a request: its rows, read in one snapshot, in its format."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from marketing_pipelines.domains.exports.columns import ExportColumn, names_of
from marketing_pipelines.domains.exports.events import EventRows
from marketing_pipelines.domains.exports.formats import text
from marketing_pipelines.domains.exports.formats.arrow_text import CsvFile, JsonFile
from marketing_pipelines.domains.exports.formats.parquet import ParquetFile
from marketing_pipelines.domains.exports.formats.pdf import PdfFile
from marketing_pipelines.domains.exports.formats.xlsx import MAX_CELL_LENGTH, XlsxFile
from marketing_pipelines.domains.exports.person import (
    PersonRows,
    write_archive,
    write_document,
)
from marketing_pipelines.domains.exports.progress import AttemptProgress
from marketing_pipelines.domains.exports.selection import TableRows
from marketing_pipelines.domains.exports.snapshot import Snapshot
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa


class _BatchFile(Protocol):
    def write(self, table: "pa.Table") -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class FileOrder:
    """A file that is to be written.

    Attributes:
        chosen: Columns and their order; None: those of the kind.
        title: First line of a document.
        about: Foot of a document's pages.
    """

    format: str
    rows: TableRows | EventRows | PersonRows
    chosen: Sequence[str] | None
    title: str
    about: str


def write_file(
    file: IO[bytes],
    order: FileOrder,
    snapshot: Snapshot,
    lake: Lake,
    store: FileStore,
    progress: AttemptProgress,
) -> str | None:
    """Writes the rows of an order.

    Args:
        store: The files that rows name, such as raw mail.

    Returns:
        What the file lacks, as a sentence; None: nothing.
    """
    rows = order.rows
    if isinstance(rows, PersonRows):
        if order.format == "pdf":
            with closing(PdfFile(file, order.title, order.about)) as document:
                write_document(document, rows, snapshot.connection, progress.add)
        else:
            write_archive(file, order.format, rows, snapshot.connection, store, progress.add)
        return None
    columns = rows.columns(snapshot.connection, order.chosen)
    if isinstance(rows, TableRows) and order.format == "csv":
        file.write(text.header(names_of(columns)))
        text.write_rows(file, snapshot.copied(rows.csv(columns), text.CSV), progress)
        return None
    if isinstance(rows, TableRows) and order.format == "json":
        text.write_rows(file, snapshot.copied(rows.lines(columns), text.JSON), progress)
        return None
    typed = order.format == "parquet"
    batches = _counted(_batches(rows, columns, snapshot, lake, typed=typed), progress)
    return _write_batches(file, order, columns, batches)


def _batches(
    rows: TableRows | EventRows,
    columns: Sequence[ExportColumn],
    snapshot: Snapshot,
    lake: Lake,
    *,
    typed: bool,
) -> Iterator["pa.Table"]:
    import pyarrow as pa

    if isinstance(rows, EventRows):
        yield from rows.batches(snapshot, lake, columns, typed=typed)
        return
    query = rows.cells(columns, lambda column: column.typed if typed else column.text)
    with snapshot.arrow(query) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _counted(batches: Iterator["pa.Table"], progress: AttemptProgress) -> Iterator["pa.Table"]:
    for batch in batches:
        yield batch
        progress.add(batch.num_rows)


def _write_batches(
    file: IO[bytes],
    order: FileOrder,
    columns: Sequence[ExportColumn],
    batches: Iterator["pa.Table"],
) -> str | None:
    if order.format == "pdf":
        with closing(PdfFile(file, order.title, order.about)) as document:
            document.table("", names_of(columns), batches)
        return None
    written: _BatchFile
    match order.format:
        case "csv":
            written = CsvFile(file, columns)
        case "json":
            written = JsonFile(file, columns)
        case "parquet":
            written = ParquetFile(file, columns)
        case _:
            written = XlsxFile(file, names_of(columns))
    # Closed after errors too: archives and documents that nobody closes keep files open.
    with closing(written):
        for batch in batches:
            written.write(batch)
    if isinstance(written, XlsxFile) and written.cut:
        return (
            f"{written.cut:,} cells were longer than the {MAX_CELL_LENGTH:,} characters that a "
            "cell of xlsx holds, and are cut."
        )
    return None
