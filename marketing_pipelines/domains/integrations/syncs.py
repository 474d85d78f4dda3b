"""The frame of a synchronization: each connection of a provider by itself, its standing noted.

The calls happen outside any transaction; each part of the work commits by itself. An error of one
connection stops that one only, and is counted as that of an item. So does a slow service: each
connection has its share of the job's time, those that were not tried for longest come first.
"""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.integrations import connections as stored
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.grants import GrantRefusedError, GrantWaitsError
from marketing_pipelines.domains.integrations.http import (
    LoginRefusedError,
    ServiceUnavailableError,
)
from marketing_pipelines.domains.integrations.providers import Provider
from marketing_pipelines.domains.integrations.tables import connections, syncs
from marketing_pipelines.failures import TimedOutError
from marketing_pipelines.freshness import cron
from marketing_pipelines.policies import policy_of
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs.tick import Tick

MIN_OVERDUE = dt.timedelta(hours=1)
TICKS_OVERDUE = 10
# The rest of the job's time is for storing the rows of the last calls.
TIME_FOR_CALLS = 0.9


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Pacing:
    """The clock of pauses, and the shares of connections in the time of their job.

    Attributes:
        clock: The present instant: a pause runs from the answer that asked for it.
        least_seconds: Seconds that each connection has for its calls at least.
    """

    clock: Callable[[], dt.datetime] = _now
    least_seconds: float = 10.0


PACING = Pacing()


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
        has_items: True if the work counted items of its own, so that the connection is none.
    """

    rows: int = 0
    synced_until: dt.datetime | None = None
    backlog: int | None = None
    pages: dict[str, Any] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    has_items: bool = False


@dataclass(frozen=True)
class Synced:
    """A connection with its standing before a synchronization.

    Attributes:
        ends_at: The instant of the monotonic clock that ends its calls.
    """

    connection: Connection
    last_tick: dt.datetime | None
    pages: dict[str, Any]
    ends_at: float


def sync_each(
    tick: Tick,
    provider: Provider,
    what: str,
    work: Callable[[Synced], SyncReport],
    pacing: Pacing = PACING,
    *,
    time_for_calls: float = TIME_FOR_CALLS,
) -> None:
    """Synchronizes over every connection of a provider.

    Connections for which no time is left wait for the next tick, where they come first.

    Args:
        what: The rows that are synchronized, such as leads.
        work: Does it for one connection; commits parts of its work by `tick.begin`.
        time_for_calls: Share of the job's time in which connections may call.
    """
    found, standings = _standings(tick, provider, what)
    if not found:
        tick.metadata["note"] = (
            f"No organization has a connection {provider.name}, so there is nothing to do: "
            f"`marketing-pipelines connection set {provider.name}` makes one."
        )
        return
    now = pacing.clock()
    ready = [one for one in standings if one.next_at is None or one.next_at <= now]
    note_waiting(
        tick, provider, sum(one.state == "reconnect" for one in found.values()), "other keys"
    )
    note_waiting(
        tick, provider, len(standings) - len(ready), "the end of the pause that their service set"
    )
    without_grant = 0
    ends_at = tick.started + time_for_calls * tick.timeout.total_seconds()
    for place, standing in enumerate(ready):
        begins_at = time.monotonic()
        if place and begins_at >= ends_at:
            note_waiting(tick, provider, len(ready) - place, "the next tick")
            break
        share = max((ends_at - begins_at) / (len(ready) - place), pacing.least_seconds)
        synced = Synced(
            found[standing.connection_id], standing.last_tick, standing.pages, begins_at + share
        )
        without_grant += not _sync(tick, synced, what, work, pacing)
    note_waiting(tick, provider, without_grant, "the grant that they name")


def keep_page(
    connection: sa.Connection, synced: Synced, what: str, page: str, version: dict[str, Any]
) -> None:
    """Stores the version of one page, or the place in a window, with the rows that it has."""
    pages = syncs.c.pages.op("||")(sa.cast({page: version}, pg.JSONB))
    _update(connection, synced.connection, what, {"pages": pages})


def note_backlog(connection: sa.Connection, synced: Synced, what: str, backlog: int) -> None:
    """Shows how many rows are still to do while a long synchronization works."""
    _update(connection, synced.connection, what, {"backlog": backlog})


def _standings(
    tick: Tick, provider: Provider, what: str
) -> tuple[dict[int, Connection], Sequence[sa.Row[Any]]]:
    """The connections of a provider by number, and the standings of those that may be called.

    Those that were not tried for longest come first. A standing begins with its first tick.
    """
    is_called = sa.and_(connections.c.provider == provider.name, connections.c.state != "reconnect")
    first = (
        sa.select(connections.c.id, sa.literal(what), sa.literal(tick.instant + _patience(tick)))
        .where(is_called)
        .with_for_update(read=True, key_share=True)
    )
    with tick.begin(isolation="read committed") as connection:
        connection.execute(
            pg.insert(syncs)
            .from_select(["connection_id", "what", "overdue_at"], first)
            .on_conflict_do_nothing()
        )
        standings = connection.execute(
            sa.select(syncs)
            .join(connections, connections.c.id == syncs.c.connection_id)
            .where(is_called, syncs.c.what == what)
            .order_by(
                syncs.c.tried_at.nulls_first(),
                syncs.c.last_ok_at.nulls_first(),
                syncs.c.connection_id,
            )
        ).all()
        found = {one.id: one for one in stored.all_of(connection, provider)}
    return found, [one for one in standings if one.connection_id in found]


def note_waiting(tick: Tick, provider: Provider, number: int, reason: str) -> None:
    """Counts connections that are not items of this tick, and says so in its note."""
    if not number:
        return
    tick.failures.waiting += number
    note = (
        f"{number} connections {provider.name} wait for {reason}: "
        f"`marketing-pipelines connection list {provider.name}` names them."
    )
    tick.metadata["note"] = " ".join(filter(None, [tick.metadata.get("note"), note]))


def _sync(
    tick: Tick,
    synced: Synced,
    what: str,
    work: Callable[[Synced], SyncReport],
    pacing: Pacing,
) -> bool:
    """Does one connection; returns false if it waits for its grant, and is no item."""
    one, report = synced.connection, SyncReport()
    error: Exception | None = None
    # A person may change the connection at any time: at repeatable read that would fail the run.
    with tick.begin(isolation="read committed") as connection:
        _update(connection, one, what, {"tried_at": tick.instant})
    try:
        report = work(synced)
    except TimedOutError:
        raise
    except Exception as problem:
        if isinstance(problem, sa.exc.DBAPIError) and problem.connection_invalidated:
            raise
        error = problem
    if isinstance(error, GrantWaitsError | GrantRefusedError):
        with tick.begin(isolation="read committed") as connection:
            _update(connection, one, what, {"error": redact(str(error))})
        return False
    answered_at = pacing.clock()
    with tick.begin(isolation="read committed") as connection:
        if report.has_items:
            _note_ok(connection, tick, one, what, report)
            tick.failures.recovered(connection, one.name)
        for item in tick.items(connection, [] if report.has_items else [one], lambda one: one.name):
            with item:
                if error is not None:
                    raise error
                _note_ok(connection, tick, one, what, report)
        if error is not None:
            _note_failed(connection, one, what, answered_at, error)
    tick.rows += report.rows
    for name, number in report.counts.items():
        tick.metadata[name] = tick.metadata.get(name, 0) + number
    if report.refused:
        known = tick.metadata.get("refused_rows", [])
        tick.metadata["refused_rows"] = [*known, *(f"{one.name}: {r}" for r in report.refused)]
    return True


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
    connection: sa.Connection,
    one: Connection,
    what: str,
    answered_at: dt.datetime,
    error: Exception,
) -> None:
    text = redact(str(error))
    if isinstance(error, LoginRefusedError):
        stored.note_reconnect(connection, one, text)
    else:
        stored.note_failing(connection, one, text)
    values: dict[str, Any] = {"error": text}
    if isinstance(error, ServiceUnavailableError) and error.wait is not None:
        values["next_at"] = answered_at + error.wait
    _update(connection, one, what, values)


def _update(connection: sa.Connection, one: Connection, what: str, values: dict[str, Any]) -> None:
    connection.execute(
        sa.update(syncs)
        .where(syncs.c.connection_id == one.id, syncs.c.what == what)
        .values(**values)
    )
