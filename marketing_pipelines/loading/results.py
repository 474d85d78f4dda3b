"""The result of a load: refused rows, and numbers of the changed ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MAX_NAMES = 10
MAX_STUB_NAMES = 5


class Reject(NamedTuple):
    """A refused row: its line, its wrong column (empty: the whole row), the reason."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True)
class Counts:
    """Numbers of rows by their result; adds up over batches.

    Args:
        loaded: new events or new entities.
        changed: events that replaced a repeat received later; entities that changed.
        repeated: rows that changed nothing.
        stubs: rows made for ids that had none, by table.
        stub_names: the first of those ids, by table.
    """

    loaded: int = 0
    changed: int = 0
    repeated: int = 0
    stubs: Counter[str] = field(default_factory=Counter)
    stub_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.loaded + other.loaded,
            self.changed + other.changed,
            self.repeated + other.repeated,
            self.stubs + other.stubs,
            _join_names(self.stub_names, other.stub_names),
        )


@dataclass(frozen=True)
class LoadResult:
    """The outcome of one file; every row of it is in exactly one of the four numbers.

    Args:
        stubs: rows made for ids that had none, by table.
        stub_names: the first of those ids, by table.
        kept_as: kind of the unknown columns: attributes or properties.
        further: their names.
        notes: sentences about the file: reasons for refused rows, suspicious loaded rows.
    """

    loaded: int
    changed: int
    repeated: int
    rejected: int
    rejects: Path | None
    stubs: Mapping[str, int] = field(default_factory=dict)
    stub_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kept_as: str = ""
    further: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def rows(self) -> int:
        """Rows that the file holds, without its header and blank lines."""
        return self.loaded + self.changed + self.repeated + self.rejected

    def _made(self, table: str) -> str:
        number, ids = self.stubs[table], [name[:60] for name in self.stub_names[table]]
        if number > len(ids):
            ids.append("…")
        return f"{table} {number:,} ({', '.join(ids)})"

    def summary(self) -> str:
        """One line for people."""
        text = f"loaded {self.loaded:,}"
        if self.changed:
            text += f", changed {self.changed:,}"
        text += f", repeated {self.repeated:,}, rejected {self.rejected:,}"
        if self.rejects is not None:
            text += f" (see {self.rejects})"
        if self.stubs:
            made = ", ".join(self._made(name) for name in sorted(self.stubs))
            text += f"; named here and not known before: {made}"
        if self.further:
            text += f"; kept as {self.kept_as}: {', '.join(self.further[:MAX_NAMES])}"
            if len(self.further) > MAX_NAMES:
                text += f" and {len(self.further) - MAX_NAMES:,} more"
        return text


def _join_names(
    one: Mapping[str, Sequence[str]], other: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """The first ids of both, by table."""
    return {
        table: [*one.get(table, ()), *other.get(table, ())][:MAX_STUB_NAMES]
        for table in {**one, **other}
    }
