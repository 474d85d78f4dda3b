"""The formats: what a file of each holds, read by programs that others wrote."""

import datetime as dt
import io
import json
import re
import zipfile
from contextlib import closing
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketing_pipelines.domains.exports.formats import xlsx
from marketing_pipelines.domains.exports.formats.pdf import MARGIN, PdfFile
from marketing_pipelines.domains.exports.formats.xlsx import XlsxFile
from marketing_pipelines_tests.exports.exporting import Exporter
from marketing_pipelines_tests.scale import SOAK

DEALS = """\
organization_id,external_id,name,contact_id,amount,tags,created_at,expected_close_on,region
{o},d2,=cmd|x,c1,1234567.125,,2026-01-02T00:00:00Z,2026-02-01,north
{o},d1,"<b>&""x""</b>",c2,12.50,a;b,2026-01-01T00:00:00Z,,_x0041_
"""


def shown(text: str) -> str:
    """A text as spreadsheets show it: openpyxl leaves the codes of characters as they are."""
    return re.sub(r"_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), text)


def deals(exporter: Exporter, tmp_path: Path) -> None:
    """Two deals, the younger one first."""
    assert exporter.load(tmp_path, "deals", DEALS.format(o=exporter.name)).loaded == 2


def test_a_workbook_holds_texts_and_no_formula(exporter: Exporter, tmp_path: Path) -> None:
    deals(exporter, tmp_path)
    book = openpyxl.load_workbook(io.BytesIO(exporter.exported("deals", "xlsx")))
    assert book.sheetnames == ["Rows 1"]
    header, first, second = book["Rows 1"].iter_rows()
    place = {cell.value: at for at, cell in enumerate(header)}
    names = ("external_id", "name", "amount", "region")
    assert [shown(first[place[name]].value) for name in names] == [
        "d1", '<b>&"x"</b>', "12.50", "_x0041_"
    ]  # fmt: skip
    assert second[place["name"]].value == "=cmd|x"
    assert second[place["name"]].data_type == "s"
    assert second[place["tags"]].value is None
    assert first[place["created_at"]].value == "2026-01-01T00:00:00Z"


@pytest.mark.soak
def test_each_cell_of_a_workbook_is_the_text_of_its_row(exporter: Exporter) -> None:
    rows = 10_000 if SOAK else 200
    exporter.installation.execute(
        """
        insert into crm.contacts (organization_id, external_id, email, phone, first_name,
            follow_up_note, lead_score, tags, timezone, created_at)
        select :own, 'c' || lpad(n::text, 6, '0'), 'c' || n || '@example.org', '+4930' || n,
            (array['Zoë', '  José ', '李小龍', 'محمد', '🙂 & <b>', null])[1 + n % 6],
            (array['=1+1', E'two\\nlines', '_x0041_', E'\\x01\\r', '-5', '"', ''])[1 + n % 7],
            n % 101, case when n % 2 = 0 then array['a', 'b;c'] else '{}' end, 'Europe/Berlin',
            timestamptz '2026-01-01Z' + n * interval '1.5 seconds'
        from generate_series(1, :rows) as n
        """,
        own=exporter.organization,
        rows=rows,
    )
    names = ["external_id", "email", "phone", "first_name", "follow_up_note", "lead_score", "tags",
             "created_at"]  # fmt: skip
    content = exporter.exported(format_="xlsx", columns=names)
    (sheet,) = openpyxl.load_workbook(io.BytesIO(content), read_only=True).worksheets
    found = [
        [shown(value) if value else "" for value in row]
        for row in sheet.iter_rows(values_only=True)
    ]
    stored = exporter.rows(
        f"select {', '.join(names)} from crm.contacts where organization_id = :own"
        " order by external_id"
    )
    assert found == [names, *([cell_of(value) for value in row] for row in stored)]
    assert len(found) == rows + 1


def cell_of(value: object) -> str:
    """The text that a value of the table has in a cell."""
    match value:
        case None | []:
            return ""
        case list():
            return json.dumps(value, separators=(",", ":"))
        case dt.datetime():
            text = value.astimezone(dt.UTC).isoformat().removesuffix("+00:00")
            return f"{text.rstrip('0') if '.' in text else text}Z"
    return str(value)


def test_rows_beyond_a_sheet_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_SHEET_ROWS", 3)
    file = io.BytesIO()
    book = XlsxFile(file, ["a", "b"])
    book.write(pa.table({"a": ["1", "2"], "b": [None, "\r\x01"]}))
    book.write(pa.table({"a": ["3", "4", "x" * 40_000], "b": ["é", " ", "_x000D_"]}))
    book.close()
    assert book.cut == 1
    read = openpyxl.load_workbook(file)
    assert read.sheetnames == ["Rows 1", "Rows 2"]
    values = [
        [[shown(cell.value) for cell in row if cell.value] for row in read[name].iter_rows()]
        for name in read.sheetnames
    ]
    assert values[0][0] == values[1][0] == ["a", "b"]
    assert [row[0] for row in values[0][1:]] == ["1", "2", "3"]
    assert values[1][1] == ["4", " "]
    assert len(values[1][2][0]) == 32_767
    assert values[1][2][1] == "_x000D_"
    assert values[0][2][1] == "\r\x01"


def test_parquet_keeps_types(exporter: Exporter, tmp_path: Path) -> None:
    deals(exporter, tmp_path)
    table = pq.read_table(io.BytesIO(exporter.exported("deals", "parquet")))
    assert table.schema.field("amount").type == pa.decimal128(38, 9)
    assert table.schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("expected_close_on").type == pa.date32()
    assert table.schema.field("tags").type == pa.list_(pa.string())
    rows = table.to_pylist()
    assert [row["external_id"] for row in rows] == ["d1", "d2"]
    assert [str(row["amount"]) for row in rows] == ["12.500000000", "1234567.125000000"]
    assert rows[0]["tags"] == ["a", "b"]
    assert rows[0]["region"] == "_x0041_"


def test_json_lines_have_types_and_the_order_of_the_columns(
    exporter: Exporter, tmp_path: Path
) -> None:
    deals(exporter, tmp_path)
    first, _ = exporter.exported("deals", "json").decode().splitlines()
    row = json.loads(first)
    assert list(row)[:3] == ["organization_id", "external_id", "name"]
    assert list(row)[-1] == "region"
    assert (row["amount"], row["tags"], row["expected_close_on"]) == (12.5, ["a", "b"], None)
    chosen = exporter.exported("deals", "json", columns=["region", "amount", "external_id"])
    assert chosen.decode().splitlines() == [
        '{"region":"_x0041_","amount":12.50,"external_id":"d1"}',
        '{"region":"north","amount":1234567.125,"external_id":"d2"}',
    ]


def test_deals_load_again_unchanged(exporter: Exporter, tmp_path: Path) -> None:
    deals(exporter, tmp_path)
    query = "select * from crm.deals where organization_id = :own order by id"
    before = exporter.rows(query)
    for format_ in ("csv", "json"):
        path = tmp_path / f"again.{format_}"
        path.write_bytes(exporter.exported("deals", format_))
        result = exporter.load_file("deals", path)
        assert (result.repeated, result.changed, result.rejected) == (2, 0, 0)
    assert (
        exporter.rows("select * from crm.deals where organization_id = :own order by id") == before
    )


def test_a_document_has_a_title_and_its_rows(exporter: Exporter, tmp_path: Path) -> None:
    deals(exporter, tmp_path)
    content = exporter.exported("deals", "pdf")
    assert content.startswith(b"%PDF-")
    assert pages(content) == 1


def pages(content: bytes) -> int:
    """The number of pages of a document."""
    return len(re.findall(rb"/Type /Page\b", content))


def test_rows_of_a_document_go_on_on_the_next_page() -> None:
    file = io.BytesIO()
    texts = [f"row {number}" for number in range(100)] + ["a long text " * 1_000]
    with closing(PdfFile(file, "Title", "foot")) as document:
        document.table("first", ["a"], iter([pa.table({"a": texts})]))
        tall = document._pdf.h
        assert document._y < tall - MARGIN
        document.table("second", ["b", "c"], iter([pa.table({"b": ["x"], "c": [None]})]))
    # 38 rows of a page, and 200 lines of a text.
    assert 4 <= pages(file.getvalue()) <= 9


def test_letters_that_the_font_lacks_are_visible() -> None:
    with closing(PdfFile(io.BytesIO(), "Title", "foot")) as document:
        document.table("", ["a"], iter([pa.table({"a": ["x"]})]))
        assert document._lines("Zoë Łukasz\n李 🙂", 50) == ["Zoë Łukasz", "\ufffd \ufffd"]


def test_a_workbook_is_an_archive_without_damage(exporter: Exporter, tmp_path: Path) -> None:
    deals(exporter, tmp_path)
    with zipfile.ZipFile(io.BytesIO(exporter.exported("deals", "xlsx"))) as archive:
        assert archive.testzip() is None
        assert "xl/worksheets/sheet1.xml" in archive.namelist()
