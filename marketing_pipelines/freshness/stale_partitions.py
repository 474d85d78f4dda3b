"""Marks: which partitions are stale, and which were ever done.

A mark is `(asset, partition, transaction)`. Work removes exactly the marks that its snapshot saw;
a mark made in between has another transaction's number and stays. Nothing is inferred from
watermarks, `received_at`, or Dagster's materializations.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.freshness.partitions import Window
from marketing_pipelines.stores.tables import finished_partitions, requested_marks, stale_partitions

# Why a partition became stale: events arrived late, contacts of campaigns (or a campaign) changed,
# or somebody asked for it.
Cause = Literal["late", "enrolment", "rebuild"]

_OWN_XID = sa.cast(sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.BigInteger)


# Generated in the database: four years are 35,000 hours.
_ADD_UNFINISHED_HOURS = sa.text("""
    insert into analytics.stale_partitions (asset, partition, xid)
    select distinct :asset, key, pg_current_xact_id()::text::bigint
    from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[])) as span (start, stop)
    cross join lateral generate_series(
        date_bin('1 hour', span.start, timestamptz '2000-01-01 00:00:00+00'),
        span.stop - interval '1 microsecond',
        interval '1 hour'
    ) as hour
    cross join lateral to_char(hour at time zone 'UTC', 'YYYY-MM-DD-HH24:00') as key
    where hour + interval '1 hour' <= :until
    and not exists (
        select from analytics.finished_partitions as done
        where done.asset = :asset and done.partition = key
    )
    and not exists (
        select from analytics.stale_partitions as marked
        where marked.asset = :asset and marked.partition = key
    )
    on conflict do nothing
""")


@dataclass(frozen=True)
class Mark:
    """One reason to do a partition again."""

    asset: str
    partition: str
    xid: int
    cause: Cause = "rebuild"


def add(
    connection: sa.Connection,
    asset: str,
    keys: Sequence[str],
    *,
    requested_at: dt.datetime | None = None,
    unfinished_only: bool = False,
    cause: Cause = "rebuild",
) -> None:
    """Marks partitions.

    Args:
        requested_at: Given when a run that is under way will do them, so that the sensor waits.
        unfinished_only: Leave out partitions that were done before or are marked already.
    """
    if not keys:
        return
    wanted = _keys(keys)
    source = sa.select(sa.literal(asset), wanted.c.key, _OWN_XID, sa.literal(cause))
    if unfinished_only:
        source = source.where(
            ~sa.exists().where(
                finished_partitions.c.asset == asset,
                finished_partitions.c.partition == wanted.c.key,
            ),
            ~sa.exists().where(
                stale_partitions.c.asset == asset, stale_partitions.c.partition == wanted.c.key
            ),
        )
    statement = (
        pg.insert(stale_partitions)
        .from_select(["asset", "partition", "xid", "cause"], source)
        .on_conflict_do_nothing()
    )
    connection.execute(statement)
    if requested_at is not None:
        connection.execute(
            _NOTE_OWN_MARKS, {"asset": asset, "keys": list(keys), "at": requested_at}
        )


def add_unfinished_hours(
    connection: sa.Connection, asset: str, spans: Sequence[Window], *, until: dt.datetime
) -> None:
    """Marks the hours within the spans that are over, were never done and are not marked."""
    connection.execute(
        _ADD_UNFINISHED_HOURS,
        {
            "asset": asset,
            "starts": [span.start for span in spans],
            "ends": [span.end for span in spans],
            "until": until,
        },
    )


def seen(connection: sa.Connection, asset: str, keys: Sequence[str]) -> list[Mark]:
    """The marks of these partitions that the connection's snapshot sees."""
    wanted = _keys(keys)
    rows = connection.execute(
        sa.select(
            stale_partitions.c.partition, stale_partitions.c.xid, stale_partitions.c.cause
        ).where(stale_partitions.c.asset == asset, stale_partitions.c.partition == wanted.c.key)
    )
    return [Mark(asset, row.partition, row.xid, row.cause) for row in rows]


def remove(connection: sa.Connection, marks: Sequence[Mark]) -> None:
    """Removes exactly these marks."""
    if not marks:
        return
    gone = (
        sa.func.unnest(
            sa.cast([m.asset for m in marks], pg.ARRAY(sa.Text)),
            sa.cast([m.partition for m in marks], pg.ARRAY(sa.Text)),
            sa.cast([m.xid for m in marks], pg.ARRAY(sa.BigInteger)),
        )
        .table_valued("asset", "partition", "xid")
        .render_derived(name="gone")
    )
    connection.execute(
        sa.delete(stale_partitions).where(
            stale_partitions.c.asset == gone.c.asset,
            stale_partitions.c.partition == gone.c.partition,
            stale_partitions.c.xid == gone.c.xid,
        )
    )


def finish(
    connection: sa.Connection,
    asset: str,
    rows: Mapping[str, int],
    code_version: str | None = None,
) -> None:
    """Records partitions as done, with the rows written to each and the code that counted them."""
    if not rows:
        return
    done = (
        sa.func.unnest(
            sa.cast(list(rows), pg.ARRAY(sa.Text)),
            sa.cast(list(rows.values()), pg.ARRAY(sa.BigInteger)),
        )
        .table_valued("key", "rows")
        .render_derived(name="done")
    )
    insert = pg.insert(finished_partitions).from_select(
        ["asset", "partition", "finished_at", "rows", "code_version"],
        sa.select(
            sa.literal(asset),
            done.c.key,
            sa.func.now(),
            done.c.rows,
            sa.literal(code_version, sa.Text),
        ),
    )
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["asset", "partition"],
            set_={name: insert.excluded[name] for name in ("finished_at", "rows", "code_version")},
        )
    )


def finished(connection: sa.Connection, asset: str, keys: Sequence[str]) -> set[str]:
    """Returns the partitions that were done at least once."""
    if not keys:
        return set()
    wanted = _keys(keys)
    rows = connection.execute(
        sa.select(finished_partitions.c.partition).where(
            finished_partitions.c.asset == asset, finished_partitions.c.partition == wanted.c.key
        )
    )
    return set(rows.scalars())


@dataclass
class Pending:
    """The marked partitions of an asset.

    Attributes:
        requested: Instant of the latest request of a run, by partition; None if a mark is newer.
        never_done: Partitions that were never done.
    """

    requested: dict[str, dt.datetime | None] = field(default_factory=dict)
    never_done: set[str] = field(default_factory=set)


def pending(connection: sa.Connection) -> dict[str, Pending]:
    """Every marked partition by asset."""
    rows = connection.execute(_PENDING)
    found: dict[str, Pending] = {}
    for asset, partition, requested_at, done in rows:
        of_asset = found.setdefault(asset, Pending())
        of_asset.requested[partition] = requested_at
        if not done:
            of_asset.never_done.add(partition)
    return found


_PENDING = sa.text("""
    select mark.asset, mark.partition,
           case when bool_and(requested_at is not null) then max(requested_at) end,
           exists (
               select from analytics.finished_partitions as done
               where done.asset = mark.asset and done.partition = mark.partition
           )
    from analytics.stale_partitions as mark
    left join analytics.requested_marks using (asset, partition, xid)
    group by mark.asset, mark.partition
    order by mark.asset, mark.partition
""")


def set_requested(
    connection: sa.Connection, asset: str, keys: Sequence[str], at: dt.datetime
) -> None:
    """Notes that a run was asked for every mark of the partitions; forgets marks that are gone.

    Runs delete the marks that they saw; the notes are rows of their own so that this never
    changes a row under a run's snapshot.
    """
    connection.execute(_NOTE_REQUEST, {"asset": asset, "keys": list(keys), "at": at})
    connection.execute(_FORGET_REQUESTS, {"asset": asset})


def withdraw_requests(connection: sa.Connection, asset: str, keys: Sequence[str]) -> None:
    """Makes the sensor ask anew for the marks of the partitions that are left."""
    wanted = _keys(keys)
    connection.execute(
        sa.delete(requested_marks).where(
            requested_marks.c.asset == asset, requested_marks.c.partition == wanted.c.key
        )
    )


_NOTE_REQUEST = sa.text("""
    insert into analytics.requested_marks (asset, partition, xid, requested_at)
    select asset, partition, xid, :at
    from analytics.stale_partitions
    where asset = :asset and partition = any(cast(:keys as text[]))
    on conflict (asset, partition, xid) do update set requested_at = excluded.requested_at
""")
_NOTE_OWN_MARKS = sa.text("""
    insert into analytics.requested_marks (asset, partition, xid, requested_at)
    select asset, partition, xid, :at
    from analytics.stale_partitions
    where asset = :asset and partition = any(cast(:keys as text[]))
    and xid = pg_current_xact_id()::text::bigint
    on conflict do nothing
""")
_FORGET_REQUESTS = sa.text("""
    delete from analytics.requested_marks as note
    where asset = :asset and not exists (
        select from analytics.stale_partitions as mark
        where mark.asset = note.asset and mark.partition = note.partition and mark.xid = note.xid
    )
""")


def _keys(keys: Sequence[str]) -> sa.TableValuedAlias:
    return (
        sa.func.unnest(sa.cast(list(keys), pg.ARRAY(sa.Text)))
        .table_valued("key")
        .render_derived(name="wanted")
    )
