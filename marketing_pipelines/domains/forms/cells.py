"""The cells of a sheet as rows of submissions: columns by header, values normalised.

The texts are those of strangers: blanks at their ends go, and so do characters that PostgreSQL
cannot hold. Dates and instants are numbers of days since 1899-12-30 in the spreadsheet's time zone.
"""

import datetime as dt
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from marketing_pipelines.domains.delivery.mail import is_address
from marketing_pipelines.domains.forms.mapping import (
    EMAIL,
    EXTERNAL_ID,
    SUBMITTED_AT,
    WRITTEN,
    MappedColumn,
)
from marketing_pipelines.failures import BadInputError

MAX_ROWS = 50_000
MAX_COLUMNS = 500
MAX_CELLS = 2_000_000
# The longest text that Google allows in a cell.
MAX_CELL = 50_000
# Longer values are cut where a contact takes them; the submission has them whole.
MAX_IN_COLUMN = 1_000
MAX_IN_ATTRIBUTE = 10_000
MAX_ADDRESS = 320
MAX_EXTERNAL_ID = 500
EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_EPOCH = dt.datetime(1899, 12, 30)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
CellValue = str | int | float | bool


@dataclass(frozen=True)
class SubmittedRow:
    """A row of a sheet with a submission.

    Attributes:
        position: Its row in the sheet, from 1.
        data: The values of its cells that are not empty, by column.
        fields: The values for its contact, by column or attribute.
        address: E-mail address; None: it has no valid one.
        external_id: External id of its contact, where it is mapped.
        submitted_at: The mapped instant; None: it has none.
        problem: Why it can make no contact; None: it can.
    """

    position: int
    data: dict[str, CellValue]
    fields: dict[str, CellValue]
    address: str | None
    external_id: str | None
    submitted_at: dt.datetime | None
    problem: str | None


@dataclass(frozen=True)
class Sheet:
    """The values of a sheet below its header.

    Attributes:
        columns: Names of the columns, each once; of those without a header the letters.
        rows: Their cells, which may be fewer than the columns.
        first_position: The row of the sheet that the first of `rows` is.
    """

    columns: list[str]
    rows: Sequence[Sequence[Any]]
    first_position: int


def read_cells(values: Sequence[Any], header_row: int, needed: Sequence[str]) -> Sheet:
    """Finds the columns of a sheet.

    Args:
        values: Rows of cells, the first of the sheet first.
        needed: Columns that the form maps or identifies submissions by.

    Raises:
        BadInputError: the sheet is too large, or a needed column is missing or there twice.
    """
    _check_size(values, header_row)
    header = values[header_row - 1] if len(values) >= header_row else []
    names = [str(normal(cell)) if normal(cell) is not None else "" for cell in header]
    if not any(names):
        raise BadInputError(
            f"Row {header_row} of the sheet is empty: it should have the names of the columns; "
            "header_row of the form says which row has them."
        )
    for name in needed:
        number = names.count(name)
        if number != 1:
            what = f"{number} columns" if number else "no column"
            known = ", ".join(f"'{one[:60]}'" for one in list(dict.fromkeys(names))[:20] if one)
            raise BadInputError(
                f"The sheet has {what} '{name}', and nothing is read: name one column of row "
                f"{header_row} so, or change the form; its columns are {known}."
            )
    rows = values[header_row:]
    width = max([len(names), *map(len, rows)])
    names += [""] * (width - len(names))
    return Sheet(_each_once(names), rows, header_row + 1)


def submitted_rows(
    sheet: Sheet,
    mapping: Sequence[MappedColumn],
    key_columns: Sequence[str],
    zone: ZoneInfo,
    now: dt.datetime,
) -> Iterator[SubmittedRow]:
    """The rows with a value in a column that identifies them.

    Args:
        zone: The time zone of the spreadsheet.
        now: The tick: a submission cannot be later.
    """
    named = [*key_columns, *(one.header for one in mapping)]
    for position, cells in enumerate(sheet.rows, sheet.first_position):
        data = {
            name: value
            for name, cell in zip(sheet.columns, cells, strict=False)
            if (value := normal(cell)) is not None
        }
        # Rows that were prepared for later have unticked boxes and nothing else.
        if any(data.get(name, False) is not False for name in named):
            yield _submitted(position, data, mapping, zone, now)


def normal(cell: Any) -> CellValue | None:
    """The value of a cell; None: it is empty.

    Raises:
        BadInputError: it is too long, or no value of a cell.
    """
    if isinstance(cell, str):
        if len(cell) > MAX_CELL:
            raise BadInputError(
                f"A cell of the sheet has more than {MAX_CELL:,} characters: shorten it."
            )
        return _UNSTORABLE.sub("", cell).strip() or None
    if isinstance(cell, bool) or cell is None:
        return cell
    if isinstance(cell, float):
        if not math.isfinite(cell):
            return str(cell)
        return int(cell) if cell.is_integer() and abs(cell) < 1e15 else cell
    if isinstance(cell, int):
        return cell
    raise BadInputError("The sheet has a cell that is neither text, number nor truth value.")


def instant_of(value: CellValue | None, zone: ZoneInfo) -> dt.datetime | None:
    """The instant that a cell holds; None: it holds none, or one before the year 2000."""
    at: dt.datetime | None = None
    if isinstance(value, str):
        try:
            at = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e6:
        at = _EPOCH + dt.timedelta(milliseconds=round(value * 86_400_000))
    if at is None:
        return None
    try:
        at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(dt.UTC)
    except OverflowError:
        return None
    return at if at >= EARLIEST else None


def _submitted(
    position: int,
    data: dict[str, CellValue],
    mapping: Sequence[MappedColumn],
    zone: ZoneInfo,
    now: dt.datetime,
) -> SubmittedRow:
    values = {one.target: data[one.header] for one in mapping if one.header in data}
    targets = {one.target for one in mapping}
    given = text(values[EMAIL]) if EMAIL in values else None
    address = given if given and len(given) <= MAX_ADDRESS and is_address(given) else None
    external_id = text(values[EXTERNAL_ID])[:MAX_EXTERNAL_ID] if EXTERNAL_ID in values else None
    submitted_at = instant_of(values.get(SUBMITTED_AT), zone)
    if submitted_at is not None and submitted_at > now:
        submitted_at = None
    return SubmittedRow(
        position,
        data,
        dict(_fields(values, mapping, address, zone)),
        address,
        external_id,
        submitted_at,
        None if address else _problem(given, external_id, EMAIL in targets),
    )


def _fields(
    values: dict[str, CellValue],
    mapping: Sequence[MappedColumn],
    address: str | None,
    zone: ZoneInfo,
) -> Iterator[tuple[str, CellValue]]:
    for one in mapping:
        value = values.get(one.target)
        if value is None or one.target in (EXTERNAL_ID, SUBMITTED_AT):
            continue
        if one.target == EMAIL:
            if address is not None:
                yield EMAIL, address
        elif one.target in WRITTEN:
            yield one.target, text(value)[:MAX_IN_COLUMN]
        elif one.type is not None and (at := _day_or_instant(value, one.type, zone)):
            yield one.target, at
        else:
            yield one.target, value[:MAX_IN_ATTRIBUTE] if isinstance(value, str) else value


def _day_or_instant(value: CellValue, wanted: str, zone: ZoneInfo) -> str | None:
    """A number of days as text; None: it is none."""
    if isinstance(value, (str, bool)) or not 0 <= value < 1e6:
        return None
    at = _EPOCH + dt.timedelta(milliseconds=round(value * 86_400_000))
    if wanted == "date":
        return at.date().isoformat()
    return at.replace(tzinfo=zone).astimezone(dt.UTC).isoformat()


def text(value: CellValue) -> str:
    """A value as a column of text has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _problem(given: str | None, external_id: str | None, has_addresses: bool) -> str:
    if given is not None:
        return "the address is not valid"
    if has_addresses:
        return "the address is missing"
    if external_id is not None:
        return "no contact has its external id"
    return "the external id is missing"


def _check_size(values: Sequence[Any], header_row: int) -> None:
    if not all(isinstance(row, list) for row in values):
        raise BadInputError("The sheet has a row that is no list of cells.")
    for number, most, what in (
        (len(values) - header_row, MAX_ROWS, "rows"),
        (max(map(len, values), default=0), MAX_COLUMNS, "columns"),
        (sum(map(len, values)), MAX_CELLS, "cells"),
    ):
        if number > most:
            raise BadInputError(
                f"The sheet has {number:,} {what}, and at most {most:,} can be read: move older "
                "rows, and columns without answers, to another sheet."
            )


def _each_once(names: Sequence[str]) -> list[str]:
    """Names of columns: letters for those without, a number behind repeated ones."""
    known = set(names)
    seen: set[str] = set()
    columns = []
    for place, name in enumerate(names):
        own = name or f"column {_letters(place)}"
        number = 1
        while own in seen or (own in known and own != name):
            number += 1
            own = f"{name or 'column'} ({number})"
        seen.add(own)
        columns.append(own)
    return columns


def _letters(place: int) -> str:
    found = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        found = chr(ord("A") + rest) + found
    return found
