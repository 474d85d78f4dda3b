"""Workbooks, written row by row: each cell is a string in its place, no cell a formula.

XlsxWriter, the library of this format that keeps no rows in memory, writes a quarter of the rows
that this does in the same time (decision 195).
"""

import re
import zipfile
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    import pyarrow as pa

# Rows of a sheet without its header.
MAX_SHEET_ROWS = 1_048_575
# An entry of an archive that every spreadsheet reads has less than 2 GiB.
MAX_SHEET_BYTES = 1_900_000_000
# Units of UTF-16 in a cell.
MAX_CELL_LENGTH = 32_767
_CUT = "…"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_OPEN, _CLOSE = '<c t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
_EMPTY = "<c/>"
# Characters with a meaning in XML or without a place in it, and texts that a spreadsheet would read
# as the code of a character.
_CARE = r"[&<>\x00-\x08\x0b-\x1f\x{FFFE}\x{FFFF}]|_x[0-9A-Fa-f]{4}_"
_CODED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]")


class XlsxFile:
    """A workbook while it is written.

    Attributes:
        cut: Cells that were longer than a cell can be, and were cut.
    """

    def __init__(self, file: IO[bytes], names: Sequence[str]) -> None:
        self.cut = 0
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._header = "".join(f"{_OPEN}{_xml_of(name)}{_CLOSE}" for name in names)
        self._sheets = 0
        self._rows = self._bytes = 0
        self._sheet: IO[bytes] | None = None
        self._open_sheet()

    def write(self, table: "pa.Table") -> None:
        """Appends rows of texts."""
        if not table.num_rows:
            return
        for start in range(0, table.num_rows, 10_000):
            self._append(table.slice(start, 10_000))

    def close(self) -> None:
        """Finishes the workbook."""
        self._close_sheet()
        sheets = range(1, self._sheets + 1)
        parts = {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType='
            '"application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
            + "".join(
                f'<Override PartName="/xl/worksheets/sheet{number}.xml"'
                f' ContentType="{_TYPE}.worksheet+xml"/>'
                for number in sheets
            )
            + "</Types>",
            "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument"'
            ' Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
            + "".join(
                f'<sheet name="Rows {number}" sheetId="{number}" r:id="rId{number}"/>'
                for number in sheets
            )
            + "</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
            + "".join(
                f'<Relationship Id="rId{number}" Type="{_RELATIONS}/worksheet"'
                f' Target="worksheets/sheet{number}.xml"/>'
                for number in sheets
            )
            + "</Relationships>",
        }
        for name, text in parts.items():
            self._zip.writestr(name, _XML + text)
        self._zip.close()

    def _append(self, table: "pa.Table") -> None:
        import pyarrow.compute as pc

        cells = [self._cells(column) for column in table.columns]
        rows = pc.binary_join_element_wise("<row>", *cells, "</row>", "").to_pylist()
        if self._bytes >= MAX_SHEET_BYTES:
            self._next_sheet()
        room = MAX_SHEET_ROWS - self._rows
        self._put(rows[:room])
        if len(rows) > room:
            self._next_sheet()
            self._put(rows[room:])

    def _put(self, rows: list[str]) -> None:
        assert self._sheet is not None
        data = "".join(rows).encode()
        self._sheet.write(data)
        self._rows += len(rows)
        self._bytes += len(data)

    def _cells(self, column: "pa.ChunkedArray") -> "pa.ChunkedArray":
        """The XML of the cells of a column."""
        import pyarrow as pa
        import pyarrow.compute as pc

        text = column
        if pc.max(pc.binary_length(text)).as_py() or 0:
            if pc.max(pc.binary_length(text)).as_py() > MAX_CELL_LENGTH:
                text = self._shortened(text)
            # Most columns have none of the characters that need care.
            if pc.any(pc.match_substring_regex(text, _CARE)).as_py():
                text = pa.chunked_array(
                    [[_xml_of(value) for value in text.to_pylist()]], pa.string()
                )
        joined = pc.binary_join_element_wise(_OPEN, text, _CLOSE, "")
        return pc.fill_null(joined, _EMPTY)

    def _shortened(self, column: "pa.ChunkedArray") -> "pa.ChunkedArray":
        import pyarrow as pa

        values = []
        for value in column.to_pylist():
            units = value.encode("utf-16-le") if value is not None else b""
            if len(units) > 2 * MAX_CELL_LENGTH:
                self.cut += 1
                value = units[: 2 * (MAX_CELL_LENGTH - 1)].decode("utf-16-le", "ignore") + _CUT
            values.append(value)
        return pa.chunked_array([values], pa.string())

    def _open_sheet(self) -> None:
        self._sheets += 1
        self._rows = self._bytes = 0
        self._sheet = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w")
        opening = f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData><row>{self._header}</row>'
        self._sheet.write(opening.encode())

    def _close_sheet(self) -> None:
        assert self._sheet is not None
        self._sheet.write(b"</sheetData></worksheet>")
        self._sheet.close()

    def _next_sheet(self) -> None:
        self._close_sheet()
        self._open_sheet()


def _xml_of(text: str | None) -> str | None:
    """A text as XML; characters that XML has no place for are coded as `_x000D_`."""
    if text is None:
        return None
    coded = _CODED.sub("_x005F_", text)
    return escape(_CONTROL.sub(lambda found: f"_x{ord(found[0]):04X}_", coded))
