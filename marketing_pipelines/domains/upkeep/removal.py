"""Removal of old rows, in small transactions that no writer has to wait for.

The first tick of a new or shorter rule counts its rows and removes none: a mistake in `jobs.toml`
shows before it costs data.
"""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.upkeep.tables import retention
from marketing_pipelines.failures import TimedOutError
from marketing_pipelines.runs import incidents
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.ownership import Keep
from marketing_pipelines.stores.postgres import Begin
from marketing_pipelines.stores.retention_rules import (
    RetentionRule,
    emptied,
    kept_for_ever,
    rules,
)
from marketing_pipelines.stores.tables import load_tables

# Place of a row in its table.
_place: sa.ColumnClause[Any] = sa.column("ctid")
MAX_ROWS, MAX_SECONDS = 5_000, 1.0
MIN_ROWS = 10
# The rest of the job's time is for the item that a statement is working on.
SHARE_OF_TIME = 0.8
MAX_UNREAD = 1_000_000


class _Tid(sa.types.UserDefinedType[str]):
    """PostgreSQL's type of `ctid`."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        return "tid"


@dataclass(frozen=True)
class Removed:
    """The result of one removal; `is_whole` is False if time ended before the rows did."""

    rows: int
    is_whole: bool


def apply_rules(tick: Tick, *, dry_run: bool) -> None:
    """Applies the rules of the tick's job: counts at their first tick, removes at later ones.

    Each table is an item; one that takes too long goes on at the next tick.
    """
    todo = rules(tick.job)
    _forget_rules_that_are_off(tick)
    ends_at = tick.started + SHARE_OF_TIME * tick.timeout.total_seconds()
    counted: dict[str, int] = {}
    removed: dict[str, int] = {}
    unfinished: list[str] = []
    for place, rule in enumerate(todo):
        now = time.monotonic()
        share = now + max((ends_at - now) / (len(todo) - place), MAX_SECONDS)
        try:
            if dry_run or _is_first(tick, rule):
                counted[rule.name] = _count(tick, rule)
                continue
            result = remove(_begin(tick), rule, tick.instant, tick.date, ends_at=share)
        except TimedOutError:
            raise
        except Exception as error:
            if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                raise
            with tick.begin() as connection:
                tick.failures.failed_with(connection, rule.name, error)
            continue
        _note_removed(tick, rule, result.rows)
        tick.rows += result.rows
        if result.rows:
            removed[rule.name] = result.rows
        if not result.is_whole:
            unfinished.append(rule.name)
    tick.metadata["removed"] = removed
    if counted:
        tick.metadata["counted"] = counted
        tick.metadata["note"] = (
            "Nothing was removed: `dry_run` is true in [retention] of jobs.toml."
            if dry_run
            else "The tables below `counted` have a new rule: their old rows go at the next tick."
        )
    if unfinished:
        tick.metadata["goes_on_at_the_next_tick"] = unfinished


def remove_expired_sessions(tick: Tick) -> None:
    """Removes the sign-ins that expired before the tick; no rule keeps them longer."""
    sign_ins = load_tables().tables["ops.user_sessions"]
    expired = RetentionRule(sign_ins, Keep("expires_at", days=0), days=0)
    ends_at = tick.started + SHARE_OF_TIME * tick.timeout.total_seconds()
    tick.rows = remove(_begin(tick), expired, tick.instant, tick.date, ends_at=ends_at).rows


def note_full_tables(connection: sa.Connection, most: int = MAX_UNREAD) -> None:
    """Alerts while a table that its readers empty holds very many rows, and when it recovers."""
    full: dict[str, str] = {}
    for table in emptied():
        some = sa.select(sa.literal(1)).select_from(table).limit(most).subquery()
        number = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
        if number == most:
            full[table.fullname] = (
                f"{table.fullname} holds {most:,} rows or more, although its readers remove what "
                "they have read: `marketing-pipelines missed` names jobs that do not run."
            )
    incidents.set_lasting(connection, "unread", full)


def remove(
    begin: Begin,
    rule: RetentionRule,
    instant: dt.datetime,
    today: dt.date,
    *,
    ends_at: float,
    clock: Callable[[], float] = time.monotonic,
) -> Removed:
    """Removes the rows of a table that are too old at an instant, the oldest first.

    Rows that another transaction has locked stay until the next time.

    Args:
        begin: Opens a transaction at read committed; each batch has one of its own.
        today: The day of the instant in the reporting zone.
        ends_at: Instant of `clock` after which no further batch begins.
    """
    is_old = rule.old_at(instant, today)
    column = rule.table.c[rule.keep.column]
    size, total = MAX_ROWS, 0
    since: Any = None
    while clock() < ends_at:
        oldest = sa.select(sa.cast(_place, sa.Text), column).where(is_old)
        if since is not None:
            # Index entries of rows that are gone are left out, not read again.
            oldest = oldest.where(column >= since)
        try:
            with begin() as connection:
                found = connection.execute(oldest.order_by(column).limit(size)).all()
                connection.execute(_LIMITS)
                started = clock()
                number = connection.execute(
                    _delete(rule.table, rule.is_past(instant, today)),
                    {"found": [row[0] for row in found]},
                ).rowcount
        except sa.exc.OperationalError as error:
            if not _took_too_long(error) or size == MIN_ROWS:
                raise
            size = max(size // 10, MIN_ROWS)
            continue
        total += number
        if len(found) < size:
            return Removed(total, True)
        if number == 0 and since == found[-1][1]:
            return Removed(total, False)
        since = found[-1][1]
        seconds = max(clock() - started, 0.001)
        size = max(MIN_ROWS, min(MAX_ROWS, int(size * MAX_SECONDS / 2 / seconds)))
    return Removed(total, False)


def _delete(table: sa.Table, is_past: sa.ColumnElement[bool]) -> sa.Delete:
    """Deletes the rows at these places that are still old and that nobody has locked.

    Another row may have come to a place since; the rule's own condition was judged an instant ago
    and is not judged again, because it may take longer than a delete should.
    """
    places = sa.cast(sa.bindparam("found", type_=pg.ARRAY(sa.Text)), pg.ARRAY(_Tid))
    free = (
        sa.select(_place)
        .select_from(table)
        .where(_place == sa.any_(places), is_past)
        .with_for_update(skip_locked=True, of=table)
    )
    return sa.delete(table).where(_place == sa.any_(sa.func.array(free.scalar_subquery())))


def _forget_rules_that_are_off(tick: Tick) -> None:
    """A table that is kept for ever now is counted again before its rows go one day."""
    with tick.begin() as connection:
        connection.execute(
            sa.delete(retention).where(retention.c.table_name.in_(kept_for_ever(tick.job)))
        )


def _is_first(tick: Tick, rule: RetentionRule) -> bool:
    """Returns true if no earlier tick has counted the rows of this rule, or of a longer one."""
    with tick.begin() as connection:
        known = connection.execute(
            sa.select(retention).where(retention.c.table_name == rule.name)
        ).one_or_none()
    return known is None or rule.days < known.days or tick.instant <= known.first_tick


def _count(tick: Tick, rule: RetentionRule) -> int:
    """Counts the old rows, and notes that the rule was applied."""
    with tick.begin() as connection:
        is_old = rule.old_at(tick.instant, tick.date)
        number = connection.execute(
            sa.select(sa.func.count()).select_from(rule.table).where(is_old)
        ).scalar_one()
        insert = pg.insert(retention).values(
            table_name=rule.name,
            days=rule.days,
            first_tick=tick.instant,
            last_tick=tick.instant,
            old_rows=number,
        )
        is_shorter = insert.excluded.days < retention.c.days
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["table_name"],
                set_={
                    "days": insert.excluded.days,
                    "first_tick": sa.case(
                        (is_shorter, insert.excluded.first_tick), else_=retention.c.first_tick
                    ),
                    "last_tick": sa.func.greatest(retention.c.last_tick, tick.instant),
                    "old_rows": sa.case(
                        (is_shorter, insert.excluded.old_rows), else_=retention.c.old_rows
                    ),
                },
            )
        )
        tick.failures.succeeded(connection, rule.name)
    return number


def _note_removed(tick: Tick, rule: RetentionRule, rows: int) -> None:
    with tick.begin() as connection:
        connection.execute(
            sa.update(retention)
            .where(retention.c.table_name == rule.name)
            .values(
                days=rule.days,
                last_tick=sa.func.greatest(retention.c.last_tick, tick.instant),
                removed_rows=retention.c.removed_rows + rows,
            )
        )
        tick.failures.succeeded(connection, rule.name)


def _begin(tick: Tick) -> Begin:
    return lambda: tick.begin(isolation="read committed")


def _took_too_long(error: sa.exc.OperationalError) -> bool:
    """Returns true if the limit of a statement or lock ended it, and not the job's own end."""
    return getattr(error.orig, "sqlstate", None) in ("57014", "55P03")


_LIMITS = sa.text(
    "select set_config('statement_timeout', '1s', true), set_config('lock_timeout', '500ms', true)"
)
