"""The data of one contact: every row that an erasure would remove or empty, table by table.

An archive with one file for each table, and the raw mails, or one document.
"""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import sqlalchemy as sa

from marketing_pipelines.domains.exports.formats.pdf import PdfFile
from marketing_pipelines.domains.exports.formulas import defused
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.persons import (
    Identity,
    identity_of,
    is_about,
    rows_of,
    tables_about_persons,
)

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1_000
RAW_FILE = "raw_path"
RowCounter = Callable[[int], None]


@dataclass(frozen=True)
class PersonRows:
    """The rows of a contact."""

    organization_id: int
    contact_id: int

    def count(self, connection: sa.Connection, limit: int) -> int:
        """Returns the number of rows in all tables; the limit is for kinds with one table."""
        person = self.identity(connection)
        counts = [
            sa.select(sa.func.count()).select_from(table).where(is_about(table, person))
            for table in tables_about_persons(exported=True)
        ]
        return sum(connection.execute(count).scalar_one() for count in counts)

    def identity(self, connection: sa.Connection) -> Identity:
        """The names by which rows lead to the contact."""
        return identity_of(connection, self.organization_id, [self.contact_id])


@dataclass(frozen=True)
class _TableOfPerson:
    name: str
    columns: list[str]
    rows: Iterator[Sequence[Any]]


def write_archive(
    file: IO[bytes],
    format_: str,
    rows: PersonRows,
    connection: sa.Connection,
    store: FileStore,
    count: RowCounter,
) -> dict[str, int]:
    """Writes a zip with one file for each table that has rows, and one for each raw mail.

    Args:
        count: Called with the number of each written row.

    Returns:
        Rows by table.
    """
    raw_files: list[tuple[str, str]] = []
    rows_of_tables: dict[str, int] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for table in _tables(connection, rows):
            suffix = {"json": "jsonl"}.get(format_, format_)
            with archive.open(f"{table.name}.{suffix}", "w", force_zip64=True) as part:
                text = io.TextIOWrapper(part, encoding="utf-8", newline="")
                number = _write_rows(text, format_, table, count, raw_files)
                rows_of_tables[table.name] = number
                text.flush()
                text.detach()
        for name, path in raw_files:
            try:
                archive.writestr(name, store.read(path))
            except FileNotFoundError:
                # Its days are over, though its row does not say so yet.
                continue
    return rows_of_tables


def write_document(
    document: PdfFile, rows: PersonRows, connection: sa.Connection, count: RowCounter
) -> None:
    """Writes one table of a document for each table that has rows."""
    for table in _tables(connection, rows):
        document.table(table.name, table.columns, _batches(table, count))


def _tables(connection: sa.Connection, rows: PersonRows) -> Iterator[_TableOfPerson]:
    person = rows.identity(connection)
    for table in tables_about_persons(exported=True):
        result = connection.execution_options(yield_per=BATCH_ROWS).execute(rows_of(table, person))
        first = result.fetchone()
        if first is not None:
            yield _TableOfPerson(table.fullname, list(result.keys()), _from(first, result))
        result.close()


def _from(first: Sequence[Any], others: sa.CursorResult[Any]) -> Iterator[Sequence[Any]]:
    yield first
    yield from others


def _write_rows(
    text: IO[str],
    format_: str,
    table: _TableOfPerson,
    count: RowCounter,
    raw_files: list[tuple[str, str]],
) -> int:
    number = 0
    writer = csv.writer(text, lineterminator="\n")
    if format_ == "csv":
        writer.writerow(table.columns)
    for row in table.rows:
        if format_ == "csv":
            cells = ((value, _text(value)) for value in row)
            writer.writerow(defused(cell) if isinstance(value, str) else cell
                            for value, cell in cells)  # fmt: skip
        else:
            line = dict(zip(table.columns, row, strict=True))
            text.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        if RAW_FILE in table.columns and (path := row[table.columns.index(RAW_FILE)]):
            raw_files.append((f"mail/{row[table.columns.index('id')]}.eml", path))
        count(1)
        number += 1
    return number


def _batches(table: _TableOfPerson, count: RowCounter) -> Iterator["pa.Table"]:
    import pyarrow as pa

    waiting: list[list[str]] = []

    def batch() -> "pa.Table":
        columns = list(zip(*waiting, strict=True))
        names = [f"c{place}" for place in range(len(table.columns))]
        return pa.table({name: pa.array(cells, pa.string())
                         for name, cells in zip(names, columns, strict=True)})  # fmt: skip

    for row in table.rows:
        waiting.append([_text(value) for value in row])
        count(1)
        if len(waiting) == BATCH_ROWS:
            yield batch()
            waiting.clear()
    if waiting:
        yield batch()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
