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
        plain: SQL of an attribute's value as text.
        comment: Its meaning, for the page.
    """

    name: str
    type: CellType
    value: sql.Composable
    comment: str = ""
    plain: sql.Composable | None = None

    @property
    def text(self) -> sql.Composable:
        """SQL of the value as text; null where there is none."""
        match self.type:
            case "text" | "zone":
                return self.value
            case "attribute":
                assert self.plain is not None
                return self.plain
            case "instant":
                return _instant(self.value)
            case "list":
                return _list(self.value)
        return sql.SQL("cast({} as text)").format(self.value)

    @property
    def csv(self) -> sql.Composable:
        """SQL of the value as COPY takes it for csv, before formulas lose their effect."""
        return self.value if self.type in ("integer", "number", "date") else self.text

    @property
    def may_be_formula(self) -> bool:
        """True if a cell is a text of people, which a spreadsheet may take for a formula."""
        return self.type in _TEXTS

    @property
    def json(self) -> sql.Composable:
        """SQL of the value as JSON; null where there is none."""
        if self.type in ("text", "zone", "list", "date"):
            return sql.SQL("cast(to_json({}) as text)").format(self.value)
        if self.type == "instant":
            return sql.SQL("""'"' || {} || '"'""").format(self.text)
        return sql.SQL("cast({} as text)").format(self.value)

    @property
    def typed(self) -> sql.Composable:
        """SQL of the value in Parquet: numbers, dates, instants and lists keep their type."""
        if self.type == "number":
            return sql.SQL("cast(round({}, 9) as text)").format(self.value)
        if self.type in ("object", "json", "attribute"):
            return self.text
        return self.value


def _instant(value: sql.Composable) -> sql.Composable:
    """An instant as ISO 8601 in the zone of the session, which is UTC in a snapshot."""
    # `to_char` and `at time zone` take three times as long.
    return sql.SQL("cast({value} as date) || 'T' || cast({value} as time) || 'Z'").format(
        value=value
    )


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
    value, plain = (
        sql.SQL("({} {} {})").format(
            sql.Identifier(alias, "attributes"), sql.SQL(operator), sql.Literal(name)
        )
        for operator in ("->", "->>")
    )
    return ExportColumn(name, "attribute", value, plain=plain)


def names_of(columns: Sequence[ExportColumn]) -> list[str]:
    """The names of columns, in their order."""
    return [column.name for column in columns]
