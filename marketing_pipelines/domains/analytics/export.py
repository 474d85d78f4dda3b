"""Closed hours of events out of PostgreSQL into the lake.

Rows are streamed over ADBC in the snapshot of the transaction that holds the hours' locks, ordered
by time, and cut into one file per hour. Files are moved into place after their rows were counted
against the table, just before the manifest that names them is committed.
"""

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.manifest import (
    ExportedHour,
    exported_hours,
    record_hours,
)
from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.failures import ContractViolationError
from marketing_pipelines.freshness.partitions import Window
from marketing_pipelines.stores.lake import HourFile, Lake, schema
from marketing_pipelines.stores.postgres import fast_reader
from marketing_pipelines.stores.schema import installation_id

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 4 * 1024 * 1024
# The planner thinks that the rows of an hour lie scattered, and reads the whole month for a few
# per cent of it.
BY_INDEX = "set local enable_seqscan = off"
MICROSECONDS_PER_HOUR = 3_600_000_000
_DIALECT = sa.make_url("postgresql://").get_dialect()


@dataclass
class Export:
    """Counts and changed hours of one export."""

    rows: int = 0
    received_early: int = 0
    changed: list[Window] = field(default_factory=list)
    new_and_empty: list[Window] = field(default_factory=list)
    emptied: list[dt.datetime] = field(default_factory=list)
    rows_of: dict[str, int] = field(default_factory=dict)


def estimated_rows(connection: sa.Connection, windows: Sequence[Window]) -> dict[str, int]:
    """Events per hour as PostgreSQL's planner guesses, spread evenly.

    Counting them would cost a fifth of the export.
    """
    if len(windows) < 2:
        return {}
    query = sa.select(contact_activity.c.id).where(_within(windows[0].start, windows[-1].end))
    text = query.compile(connection.engine, compile_kwargs={"literal_binds": True})
    plan = connection.exec_driver_sql(f"explain (format json) {text}").scalar_one()
    connection.rollback()
    return dict.fromkeys((w.key for w in windows), plan[0]["Plan"]["Plan Rows"] // len(windows))


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[Any]:
    """A connection of the fast driver, to read rows with; one serves a whole run."""
    with fast_reader(engine.url) as source:
        yield source


def export_hours(
    connection: sa.Connection, source: Any, windows: Sequence[Window], lake: Lake
) -> Export:
    """Exports hours whole; call it inside the transaction that holds their locks.

    Args:
        source: Result of `reading`; its rows come from the connection's snapshot.

    Raises:
        ConfigurationError: the lake is another database's.
        ContractViolationError: the rows written differ from the rows of the table.
        StoreUnavailableError: the lake cannot be written.
    """
    lake.claim(installation_id(connection))
    start, end = windows[0].start, windows[-1].end
    before = exported_hours(connection, start, end)
    snapshot = connection.exec_driver_sql("select pg_export_snapshot()").scalar_one()
    with contextlib.ExitStack() as files:
        # The table is counted on this connection while the other one sends the rows.
        with ThreadPoolExecutor(1) as pool:
            counting = pool.submit(_count, connection, start, end)
            written = _write_files(source, snapshot, start, end, lake, files)
            stored, received_early = counting.result()
        _require_all_rows(start, end, sum(file.rows for file, _ in written.values()), stored)
        export = Export(received_early=received_early)
        now_exported: dict[dt.datetime, ExportedHour] = {}
        for window in windows:
            file, content_hash = written.get(window.start, (None, ""))
            content = ExportedHour(file.rows if file else 0, content_hash)
            export.rows += content.rows
            export.rows_of[window.key] = content.rows
            now_exported[window.start] = content
            if file:
                # A lost connection is a lost lock: then nothing may be moved into place.
                connection.exec_driver_sql("select 1")
                file.publish()
            if before.get(window.start) == content:
                continue
            if not content.rows and window.start not in before:
                export.new_and_empty.append(window)
                continue
            export.changed.append(window)
            if not file:
                export.emptied.append(window.start)
        record_hours(connection, now_exported)
    return export


def _write_files(
    source: Any,
    snapshot: str,
    start: dt.datetime,
    end: dt.datetime,
    lake: Lake,
    files: contextlib.ExitStack,
) -> dict[dt.datetime, tuple[HourFile, str]]:
    written: dict[dt.datetime, tuple[HourFile, str]] = {}
    file: HourFile | None = None
    with _stream(source, snapshot, start, end) as batches:
        for hour, part in _cut_at_hours(batches):
            if file is None or file.hour != hour:
                if file is not None:
                    written[file.hour] = (file, file.close())
                file = files.enter_context(lake.new_file(hour))
            file.write(part)
    if file is not None:
        written[file.hour] = (file, file.close())
    return written


@contextlib.contextmanager
def _stream(
    source: Any, snapshot: str, start: dt.datetime, end: dt.datetime
) -> Iterator["pa.RecordBatchReader"]:
    """The rows of the span in that snapshot, as the lake's columns."""
    query = (
        sa.select(
            contact_activity.c.organization_id,
            contact_activity.c.event_id,
            contact_activity.c.contact_id,
            contact_activity.c.event_type,
            contact_activity.c.source_type,
            contact_activity.c.source_id,
            contact_activity.c.occurred_at,
            contact_activity.c.received_at,
            (contact_activity.c.properties["machine_open"] == sa.text("'true'::jsonb")).label(
                "machine_open"
            ),
            sa.cast(contact_activity.c.properties, sa.Text).label("properties"),
        )
        .where(_within(start, end))
        .order_by(
            contact_activity.c.occurred_at,
            contact_activity.c.organization_id,
            contact_activity.c.event_id,
        )
    )
    # ADBC streams by COPY only without parameters; the two instants are ours and typed.
    text = str(query.compile(dialect=_DIALECT(), compile_kwargs={"literal_binds": True}))
    with source.cursor() as cursor:
        cursor.execute("begin isolation level repeatable read read only")
        try:
            cursor.execute(f"set transaction snapshot '{snapshot}'")
            cursor.execute("set local work_mem = '128MB'")
            cursor.execute(BY_INDEX)
            cursor.adbc_statement.set_options(
                **{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)}
            )
            cursor.execute(text)
            with cursor.fetch_record_batch() as batches:
                yield batches
        finally:
            cursor.execute("rollback")


def _cut_at_hours(
    batches: "pa.RecordBatchReader",
) -> Iterator[tuple[dt.datetime, "pa.Table"]]:
    """Pieces of the ordered stream that lie within one hour."""
    import numpy as np
    import pyarrow as pa

    target = schema()
    for batch in batches:
        if not batch.num_rows:
            continue
        table = pa.Table.from_batches([batch]).cast(target)
        instants: Any = table.column("occurred_at").chunk(0).cast(pa.int64()).to_numpy()
        hours = instants // MICROSECONDS_PER_HOUR
        cuts = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(hours)]
        for first, last in itertools.pairwise(cuts):
            hour = dt.datetime.fromtimestamp(int(hours[first]) * 3600, dt.UTC)
            yield hour, table.slice(first, last - first)


def _count(connection: sa.Connection, start: dt.datetime, end: dt.datetime) -> tuple[int, int]:
    """Counts the span's events in the table, and the ones received before they happened."""
    early = contact_activity.c.received_at < contact_activity.c.occurred_at
    connection.exec_driver_sql(BY_INDEX)
    stored, received_early = connection.execute(
        sa.select(sa.func.count(), sa.func.count().filter(early))
        .select_from(contact_activity)
        .where(_within(start, end))
    ).one()
    connection.exec_driver_sql("set local enable_seqscan = on")
    return stored, received_early


def _require_all_rows(start: dt.datetime, end: dt.datetime, exported: int, stored: int) -> None:
    if stored != exported:
        raise ContractViolationError(
            f"{exported} events were written for {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} "
            f"UTC but the table holds {stored}: nothing was published; run the hours again."
        )


def _within(start: dt.datetime, end: dt.datetime) -> sa.ColumnElement[bool]:
    column = contact_activity.c.occurred_at
    return sa.and_(column >= _instant(start), column < _instant(end))


def _instant(value: dt.datetime) -> sa.ColumnElement[Any]:
    return sa.cast(sa.literal(value.isoformat(), sa.Text), sa.DateTime(True))
