"""Events: closed hours out of the lake, the others out of PostgreSQL, in the order of time.

The manifest of the snapshot says which hours the lake holds. An hour whose events changed since, or
whose file is of another state of the database than the snapshot, is read from PostgreSQL.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg import sql

from marketing_pipelines.domains.analytics.manifest import ExportedHour, exported_hours
from marketing_pipelines.domains.exports.columns import CellType, ExportColumn
from marketing_pipelines.domains.exports.selection import RowChoice
from marketing_pipelines.domains.exports.snapshot import Snapshot
from marketing_pipelines.freshness.partitions import HOUR
from marketing_pipelines.loading.events import COLUMNS
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines.stores.postgres import raw_cursor

if TYPE_CHECKING:
    import pyarrow as pa

ASSET = "analytics/contact_activity"
BATCH_ROWS = 65_536
_READ = (
    "organization_id", "event_id", "contact_id", "event_type", "source_id", "occurred_at",
    "received_at", "properties",
)  # fmt: skip
_ABOUT: dict[str, tuple[CellType, str]] = {
    "event_id": ("text", "Id of the event"),
    "organization_id": ("text", "Organization"),
    "contact_id": ("text", "Contact"),
    "event_type": ("text", "Type of the event"),
    "occurred_at": ("instant", "When it happened"),
    "event_source": ("text", "Campaign; empty = none"),
    "received_at": ("instant", "When the platform received it"),
    "properties": ("object", "Further properties"),
}
EVENT_COLUMNS = tuple(ExportColumn(name, _ABOUT[name][0], sql.SQL(""), _ABOUT[name][1])
                      for name in COLUMNS)  # fmt: skip
_STALE = sa.text("select partition from analytics.stale_partitions where asset = :asset")


@dataclass(frozen=True)
class EventRows:
    """The chosen events; the choice has a begin and an end."""

    choice: RowChoice

    @property
    def _start(self) -> dt.datetime:
        assert self.choice.starts_at is not None
        return self.choice.starts_at

    @property
    def _end(self) -> dt.datetime:
        assert self.choice.ends_at is not None
        return self.choice.ends_at

    def count(self, connection: sa.Connection, limit: int) -> int:
        """Returns the number of events, counted no further than one beyond a limit."""
        query = sql.SQL("select count(*) from ({query} limit {limit}) as counted").format(
            query=self._query(self._start, self._end, sql.SQL("")), limit=sql.Literal(limit + 1)
        )
        return int(raw_cursor(connection).execute(query).fetchone()[0])

    def columns(
        self, connection: sa.Connection, chosen: Sequence[str] | None
    ) -> list[ExportColumn]:
        """Returns the columns: the chosen ones, or those of an events file."""
        own = {column.name: column for column in EVENT_COLUMNS}
        return list(EVENT_COLUMNS) if chosen is None else [own[name] for name in chosen]

    def batches(
        self, snapshot: Snapshot, lake: Lake, columns: Sequence[ExportColumn], *, typed: bool
    ) -> Iterator["pa.Table"]:
        """The events in order.

        Args:
            typed: Instants keep their type; otherwise every column is text.
        """
        names = _Names(snapshot.connection, self.choice)
        for table in self._pieces(snapshot, lake):
            if table.num_rows:
                yield _shown(table, names, [column.name for column in columns], typed)

    def _pieces(self, snapshot: Snapshot, lake: Lake) -> Iterator["pa.Table"]:
        """The events of hours of the lake, and between them those of PostgreSQL."""
        connection = snapshot.connection
        stale = set(connection.execute(_STALE, {"asset": ASSET}).scalars())
        reached = self._start
        for hour, exported in exported_hours(connection, self._start, self._end).items():
            utc = hour.astimezone(dt.UTC)
            if f"{utc:%Y-%m-%d-%H:00}" in stale:
                continue
            content = _content(lake, hour, exported) if exported.rows else b""
            if content is None:
                continue
            if reached < hour:
                yield from self._stored(snapshot, reached, min(hour, self._end))
            if content:
                yield from self._of_file(content, snapshot.connection)
            reached = hour + HOUR
        if reached < self._end:
            yield from self._stored(snapshot, reached, self._end)

    def _of_file(self, content: bytes, connection: sa.Connection) -> Iterator["pa.Table"]:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        contacts = self._contacts(connection)
        for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(
            BATCH_ROWS, columns=list(_READ)
        ):
            table = pa.Table.from_batches([batch])
            occurred = table["occurred_at"]
            wanted = pc.and_(
                pc.equal(table["organization_id"], self.choice.organization_id),
                pc.and_(
                    pc.greater_equal(occurred, pa.scalar(self._start, occurred.type)),
                    pc.less(occurred, pa.scalar(self._end, occurred.type)),
                ),
            )
            if contacts is not None:
                wanted = pc.and_(wanted, pc.is_in(table["contact_id"], contacts))
            yield table.filter(wanted)

    def _contacts(self, connection: sa.Connection) -> "pa.Array | None":
        """The numbers of the chosen contacts; None: all."""
        import pyarrow as pa

        chosen = self.choice.contact_id, self.choice.segment_id
        if chosen == (None, None):
            return None
        found = connection.execute(
            sa.text(
                "select id from crm.contacts where organization_id = :organization"
                " and (cast(:contact as bigint) is null or id = :contact)"
                " and (cast(:segment as bigint) is null or id in (select contact_id"
                " from segments.memberships where segment_id = :segment and left_at is null))"
            ),
            {
                "organization": self.choice.organization_id,
                "contact": chosen[0],
                "segment": chosen[1],
            },
        ).scalars()
        return pa.array(list(found), pa.int64())

    def _stored(
        self, snapshot: Snapshot, start: dt.datetime, end: dt.datetime
    ) -> Iterator["pa.Table"]:
        import pyarrow as pa

        cells = sql.SQL(
            "organization_id, event_id, contact_id, event_type, source_id, occurred_at,"
            " received_at, cast(properties as text) as properties"
        )
        query = sql.SQL("{} order by occurred_at, event_id").format(self._query(start, end, cells))
        with snapshot.arrow(query) as batches:
            for batch in batches:
                yield pa.Table.from_batches([batch])

    def _query(self, start: dt.datetime, end: dt.datetime, cells: sql.Composable) -> sql.Composable:
        conditions = [
            sql.SQL("organization_id = {}").format(sql.Literal(self.choice.organization_id)),
            sql.SQL("occurred_at >= {}").format(sql.Literal(start)),
            sql.SQL("occurred_at < {}").format(sql.Literal(end)),
        ]
        if self.choice.contact_id is not None:
            contact = sql.Literal(self.choice.contact_id)
            conditions.append(sql.SQL("contact_id = {}").format(contact))
        if self.choice.segment_id is not None:
            conditions.append(
                sql.SQL(
                    "contact_id in (select contact_id from segments.memberships"
                    " where segment_id = {} and left_at is null)"
                ).format(sql.Literal(self.choice.segment_id))
            )
        return sql.SQL("select {cells} from analytics.contact_activity where {conditions}").format(
            cells=cells, conditions=sql.SQL(" and ").join(conditions)
        )


class _Names:
    """The external ids of the rows that events name by number, asked for batch by batch."""

    def __init__(self, connection: sa.Connection, choice: RowChoice) -> None:
        self._connection = connection
        self.organization = connection.execute(
            sa.text("select external_id from crm.organizations where id = :id"),
            {"id": choice.organization_id},
        ).scalar_one()

    def of(self, table: str, numbers: "pa.ChunkedArray") -> "pa.Array":
        """The external ids of these numbers; null where there is none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        asked = pc.unique(numbers).drop_null().to_pylist()
        query = sql.SQL("select id, external_id from {} where id = any(%s)").format(sql.SQL(table))
        rows = raw_cursor(self._connection).execute(query, [asked]).fetchall() if asked else []
        known = pa.array([row[0] for row in rows], pa.int64())
        names = pa.array([row[1] for row in rows], pa.string())
        return names.take(pc.index_in(numbers.combine_chunks(), known))


def _content(lake: Lake, hour: dt.datetime, exported: ExportedHour) -> bytes | None:
    """The file of an hour; None: it is not the one that the snapshot's manifest names."""
    try:
        content = bytes(lake.filesystem.cat_file(lake.path(hour)))
    except FileNotFoundError:
        return None
    is_same = hashlib.sha256(content).hexdigest() == exported.content_hash
    return content if is_same else None


def _shown(table: "pa.Table", names: _Names, columns: Sequence[str], typed: bool) -> "pa.Table":
    import pyarrow as pa

    def column(name: str) -> Any:
        match name:
            case "organization_id":
                return pa.array([names.organization] * table.num_rows, pa.string())
            case "contact_id":
                return names.of("crm.contacts", table["contact_id"])
            case "event_source":
                return names.of("campaigns.campaigns", table["source_id"])
            case "occurred_at" | "received_at" if not typed:
                return _instants(table[name])
        return table[name]

    return pa.table([column(name) for name in columns], names=list(columns))


def _instants(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Instants as texts, without zeros at the end of their fractions."""
    import pyarrow as pa
    import pyarrow.compute as pc

    utc = column.cast(pa.timestamp("us", tz="UTC"))
    texts = pc.strftime(utc, format="%Y-%m-%dT%H:%M:%SZ")
    texts = pc.replace_substring(texts, ".000000Z", "Z")
    return pc.replace_substring_regex(texts, r"(\.[0-9]*[1-9])0+Z$", r"\1Z")
