"""Columns of exports, and the SQL of their cells: as plain text, in csv, in JSON, and typed.

The inverse of `load`: a cell of csv or JSON is read again as the value that it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from marketing_pipelines.stores.kinds import ColumnType, Kind

CellType = ColumnType | Literal["attribute"]
_TEXTS = ("text", "zone", "list", "attribute")


@dataclass(frozen=True)
class ExportColumn:
    """A column of a kind of export.

    Attributes:
        value: SQL of its value; of an attribute its `jsonb` value.
        comment: Its meaning, for the page.
    """

    name: str
    type: CellType
    value: sql.Composable
    comment: str = ""

    @property
    def text(self) -> sql.Composable:
        """SQL of the value as text; null where there is none."""
        match self.type:
            case "text" | "zone":
                return self.value
            case "attribute":
                return sql.SQL("({} #>> '{{}}')").format(self.value)
            case "instant":
                return _instant(self.value)
            case "list":
                return _list(self.value)
        return sql.SQL("cast({} as text)").format(self.value)

    @property
    def may_be_formula(self) -> bool:
        """True if a cell is a text of people, which a spreadsheet may take for a formula."""
        return self.type in _TEXTS

    @property
    def json(self) -> sql.Composable:
        """SQL of the value as JSON, `null` where there is none."""
        if self.type in ("text", "zone", "list", "date"):
            json = sql.SQL("cast(to_json({}) as text)").format(self.value)
        elif self.type == "instant":
            json = sql.SQL("""'"' || {} || '"'""").format(self.text)
        else:
            json = sql.SQL("cast({} as text)").format(self.value)
        return sql.SQL("coalesce({}, 'null')").format(json)

    @property
    def typed(self) -> sql.Composable:
        """SQL of the value in Parquet: numbers, dates, instants and lists keep their type."""
        if self.type == "number":
            return sql.SQL("cast(round({}, 9) as text)").format(self.value)
        if self.type in ("object", "json", "attribute"):
            return self.text
        return self.value


def _instant(value: sql.Composable) -> sql.Composable:
    return sql.SQL(
        """rtrim(rtrim(to_char({} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.')"""
        " || 'Z'"
    ).format(value)


def _list(value: sql.Composable) -> sql.Composable:
    """Texts parted by semicolons, or a JSON list where one of them would be read otherwise."""
    return sql.SQL(
        "case when {value} <> '{{}}' then"
        " case when array_to_string({value}, '', '*') ~ '[;[{{]'"
        " or exists (select from unnest({value}) as item where item <> trim(item) or item = '')"
        " then cast(to_json({value}) as text) else array_to_string({value}, ';') end end"
    ).format(value=value)


def columns_of(kind: Kind, alias: str) -> tuple[list[ExportColumn], sql.Composable]:
    """Returns the columns that `load` knows of a kind, and the joins that their values need.

    Args:
        alias: The name of the kind's table in the statement.
    """
    columns = [
        ExportColumn("organization_id", "text", sql.SQL("organization.external_id"), "Organization")
    ]
    joins: list[sql.Composable] = []
    for column in kind.columns:
        value: sql.Composable = sql.Identifier(alias, column.stored)
        if column.reference is not None:
            schema, name = str(column.reference.table.schema), column.reference.table.name
            joined = f"by_{column.name}"
            joins.append(
                sql.SQL(" left join {table} as {joined} on {joined}.id = {value}").format(
                    table=sql.Identifier(schema, name), joined=sql.Identifier(joined), value=value
                )
            )
            value = sql.Identifier(joined, "external_id")
        comment = str(kind.table.c[column.stored].comment or "")
        kept: CellType = "text" if column.reference is not None else column.type
        columns.append(ExportColumn(column.name, kept, value, comment))
    return columns, sql.Composed(joins)


def attribute(alias: str, name: str) -> ExportColumn:
    """Returns the column of an attribute."""
    value = sql.SQL("({} -> {})").format(sql.Identifier(alias, "attributes"), sql.Literal(name))
    return ExportColumn(name, "attribute", value)


def names_of(columns: Sequence[ExportColumn]) -> list[str]:
    """The names of columns, in their order."""
    return [column.name for column in columns]
