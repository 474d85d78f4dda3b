"""The declaration of a kind of file that `load` takes for a table of a domain.

The `load.py` of a domain lists its `KINDS`. Identifiers in the SQL of a load come from these
declarations and from nowhere else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import sqlalchemy as sa

# Texts of an index have at most so many bytes.
MAX_INDEXED = 2_000
ColumnType = Literal[
    "text", "integer", "number", "date", "instant", "zone", "object", "json", "boolean", "list"
]
# The cells of a row of a file, by column.
FileRow = Mapping[str, str | None]


@dataclass(frozen=True)
class Reference:
    """A column that holds the external id of another entity of the same organization.

    Args:
        table: a table, or a view that stubs can be inserted into.
        stub: column values, as SQL, of the stub that an unknown id becomes.
        discriminators: where the id alone is not enough, columns of the table, each with the column
            of the kind's key that holds its value.
    """

    table: sa.TableClause
    stub: tuple[tuple[str, str], ...] = ()
    discriminators: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Column:
    """A column that a file may have.

    Args:
        column: the table's column, where it has another name.
        problem: returns the reason why the cell cannot be used, or None. It is given the columns
            that the row sets (an empty cell is None), whose types are not checked yet.
        choices: the only values allowed; empty: any.
        required: an empty cell is refused, and a file without the column too.
        empty: the value of an empty cell, as SQL; None: null. A stored null gives way to it too.
        keep: an empty cell changes nothing; a new row then has `empty`, or the load's instant.
        least: the smallest number allowed; None: any.
        most: the greatest number allowed; None: any.
        longest: the most bytes of a text, or of each value of a list; None: any.
        names: the kinds of names of persons that the cell may hold: external_id, or the channel of
            an address. A reference to contacts holds an external id.
        only_if: the condition under which a load changes the column of an existing row, as SQL of
            `stored` (that row) and `changed` (the row with the file's values); None: always.
    """

    name: str
    type: ColumnType = "text"
    choices: tuple[str, ...] = ()
    required: bool = False
    empty: str | None = None
    keep: bool = False
    least: int | None = None
    most: int | None = None
    longest: int | None = None
    names: tuple[str, ...] = ()
    only_if: str | None = None
    reference: Reference | None = None
    column: str | None = None
    problem: Callable[[FileRow], str | None] | None = None

    @property
    def stored(self) -> str:
        """The table's column."""
        return self.column or self.name

    @property
    def is_json(self) -> bool:
        """True if its cells hold JSON: an object, or any value in a column of type `json`."""
        return self.type in ("object", "json")

    @property
    def may_nest(self) -> bool:
        """True if a value may be an object or a list of its own in a file that has such."""
        return self.is_json or self.type == "list"


@dataclass(frozen=True)
class Statements:
    """SQL that stores the staged rows of a kind, which stand in the table `loaded_<kind>`.

    Args:
        prepare: runs first, e.g. makes a temporary view.
        insert: its row count is that of the inserted rows.
        change: runs if fewer rows were inserted than staged; its row count is that of the changed
            rows.
    """

    prepare: str
    insert: str
    change: str


class RefusedRow(NamedTuple):
    """A staged row that is not stored: its line, its wrong column, the rest of the sentence."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True)
class Kind:
    """One kind of entity.

    Args:
        key: columns that identify a row, besides the organization.
        fixed: columns, with values as SQL, that every row of the kind has besides its key.
        named: columns that no file has, with their values, as SQL of the existing row `known`, once
            a file names it.
        attributes: the table keeps unknown columns; otherwise they are refused.
        tenants: the rows are organizations themselves.
        statements: SQL in place of the statements that the declaration gives, for rows that are not
            one row of the table each.
        refused: finds the staged rows, in the table `loaded_<kind>`, that must not be stored, for
            example since they name an unknown category; runs in the transaction that stores others.
    """

    name: str
    table: sa.Table
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    fixed: tuple[tuple[str, str], ...] = ()
    named: tuple[tuple[str, str], ...] = ()
    attributes: bool = True
    tenants: bool = False
    statements: "Statements | None" = None
    refused: Callable[[sa.Connection], Iterable[RefusedRow]] | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which a file is refused."""
        own = tuple(column.name for column in self.columns if column.required)
        return own if self.tenants else ("organization_id", *own)

    @property
    def known(self) -> tuple[str, ...]:
        """Columns that a file may have; others become attributes."""
        own = tuple(column.name for column in self.columns)
        return own if self.tenants else ("organization_id", *own)

    @property
    def stored_key(self) -> tuple[str, ...]:
        """The table's columns that identify a row, besides the organization."""
        stored = {column.name: column.stored for column in self.columns}
        return tuple(stored[name] for name in self.key)

    @property
    def references(self) -> tuple[Column, ...]:
        """The columns that name other entities."""
        return tuple(column for column in self.columns if column.reference is not None)


EXTERNAL_ID = Column("external_id", required=True)
CREATED_AT = Column("created_at", "instant", keep=True)
ENABLED = Column("enabled", "boolean", empty="true")
