"""The rows made for ids that a file names and the database does not have yet."""

from collections import Counter
from typing import Any

import sqlalchemy as sa


class Stubs:
    """Numbers of created stubs and the first of their ids, both by table."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self.names: dict[str, list[str]] = {}

    def add(self, table: str, made: sa.CursorResult[Any]) -> None:
        """Adds the one row of a statement that made some: their number, and ids or null."""
        (number, names) = tuple(made.one())
        if number:
            self.numbers[table] += number
            self.names.setdefault(table, []).extend(names)
