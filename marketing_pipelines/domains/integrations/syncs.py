"""The frame of a synchronization: each connection of a provider by itself, its standing noted.

The calls happen outside any transaction; each part of the work commits by itself. An error of one
connection stops that one only, and is counted as that of an item.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.integrations import connections as stored
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.http import (
    LoginRefusedError,
    ServiceUnavailableError,
)
from marketing_pipelines.domains.integrations.providers import Provider
from marketing_pipelines.domains.integrations.tables import syncs
from marketing_pipelines.failures import RetryableError, TimedOutError
from marketing_pipelines.freshness import cron
from marketing_pipelines.policies import policy_of
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs.tick import Tick

MIN_OVERDUE = dt.timedelta(hours=1)
TICKS_OVERDUE = 10


class PutOffError(RetryableError):
    """The service asked for no call before an instant that lies ahead."""


@dataclass
class SyncReport:
    """The result of one synchronization.

    Attributes:
        rows: Rows that it wrote.
        synced_until: Up to this instant everything is synchronized; None: as before.
        backlog: Rows still to do; None: that is not known.
        pages: Versions of pages for the next time; None: as before.
        counts: Further numbers for the metadata of the run.
        refused: Sentences on rows that were refused, the first of them.
    """

    rows: int = 0
    synced_until: dt.datetime | None = None
    backlog: int | None = None
    pages: dict[str, Any] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Synced:
    """A connection with its standing before a synchronization."""

    connection: Connection
    last_tick: dt.datetime | None
    next_at: dt.datetime | None
    pages: dict[str, Any]


def sync_each(
    tick: Tick, provider: Provider, what: str, work: Callable[[Synced], SyncReport]
) -> None:
    """Synchronizes over every connection of a provider.

    Args:
        what: The rows that are synchronized, such as leads.
        work: Does it for one connection; commits parts of its work by `tick.begin`.
    """
    with tick.begin() as connection:
        found = stored.all_of(connection, provider)
    if not found:
        tick.metadata["note"] = (
            f"No organization has a connection {provider.name}, so there is nothing to do: "
            f"`marketing-pipelines connection set {provider.name}` makes one."
        )
        return
    for one in found:
        if one.state == "reconnect":
            tick.failures.waiting += 1
            continue
        _sync(tick, one, what, work)
    if tick.failures.waiting:
        tick.metadata["note"] = (
            f"{tick.failures.waiting} connections {provider.name} wait for other keys: "
            f"`marketing-pipelines connection list {provider.name}` names them."
        )


def keep_page(
    connection: sa.Connection, synced: Synced, what: str, page: str, version: dict[str, Any]
) -> None:
    """Stores the version of one page, in the transaction that stores its rows."""
    pages = syncs.c.pages.op("||")(sa.cast({page: version}, pg.JSONB))
    _update(connection, synced.connection, what, {"pages": pages})


def note_backlog(connection: sa.Connection, synced: Synced, what: str, backlog: int) -> None:
    """Shows how many rows are still to do while a long synchronization works."""
    _update(connection, synced.connection, what, {"backlog": backlog})


def _sync(tick: Tick, one: Connection, what: str, work: Callable[[Synced], SyncReport]) -> None:
    report = SyncReport()
    error: Exception | None = None
    try:
        before = _before(tick, one, what)
        if before.next_at is not None and tick.instant < before.next_at:
            raise PutOffError(f"The service asks for no call before {before.next_at:%H:%M} UTC.")
        report = work(before)
    except TimedOutError:
        raise
    except Exception as problem:
        if isinstance(problem, sa.exc.DBAPIError) and problem.connection_invalidated:
            raise
        error = problem
    with tick.begin() as connection:
        for item in tick.items(connection, [one], lambda one: one.name):
            with item:
                if error is not None:
                    raise error
                _note_ok(connection, tick, one, what, report)
        if error is not None:
            _note_failed(connection, one, what, tick.instant, error)
    tick.rows += report.rows
    for name, number in report.counts.items():
        tick.metadata[name] = tick.metadata.get(name, 0) + number
    if report.refused:
        known = tick.metadata.get("refused_rows", [])
        tick.metadata["refused_rows"] = [*known, *(f"{one.name}: {r}" for r in report.refused)]


def _before(tick: Tick, one: Connection, what: str) -> Synced:
    """The standing of a synchronization, which begins with its first tick."""
    with tick.begin(isolation="read committed") as connection:
        connection.execute(
            pg.insert(syncs)
            .values(
                connection_id=one.id,
                what=what,
                overdue_at=tick.instant + _patience(tick),
            )
            .on_conflict_do_nothing()
        )
        row = connection.execute(
            sa.select(syncs).where(syncs.c.connection_id == one.id, syncs.c.what == what)
        ).one()
    return Synced(one, row.last_tick, row.next_at, row.pages)


def _patience(tick: Tick) -> dt.timedelta:
    """The time without progress after which a synchronization is overdue: ten ticks, an hour."""
    own = policy_of(tick.job).cron
    if own is None:
        return MIN_OVERDUE
    ticks = cron.ticks(own, cron.clock_zone(own, tick.zone).key, tick.instant)
    first, second = next(ticks), next(ticks)
    return max(MIN_OVERDUE, TICKS_OVERDUE * (second - first))


def _note_ok(
    connection: sa.Connection, tick: Tick, one: Connection, what: str, report: SyncReport
) -> None:
    at = tick.instant
    stored.note_ok(connection, one, at)
    values: dict[str, Any] = {
        "overdue_at": sa.func.greatest(syncs.c.overdue_at, at + _patience(tick)),
        "last_ok_at": sa.func.greatest(syncs.c.last_ok_at, at),
        "backlog": report.backlog,
        "next_at": None,
        "error": None,
    }
    if report.synced_until is not None:
        values["last_tick"] = sa.func.greatest(syncs.c.last_tick, report.synced_until)
    if report.pages is not None:
        values["pages"] = report.pages
    _update(connection, one, what, values)


def _note_failed(
    connection: sa.Connection, one: Connection, what: str, at: dt.datetime, error: Exception
) -> None:
    text = redact(str(error))
    if isinstance(error, LoginRefusedError):
        stored.note_reconnect(connection, one, text)
    elif not isinstance(error, PutOffError):
        stored.note_failing(connection, one, text)
    values: dict[str, Any] = {"error": text}
    if isinstance(error, ServiceUnavailableError) and error.wait is not None:
        values["next_at"] = at + error.wait
    _update(connection, one, what, values)


def _update(connection: sa.Connection, one: Connection, what: str, values: dict[str, Any]) -> None:
    connection.execute(
        sa.update(syncs)
        .where(syncs.c.connection_id == one.id, syncs.c.what == what)
        .values(**values)
    )
