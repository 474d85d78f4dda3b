"""Erases the events of persons: in the files of the lake, their manifest, and the table.

All persons of a pass at once, hour by hour. Row, type, instants and contact stay, and the mark of
opens by machines, so no count changes; only an hour becomes stale whose file is not that
of the manifest.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.lake_check import ASSET, LakeCheck, mark_different
from marketing_pipelines.domains.analytics.manifest import (
    ExportedHour,
    exported_hours,
    record_hours,
)
from marketing_pipelines.freshness.partitions import HOUR, window_at
from marketing_pipelines.stores import locks
from marketing_pipelines.stores.lake import ROW_GROUP_ROWS, HourFile, Lake

if TYPE_CHECKING:
    import pyarrow as pa

HOURS_AT_ONCE = 100
MACHINE_OPEN = '{"machine_open": true}'


@dataclass(frozen=True)
class ErasedEvents:
    """The result of one pass: events of the table, and rewritten files of the lake."""

    events: int
    files: int


def erase_events(
    connection: sa.Connection,
    lake: Lake,
    contact_ids: Sequence[int],
    zone: ZoneInfo,
    *,
    now: dt.datetime,
) -> ErasedEvents:
    """Takes ids and properties from all events of contacts.

    Each group of hours is one transaction under their locks; what is done stays done.

    Args:
        connection: Outside any transaction.
        zone: The reporting zone.
    """
    events = files = 0
    given = {"contact_ids": list(contact_ids)}
    with connection.begin():
        hours = list(connection.execute(_HOURS, given).scalars())
    for first in range(0, len(hours), HOURS_AT_ONCE):
        group = hours[first : first + HOURS_AT_ONCE]
        with _locked(connection, group, zone), connection.begin(), ExitStack() as stack:
            written, different = _rewrite(connection, lake, group, contact_ids, stack)
            mark_different(connection, LakeCheck(len(different), 0, different), now=now, zone=zone)
            events += _erase_rows(connection, group, contact_ids)
            record_hours(connection, {hour: content for hour, (_, content) in written.items()})
            for file, _ in written.values():
                # A lost connection is a lost lock: then nothing may be moved into place.
                connection.exec_driver_sql("select 1")
                file.publish()
            files += len(written)
    return ErasedEvents(events, files)


@contextmanager
def _locked(
    connection: sa.Connection, hours: Sequence[dt.datetime], zone: ZoneInfo
) -> Iterator[None]:
    """Holds the locks under which these hours are exported."""
    ordinals = [window_at("hour", hour, zone).ordinal for hour in hours]
    locks.lock_all(connection, ASSET, ordinals)
    connection.commit()
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            locks.unlock_all(connection, ASSET, ordinals)
            connection.commit()


def _rewrite(
    connection: sa.Connection,
    lake: Lake,
    hours: Sequence[dt.datetime],
    contact_ids: Sequence[int],
    stack: ExitStack,
) -> tuple[dict[dt.datetime, tuple[HourFile, ExportedHour]], dict[dt.datetime, str]]:
    """Writes the files of hours anew that hold events of the contacts; they wait to be moved.

    Returns:
        These files, and the hours that are to be exported anew, with the reason.
    """
    known = exported_hours(connection, hours[0], hours[-1] + HOUR)
    written: dict[dt.datetime, tuple[HourFile, ExportedHour]] = {}
    different: dict[dt.datetime, str] = {}
    for hour in hours:
        if hour not in known or not known[hour].rows:
            continue
        table = _read(lake, hour)
        if table is None or table.num_rows != known[hour].rows:
            # The export of the hour takes it from the table, where the person is erased.
            different[hour] = "its file is not the one of the manifest"
            continue
        table = _erased(connection, table, contact_ids)
        file = stack.enter_context(lake.new_file(hour))
        for start in range(0, table.num_rows, ROW_GROUP_ROWS):
            file.write(table.slice(start, ROW_GROUP_ROWS))
        written[hour] = (file, ExportedHour(table.num_rows, file.close()))
    return written, different


def _read(lake: Lake, hour: dt.datetime) -> "pa.Table | None":
    """The rows of an hour's file; None: it is missing."""
    import pyarrow.parquet as pq

    try:
        with lake.filesystem.open(lake.path(hour), "rb") as source:
            return pq.read_table(source)
    except FileNotFoundError:
        return None


def _erased(connection: sa.Connection, table: "pa.Table", contact_ids: Sequence[int]) -> "pa.Table":
    """The rows of an hour's file without what names the contacts.

    Rows that a killed pass has erased in the file, and not in the table, stay as they are.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    own = pc.is_in(table["contact_id"], value_set=pa.array(list(contact_ids), pa.int64()))
    own = pc.and_(own, pc.invert(pc.starts_with(table["event_id"], pattern="erased:")))
    places = pc.indices_nonzero(own).to_pylist()
    few = table.take(places)
    keys = zip(few["organization_id"].to_pylist(), few["event_id"].to_pylist(), strict=True)
    numbers = _numbers(connection, list(keys))
    ids = [f"erased:{number}" for number in numbers]
    texts = [MACHINE_OPEN if machine else None for machine in few["machine_open"].to_pylist()]
    for name, values in (("event_id", ids), ("properties", texts)):
        at = table.schema.get_field_index(name)
        column = pc.replace_with_mask(
            table[name], own.combine_chunks(), pa.array(values, table[name].type)
        )
        table = table.set_column(at, table.schema.field(at), column)
    order = [(name, "ascending") for name in ("occurred_at", "organization_id", "event_id")]
    return table.sort_by(order)


def _numbers(connection: sa.Connection, keys: list[tuple[int, str]]) -> list[int]:
    """The row numbers of events, by organization and id."""
    rows = connection.execute(
        _NUMBERS,
        {
            "organizations": [organization for organization, _ in keys],
            "events": [event for _, event in keys],
        },
    )
    return list(rows.scalars())


def _erase_rows(
    connection: sa.Connection, hours: Sequence[dt.datetime], contact_ids: Sequence[int]
) -> int:
    """Erases the events of the table, and their keys; returns their number."""
    given = {
        "contact_ids": list(contact_ids),
        "hours": list(hours),
        "start": hours[0],
        "end": hours[-1] + HOUR,
    }
    return connection.execute(_ERASE, given).rowcount


_IS_FULL = (
    "(event_id not like 'erased:%' or properties - 'machine_open' <> '{}'"
    " or properties -> 'machine_open' = 'false')"
)
_HOURS = sa.text(
    "select distinct date_bin('1 hour', occurred_at, timestamptz '2000-01-01 00:00:00+00') as hour"
    f" from analytics.contact_activity where contact_id = any(:contact_ids) and {_IS_FULL}"
    " order by hour"
)
_NUMBERS = sa.text("""
    select held.activity_id
    from unnest(cast(:organizations as bigint[]), cast(:events as text[]))
        with ordinality as named (organization_id, event_id, place)
    left join analytics.event_keys as held using (organization_id, event_id)
    order by named.place
""")
_ERASE = sa.text(f"""
    with found as materialized (
        select id, occurred_at, organization_id, event_id
        from analytics.contact_activity
        where contact_id = any(:contact_ids) and occurred_at >= :start and occurred_at < :end
            and date_bin('1 hour', occurred_at, timestamptz '2000-01-01 00:00:00+00')
                = any(cast(:hours as timestamptz[]))
            and {_IS_FULL}
    ),
    keys as (
        update analytics.event_keys as held
        set event_id = 'erased:' || found.id
        from found
        where held.organization_id = found.organization_id and held.event_id = found.event_id
    )
    update analytics.contact_activity as event
    set event_id = 'erased:' || event.id,
        properties = case when event.properties -> 'machine_open' = 'true'
            then cast('{MACHINE_OPEN}' as jsonb) end
    from found
    where event.id = found.id and event.occurred_at = found.occurred_at
        and event.occurred_at >= :start and event.occurred_at < :end
""")
