"""Printing: tables for people on a terminal, plain text when piped."""

import datetime as dt
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any


def is_terminal() -> bool:
    """Whether a person is likely to be reading."""
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
    for name, is_numeric in zip(header, numeric, strict=True):
        table.add_column(name, justify="right" if is_numeric else "left", no_wrap=not terminal)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, width=None if terminal else 100_000, markup=False)
    if terminal:
        console.print(table)
    else:
        with console.capture() as capture:
            console.print(table)
        print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_json(value: Any) -> None:
    """A value as indented JSON."""
    import json

    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def text_of(value: Any) -> str:
    """A value as text; instants in UTC, ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return iso(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def iso(value: dt.datetime) -> str:
    """`2026-03-01T13:00:00Z`, with microseconds only where there are any."""
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """A value as JSON holds it."""
    if isinstance(value, dt.datetime):
        return iso(value)
    if isinstance(value, (dt.date, dt.time, dt.timedelta)):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _all_numbers(cells: Iterable[str]) -> bool:
    found = [cell for cell in cells if cell]
    return bool(found) and all(cell.lstrip("-").replace(".", "", 1).isdigit() for cell in found)
