"""Statements: sentences, each with the rows that it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Facts by the row that they come from, e.g. `deal:17`.
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Statement:
    """One sentence.

    Attributes:
        text: Without its citations.
        rows: Rows that it comes from, e.g. `deal:17`; none where it states no fact.
        rule: Rule that made it, where one did.
    """

    text: str
    rows: tuple[str, ...] = ()
    rule: str | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cited(self) -> str:
        """The sentence with its citations, e.g. `Open deal: Rollout [deal:17].`"""
        return f"{self.text} [{', '.join(self.rows)}]" if self.rows else self.text

    def stored(self) -> dict[str, Any]:
        """The statement as the object that tables hold."""
        rule = {} if self.rule is None else {"rule": self.rule}
        return {**self.numbers, "text": self.text, "rows": list(self.rows), **rule}


def stored(statements: Iterable[Statement]) -> list[dict[str, Any]]:
    """The statements as tables hold them."""
    return [statement.stored() for statement in statements]


def facts_of(statement: Statement, facts: Facts) -> list[Any]:
    """The facts of the rows that a statement cites."""
    return [facts[row] for row in statement.rows if row in facts]


def joined(names: Sequence[str]) -> str:
    """Names as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
