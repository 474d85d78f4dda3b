"""Sentences about a whole file: reasons of refused rows, oddities of loaded ones."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from marketing_pipelines.loading.results import Reject

MAX_CAUSES = 1_000
MAX_SENTENCES = 5
# From the first quotation mark to the last: values may hold apostrophes.
_VALUES = re.compile(r"'.*'|\d+", re.DOTALL)


class Remark(NamedTuple):
    """Something odd in rows that are loaded all the same.

    Args:
        line: the first of the rows.
        column: the column that it is about; empty where it is about several.
        reason: the rest of a sentence that the column begins; it quotes the value.
        rows: how many there are.
    """

    line: int
    column: str
    reason: str
    rows: int = 1

    @property
    def text(self) -> str:
        """The sentence."""
        return f"{self.column} {self.reason}".strip()

    @property
    def cause(self) -> tuple[str, str]:
        """The column and the reason without its values."""
        return self.column, _VALUES.sub("", self.reason)


class _Cause(NamedTuple):
    rows: int
    first: Remark


class Tally:
    """Counts remarks by column and reason; quoted values and numbers make no difference."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str, str], _Cause] = {}
        self.rows = 0

    def add(self, remarks: Iterable[Remark]) -> None:
        """Counts remarks; beyond `MAX_CAUSES` causes, new ones are counted in `rows` alone."""
        for remark in remarks:
            self.rows += remark.rows
            key = remark.cause
            cause = self._causes.get(key)
            if cause is not None:
                first = min(cause.first, remark, key=lambda each: each.line)
                self._causes[key] = _Cause(cause.rows + remark.rows, first)
            elif len(self._causes) < MAX_CAUSES:
                self._causes[key] = _Cause(remark.rows, remark)

    def add_rejects(self, rejects: Iterable[Reject]) -> None:
        """Counts refused rows by column and reason."""
        self.add(Remark(*reject) for reject in rejects)

    def remarks(self) -> list[str]:
        """A sentence for each of the most frequent causes."""
        return [f"{first.text} ({_rows(rows, first.line)})" for rows, first in self._frequent()]

    def refusals(self, rows: int) -> list[str]:
        """A sentence for each of the most frequent reasons for which rows of a file were refused.

        Args:
            rows: how many the file has.
        """
        causes = self._frequent()
        if len(causes) == 1 and causes[0].rows == rows > 1:
            first = causes[0].first
            return [
                f"All {rows:,} rows are refused for one reason; line {first.line}: {first.text}"
            ]
        return [f"Refused: {first.text} ({_rows(rows, first.line)})" for rows, first in causes]

    def _frequent(self) -> list[_Cause]:
        causes = sorted(self._causes.values(), key=lambda cause: (-cause.rows, cause.first.line))
        return causes[:MAX_SENTENCES]


def _rows(rows: int, line: int) -> str:
    return f"line {line}" if rows == 1 else f"{rows:,} rows, the first is line {line}"
