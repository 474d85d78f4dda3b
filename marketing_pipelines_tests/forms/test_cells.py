"""Cells of a sheet: columns by header, values, instants, sizes, addresses."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.domains.forms.cells import (
    MAX_CELLS,
    MAX_ROWS,
    SubmittedRow,
    instant_of,
    normal,
    read_cells,
    submitted_rows,
)
from marketing_pipelines.domains.forms.mapping import read_mapping
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.forms.google import serial

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
NOW = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)


def submitted(mapping: dict[str, Any], *cells: Any) -> SubmittedRow:
    """The one row of a sheet with the columns of a mapping, in its order."""
    sheet = read_cells([list(mapping), list(cells)], 1, list(mapping))
    [row] = submitted_rows(sheet, read_mapping(mapping), [], BERLIN, NOW)
    return row


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (["E-Mail address", "City"],
         "The sheet has no column 'E-mail', and nothing is read: name one column of row 1 so, or"
         " change the form; its columns are 'E-Mail address', 'City'."),
        ([" E-mail", "E-mail "], "The sheet has 2 columns 'E-mail', and nothing is read"),
        ([], "Row 1 of the sheet is empty: it should have the names of the columns"),
    ],
)  # fmt: skip
def test_a_needed_column_stands_there_once(header: list[str], sentence: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read_cells([header, ["a@x.example"]], 1, ["E-mail"])
    assert str(refused.value).startswith(sentence)


def test_every_column_has_a_name_of_its_own_and_rows_are_as_wide_as_the_header() -> None:
    sheet = read_cells(
        [["Title"], ["E-mail", "", "Why", " Why "], ["a@x.example"], ["b@x.example", 1, 2, 3, 4]],
        2,
        ["E-mail"],
    )
    assert sheet.columns == ["E-mail", "column B", "Why", "Why (2)", "column E"]
    rows = list(submitted_rows(sheet, read_mapping({"E-mail": "email"}), [], UTC, NOW))
    assert [(row.position, row.data) for row in rows] == [
        (3, {"E-mail": "a@x.example"}),
        (4, {"E-mail": "b@x.example", "column B": 1, "Why": 2, "Why (2)": 3, "column E": 4}),
    ]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("  a b\t", "a b"), ("", None), ("\x00\ud800x", "x"), (12.0, 12), (0.5, 0.5),
        (False, False),
        (1e300, 1e300), (float("nan"), "nan"), (None, None),
    ],
)  # fmt: skip
def test_a_value_is_trimmed_and_storable(cell: Any, value: Any) -> None:
    assert normal(cell) == value


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([["E-mail"], *[["a@x.example"]] * (MAX_ROWS + 1)],
         "The sheet has 50,001 rows, and at most 50,000 can be read: move older rows"),
        ([["E-mail"], [1] * 501], "The sheet has 501 columns, and at most 500 can be read"),
        ([["E-mail"], *[[1] * 500] * (MAX_CELLS // 500)],
         "The sheet has 2,000,001 cells, and at most 2,000,000 can be read"),
        ([["E-mail"], "a"], "The sheet has a row that is no list of cells."),
    ],
    ids=["rows", "columns", "cells", "no row"],
)  # fmt: skip
def test_a_sheet_that_is_too_large_is_refused(values: list[Any], sentence: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read_cells(values, 1, ["E-mail"])
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("cell", ["x" * 50_001, ["a"], {}])
def test_a_cell_that_no_sheet_has_is_refused(cell: Any) -> None:
    with pytest.raises(BadInputError, match=r"cell of the sheet|has a cell"):
        normal(cell)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (serial(dt.datetime(2026, 2, 1, 12, 30)), "2026-02-01T11:30:00+00:00"),
        (serial(dt.datetime(2025, 7, 1, 0, 0, 1)), "2025-06-30T22:00:01+00:00"),
        # The hour that Berlin leaves out, and the one that it has twice.
        (serial(dt.datetime(2025, 3, 30, 2, 30)), "2025-03-30T01:30:00+00:00"),
        (serial(dt.datetime(2025, 10, 26, 2, 30)), "2025-10-26T00:30:00+00:00"),
        ("2026-02-01 12:30", "2026-02-01T11:30:00+00:00"),
        ("2026-02-01T12:30Z", "2026-02-01T12:30:00+00:00"),
        *[(value, None) for value in (0, -1, 12.5, 1e300, True, "soon", "0001-01-01", None)],
    ],
)
def test_an_instant_is_a_number_of_days_in_the_zone_of_the_spreadsheet(
    value: Any, at: str | None
) -> None:
    found = instant_of(value, BERLIN)
    assert (found and found.isoformat()) == at


def test_an_instant_after_the_tick_is_none() -> None:
    mapping = {"At": "submitted_at", "E-mail": "email"}
    later = serial(dt.datetime(2026, 3, 1, 3, 1))
    assert submitted(mapping, later, "a@x.example").submitted_at is None


def test_values_go_to_columns_as_text_and_to_attributes_as_they_are() -> None:
    mapping = {
        "E-mail": "email",
        "Phone": "phone",
        "Age": "age",
        "Born": {"column": "born", "type": "date"},
        "Call": {"column": "call_at", "type": "instant"},
        "Why": "first_name",
        "Id": "external_id",
    }
    row = submitted(
        mapping, "a@x.example", 49301.0, 33, serial(dt.datetime(1990, 5, 1)),
        serial(dt.datetime(2026, 7, 1, 12)), "w" * 2_000, 7.0,
    )  # fmt: skip
    assert row.fields == {
        "email": "a@x.example",
        "phone": "49301",
        "age": 33,
        "born": "1990-05-01",
        "call_at": "2026-07-01T10:00:00+00:00",
        "first_name": "w" * 1_000,
    }
    assert (row.external_id, row.address, row.problem) == ("7", "a@x.example", None)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("a@x.example", None),
        ("", "the address is missing"),
        ("a at x", "the address is not valid"),
        ("a@x.example, b@x.example", "the address is not valid"),
        (f"{'a' * 320}@x.example", "the address is not valid"),
        (12, "the address is not valid"),
    ],
)
def test_an_address_that_is_missing_or_not_valid_has_a_reason(
    address: Any, problem: str | None
) -> None:
    row = submitted({"E-mail": "email", "Name": "first_name"}, address, "Ada")
    assert (row.problem, row.address is None) == (problem, problem is not None)
    assert ("email" in row.fields) is (problem is None)


def test_without_addresses_an_external_id_leads_to_the_contact() -> None:
    mapping = {"Id": "external_id", "Name": "first_name"}
    assert submitted(mapping, "c1", "Ada").problem == "no contact has its external id"
    assert submitted(mapping, "", "Ada").problem == "the external id is missing"
