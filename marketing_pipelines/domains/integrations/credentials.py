"""The nightly refresh of grants: it keeps them alive, and finds dead ones before a user does."""

import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from marketing_pipelines import installation_settings
from marketing_pipelines.domains.integrations import connections as stored
from marketing_pipelines.domains.integrations import grant_owners, grants
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.grants import (
    GrantWaitsError,
    ProviderUnavailableError,
)
from marketing_pipelines.domains.integrations.providers import OAUTH
from marketing_pipelines.domains.integrations.syncs import TIME_FOR_CALLS, note_waiting
from marketing_pipelines.domains.integrations.tables import connections, syncs
from marketing_pipelines.failures import RetryableError
from marketing_pipelines.queueing.tasks import Clock, system_clock
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.tables import item_failures

# Less than a day by an hour: the latest night's refresh came some time after its tick.
MIN_AGE = dt.timedelta(hours=23)
CALLS_AT_ONCE = 8
# A token endpoint that fails to answer so many calls in a row gets no more in this run.
MAX_UNANSWERED = 3
# The end of a refresh token that a refresh moves by less is fixed.
MIN_PROLONGED = dt.timedelta(hours=1)


class _PutOffError(RetryableError):
    """The grant is left for the next run."""


def refresh_due(tick: Tick, clock: Clock = system_clock) -> None:
    """Refreshes the grants that need it, each by itself, several at once."""
    ends_before = tick.instant + dt.timedelta(days=installation_settings.credentials().warn_days)
    with tick.begin() as connection:
        every = stored.all_of(connection, OAUTH)
        due = _due(connection, tick.instant, ends_before)
        _forget_failures(
            tick, connection, [one.name for one in every if one.id in due or one.state != "ok"]
        )
    if not every:
        tick.metadata["note"] = (
            "No organization has a connection oauth, so there is nothing to do: "
            "`marketing-pipelines connection set oauth` makes one."
        )
    waiting, put_off = sum(one.state == "reconnect" for one in every), 0
    chosen, calls = [one for one in every if one.id in due], _Calls(tick, clock)
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        for grant, outcome in [(one, pool.submit(calls.refresh, one)) for one in chosen]:
            error = outcome.exception()
            waiting += isinstance(error, GrantWaitsError)
            put_off += isinstance(error, _PutOffError)
            if not isinstance(error, GrantWaitsError | _PutOffError):
                _record(tick, grant, error)
            _warn(tick, grant, ends_before)
    note_waiting(tick, OAUTH, waiting, "a person, who signs in again")
    note_waiting(tick, OAUTH, put_off, "the next run: their provider or the time did not allow it")


def _due(connection: sa.Connection, tick: dt.datetime, ends_before: dt.datetime) -> set[int]:
    """The numbers of the grants to refresh; one that was refreshed since the tick needs nothing.

    A grant that nothing but this job uses is due every night.
    """
    refreshed_at = syncs.c.last_ok_at
    due = (
        sa.select(connections.c.id)
        .outerjoin(
            syncs, sa.and_(syncs.c.connection_id == connections.c.id, syncs.c.what == grants.WHAT)
        )
        .where(
            connections.c.provider == OAUTH.name,
            connections.c.state != "reconnect",
            refreshed_at.is_(None)
            | (refreshed_at <= tick - MIN_AGE)
            | ((refreshed_at < tick) & (connections.c.refresh_expires_at < ends_before)),
        )
    )
    return set(connection.execute(due).scalars())


def _forget_failures(tick: Tick, connection: sa.Connection, needy: Sequence[str]) -> None:
    """Ends the failures of grants that work again because something else refreshed them."""
    failing = sa.select(item_failures.c.item).where(
        item_failures.c.job == tick.job, item_failures.c.item.not_in(needy)
    )
    for item in connection.execute(failing).scalars().all():
        tick.failures.recovered(connection, item)


class _Calls:
    """The refreshes of one run, in threads."""

    def __init__(self, tick: Tick, clock: Clock) -> None:
        self._settings, self._since, self._clock = tick.settings, tick.instant, clock
        self._ends_at = tick.started + TIME_FOR_CALLS * tick.timeout.total_seconds()
        self._unanswered: Counter[str] = Counter()
        self._lock = threading.Lock()

    def refresh(self, grant: Connection) -> None:
        """Refreshes a grant.

        Raises:
            GrantWaitsError, GrantFailingError: as `grants.refresh`.
            _PutOffError: its provider does not answer others either, or the time is used up.
        """
        url = grant.settings["token_url"]
        if time.monotonic() > self._ends_at or self._unanswered[url] >= MAX_UNANSWERED:
            raise _PutOffError
        try:
            grants.refresh(self._settings, grant, since=self._since, clock=self._clock)
        except ProviderUnavailableError:
            with self._lock:
                self._unanswered[url] += 1
            raise
        self._unanswered[url] = 0


def _record(tick: Tick, grant: Connection, error: BaseException | None) -> None:
    """Counts a grant as an item that was done, or failed."""
    with tick.begin() as connection:
        for item in tick.items(connection, [grant], lambda one: one.name):
            with item:
                if error is not None:
                    raise error
    tick.rows += error is None


def _warn(tick: Tick, before: Connection, ends_before: dt.datetime) -> None:
    """Notifies the owner of a grant whose end is near, and not moved by a refresh."""
    with tick.begin() as connection:
        grant = stored.numbered(connection, before.id)
        if grant is None or grant.state == "reconnect":
            return
        end, former = grant.refresh_expires_at, before.refresh_expires_at
        if end is None or former is None or end >= ends_before or end - former > MIN_PROLONGED:
            return
        grant_owners.notify_of_end(connection, grant, end, tick.instant)
