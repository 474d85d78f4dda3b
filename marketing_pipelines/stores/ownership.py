"""The growth of a table and the contact that its rows are about, declared next to its columns.

`sa.Table(…, info=owned(keep=Keep("read_at", days=400), person=Person(by="contact_id",
erase="delete")))`. A test demands it of every table; the data dictionary shows it, and the jobs of
the domain `upkeep` remove rows that are older.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import sqlalchemy as sa


class Growth(Enum):
    """The time that the rows of a table stay."""

    FOR_EVER = "for ever"
    EMPTIED = "until they are no longer needed"


FOR_EVER = Growth.FOR_EVER
EMPTIED = Growth.EMPTIED


@dataclass(frozen=True)
class Keep:
    """The days that rows stay, unless `[retention]` of `jobs.toml` says otherwise.

    Attributes:
        column: Instant or date from which the days count; rows where it is null stay.
        days: Whole days of 24 hours; of a date, calendar days.
        where: SQL condition of the rows that may go, with `:before` for the instant up to which
            rows are old; None: all of them.
        job: Asset key of the job that removes them.
    """

    column: str
    days: int
    where: str | None = None
    job: str = "upkeep/old_rows"

    @property
    def value(self) -> str:
        """Its words for the data dictionary."""
        condition = f", where `{self.where}`" if self.where else ""
        return f"{self.days} days after `{self.column}`{condition}"


@dataclass(frozen=True)
class Person:
    """The contact that rows are about.

    Attributes:
        by: Column that leads to the contact: the number of a contact or a list of numbers, a text
            or a list of texts that hold external ids or addresses, or the number of a row of `of`.
        of: Table that `by` names a row of, where that row is about the contact; None: a contact.
        otherwise: Column and table that lead to the contact where `by` is null.
        addresses: Columns with the normalised address of the contact, single or in a list; in a
            table without organization they count where `by` is null.
        erase: Treatment of the rows when the contact is erased: `delete` them, `empty` the columns
            of `mask`, or `keep` them, because nothing in them tells who the contact was.
        mask: Columns that name or describe the contact.
        export: True if the rows belong into the export of the contact's data.
    """

    by: str
    erase: Literal["delete", "empty", "keep"]
    mask: tuple[str, ...] = ()
    export: bool = True
    of: str | None = None
    otherwise: tuple[str, str] | None = None
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.erase == "empty") is not bool(self.mask):
            raise ValueError(f"Person(by={self.by!r}): erase='empty' and mask go together.")

    @property
    def columns(self) -> set[str]:
        """Every column that the declaration names."""
        otherwise = {self.otherwise[0]} if self.otherwise else set()
        return {self.by, *self.addresses, *self.mask} | otherwise

    @property
    def way(self) -> str:
        """Its columns that lead to the contact, for the data dictionary."""
        ways = [f"`{self.by}`" + (f" of `{self.of}`" if self.of else "")]
        if self.otherwise:
            column, of = self.otherwise
            ways.append(f"`{column}` of `{of}` where that is null")
        return ", ".join([*ways, *(f"`{column}`" for column in self.addresses)])


@dataclass(frozen=True)
class Ownership:
    """The declaration of one table.

    Attributes:
        person: None: rows are about no contact.
        mentions: Columns of free text, such as errors and payloads, that may name any contact; an
            erasure replaces its names there.
    """

    keep: Growth | Keep
    person: Person | None
    mentions: tuple[str, ...] = ()


def owned(
    *, keep: Growth | Keep, person: Person | None = None, mentions: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Returns the `info` of a table: how it grows, and which contact its rows are about."""
    return {"ownership": Ownership(keep, person, mentions)}


def ownership(table: sa.Table) -> Ownership:
    """The declaration of a table.

    Raises:
        KeyError: the table has none.
    """
    declared: Ownership = table.info["ownership"]
    return declared
