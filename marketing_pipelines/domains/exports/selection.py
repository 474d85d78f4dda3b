"""The rows of a request as SQL: their number, the attributes that they have, and their cells.

COPY takes no parameters: values stand in the statements as literals, quoted by psycopg.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from marketing_pipelines.domains.exports.columns import ExportColumn, attribute
from marketing_pipelines.domains.exports.declarations import ALIAS, TableKind
from marketing_pipelines.domains.exports.formulas import defused_sql
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores.postgres import raw_cursor

# PostgreSQL takes 1,664 columns of a statement.
MAX_COLUMNS = 1_600


@dataclass(frozen=True)
class RowChoice:
    """The rows that a request chooses of its organization's; None: no condition."""

    organization_id: int
    contact_id: int | None = None
    segment_id: int | None = None
    starts_at: dt.datetime | None = None
    ends_at: dt.datetime | None = None


@dataclass(frozen=True)
class TableRows:
    """The chosen rows of one table."""

    kind: TableKind
    choice: RowChoice

    def count(self, connection: sa.Connection, limit: int) -> int:
        """Returns the number of rows, counted no further than one beyond a limit."""
        query = sql.SQL("select count(*) from (select{source} limit {limit}) as counted").format(
            source=self._source(), limit=sql.Literal(limit + 1)
        )
        return int(raw_cursor(connection).execute(query).fetchone()[0])

    def columns(
        self, connection: sa.Connection, chosen: Sequence[str] | None
    ) -> list[ExportColumn]:
        """Returns the columns: the chosen ones, or those of the kind and then its attributes.

        Raises:
            BadInputError: there are too many attributes.
        """
        own = {column.name: column for column in self.kind.columns}
        if chosen is not None:
            return [own.get(name) or attribute(ALIAS, name) for name in chosen]
        names = self.attributes(connection) if self.kind.attributes else []
        if len(own) + len(names) > MAX_COLUMNS:
            raise BadInputError(
                f"columns: there are {len(names):,} attributes, and a file has at most "
                f"{MAX_COLUMNS:,} columns: name the columns that are needed."
            )
        return [*own.values(), *(attribute(ALIAS, name) for name in names)]

    def attributes(
        self, connection: sa.Connection, among: Iterable[str] | None = None
    ) -> list[str]:
        """Returns the names of attributes that the rows have, in order.

        Args:
            among: Only these; None: all but those named as a column of the kind.
        """
        condition = sql.SQL("key <> all({})").format(
            sql.Literal([column.name for column in self.kind.columns])
        )
        if among is not None:
            condition = sql.SQL("key = any({})").format(sql.Literal(list(among)))
        query = sql.SQL(
            'select distinct key collate "C" from (select{source}) as chosen,'
            " jsonb_object_keys(chosen.attributes) as key"
            " where {condition} order by 1 limit {limit}"
        ).format(
            source=self._source(sql.SQL("stored.attributes")),
            condition=condition,
            limit=sql.Literal(MAX_COLUMNS + 1),
        )
        return [row[0] for row in raw_cursor(connection).execute(query)]

    def cells(
        self,
        columns: Sequence[ExportColumn],
        cell: Callable[[ExportColumn], sql.Composable],
    ) -> sql.Composable:
        """SQL of the rows in order, one column of cells for each column."""
        cells = sql.SQL(", ").join(
            sql.SQL("{} as {}").format(cell(column), sql.Identifier(f"c{place}"))
            for place, column in enumerate(columns)
        )
        return self._ordered(cells)

    def csv(self, columns: Sequence[ExportColumn]) -> sql.Composable:
        """SQL of the rows in order as cells of csv, in which no text is a formula."""
        cells = sql.SQL(", ").join(
            defused_sql(name) if column.may_be_formula else name
            for column, name in (
                (column, sql.Identifier(f"c{place}")) for place, column in enumerate(columns)
            )
        )
        # Without the offset, each mention of a text would compute it again.
        return sql.SQL("select {cells} from ({rows} offset 0) as texts").format(
            cells=cells, rows=self.cells(columns, lambda column: column.csv)
        )

    def lines(self, columns: Sequence[ExportColumn]) -> sql.Composable:
        """SQL of the rows in order, each one JSON object."""
        pieces: list[sql.Composable] = []
        for place, column in enumerate(columns):
            before = ("," if place else "{") + _json_text(column.name) + ":"
            pieces.append(
                sql.SQL("coalesce({} || {}, {})").format(
                    sql.Literal(before), column.json, sql.Literal(f"{before}null")
                )
            )
        return self._ordered(sql.SQL(" || ").join([*pieces, sql.Literal("}")]))

    def _ordered(self, cells: sql.Composable) -> sql.Composable:
        return sql.SQL("select {source} order by {order}").format(
            source=self._source(cells), order=self.kind.order
        )

    def _source(self, cells: sql.Composable | None = None) -> sql.Composable:
        choice = self.choice
        table = self.kind.table
        conditions = [sql.SQL("stored.organization_id = {}").format(_value(choice.organization_id))]
        if choice.starts_at is not None:
            conditions.append(
                sql.SQL("{} >= {}").format(self.kind.instant, _value(choice.starts_at))
            )
        if choice.ends_at is not None:
            conditions.append(sql.SQL("{} < {}").format(self.kind.instant, _value(choice.ends_at)))
        if choice.contact_id is not None and self.kind.contact is not None:
            conditions.append(
                sql.SQL("{} = {}").format(self.kind.contact, _value(choice.contact_id))
            )
        if choice.segment_id is not None and self.kind.contact is not None:
            conditions.append(
                sql.SQL(
                    "{} in (select contact_id from segments.memberships"
                    " where segment_id = {} and left_at is null)"
                ).format(self.kind.contact, _value(choice.segment_id))
            )
        return sql.SQL(
            " {cells} from {table} as stored"
            " join crm.organizations as organization on organization.id = stored.organization_id"
            "{joins} where {conditions}"
        ).format(
            cells=cells or sql.SQL(""),
            table=sql.Identifier(str(table.schema), table.name),
            joins=self.kind.joins,
            conditions=sql.SQL(" and ").join(conditions),
        )


def _value(value: Any) -> sql.Literal:
    return sql.Literal(value)


def _json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
