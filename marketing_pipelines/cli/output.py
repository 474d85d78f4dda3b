"""Printing: tables for people on a terminal, plain text when piped."""

import datetime as dt
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")

MIN_WIDTH = 8
BETWEEN_COLUMNS = 3


def is_terminal() -> bool:
    """Returns true if the output goes to a terminal."""
    return sys.stdout.isatty()


def print_table(header: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table with borders on a terminal, aligned columns otherwise."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    terminal = is_terminal()
    table = Table(
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD if terminal else None,
        show_edge=False,
        pad_edge=False,
        header_style="bold" if terminal else "",
    )
    rows = [[text_of(value) for value in row] for row in rows]
    numeric = [_all_numbers(row[i] for row in rows) for i in range(len(header))]
    # A number that loses its last digits is another number; a text goes on in the next line.
    widths = [
        max(len(row[place]) for row in rows) if is_numeric else MIN_WIDTH
        for place, is_numeric in enumerate(numeric)
    ]
    for name, is_numeric, width in zip(header, numeric, widths, strict=True):
        table.add_column(
            name,
            justify="right" if is_numeric else "left",
            no_wrap=is_numeric or not terminal,
            overflow="fold",
            min_width=width if is_numeric else None,
        )
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, width=None if terminal else 100_000, markup=False)
    if terminal:
        console.width = max(console.width, sum(widths) + BETWEEN_COLUMNS * len(widths))
        console.print(table)
    else:
        with console.capture() as capture:
            console.print(table)
        print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_json(value: Any) -> None:
    """A value as indented JSON."""
    print(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON; decimals keep their digits.

    JSON has neither NaN nor infinities: they are texts, as PostgreSQL's `to_json` makes them.
    """
    return "".join(_json(plain(value), "\n", indent))


def _json(value: Any, line: str, indent: int | None) -> Iterator[str]:
    """The pieces of a value's JSON.

    Args:
        line: Line break and indentation of the line that the value ends on.
    """
    if isinstance(value, Decimal):
        yield f"{value:f}"
    elif isinstance(value, (dict, list)) and value:
        inner = "" if indent is None else line + " " * indent
        between = ", " if indent is None else f",{inner}"
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        for place, key in enumerate(value):
            yield between if place else opening + inner
            if isinstance(value, dict):
                yield f"{json.dumps(key, ensure_ascii=False)}: "
                yield from _json(value[key], inner, indent)
            else:
                yield from _json(key, inner, indent)
        yield ("" if indent is None else line) + closing
    else:
        yield json.dumps(value, ensure_ascii=False)


def text_of(value: Any) -> str:
    """A value as text; instants in UTC, ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return iso(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float) and math.isfinite(value):
        return repr(value).removesuffix(".0")
    if isinstance(value, (dict, list)):
        return json_text(value)
    return str(plain(value))


def iso(value: dt.datetime) -> str:
    """`2026-03-01T13:00:00Z`, with microseconds only where there are any."""
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """A value as JSON holds it, decimals as they are."""
    if isinstance(value, dt.datetime):
        return iso(value)
    if isinstance(value, (dt.date, dt.time, dt.timedelta)):
        return str(value)
    if isinstance(value, (float, Decimal)) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, Decimal, str)):
        return value
    return str(value)


def _all_numbers(cells: Iterable[str]) -> bool:
    found = [cell for cell in cells if cell]
    return bool(found) and all(_NUMBER.fullmatch(cell) for cell in found)
