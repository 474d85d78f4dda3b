"""Access tokens of OAuth grants: used while they last, refreshed by one process at a time.

The lock of a refresh is that of the grant's row, on a connection of its own. It is held over the
call to the provider, so that no other process spends the same refresh token, and the answer is
stored before it is free. Setting a grant and rotating its key take the same lock.
"""

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.integrations import connections as stored
from marketing_pipelines.domains.integrations import grant_owners, vault
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.providers import OAUTH, OAuthFields
from marketing_pipelines.domains.integrations.tables import connections, syncs
from marketing_pipelines.domains.integrations.token_endpoint import (
    INVALID_GRANT,
    OF_THE_CLIENT,
    TokenAnswer,
    ask,
)
from marketing_pipelines.failures import BadInputError, PermanentError, RetryableError
from marketing_pipelines.queueing.tasks import Clock, system_clock
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs import incidents
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, database_url

# The name of the standing in `integrations.syncs`.
WHAT = "tokens"
# A token with less is refreshed before it is used.
MIN_LEFT = dt.timedelta(minutes=2)
PAUSE = dt.timedelta(minutes=1)
MAX_PAUSE = dt.timedelta(hours=1)
# The second refusal that makes a grant wait comes this long after the first, at least.
BETWEEN_REFUSALS = dt.timedelta(minutes=10)
# Ten ticks of the nightly job.
OVERDUE_AFTER = dt.timedelta(days=10)
# Another process holds the lock for one call of ten seconds.
LOCK_TIMEOUT_MS = 15_000
# An answer is stored again and again for so long while the database does not take it.
SECONDS_TO_STORE = 60.0
SECONDS_BETWEEN_ATTEMPTS = 1.0


class GrantWaitsError(PermanentError):
    """The grant is in state `reconnect`: it waits for a person, and so does its user."""


class GrantFailingError(RetryableError):
    """The provider gives no token for now."""


class ProviderUnavailableError(GrantFailingError):
    """The provider does not answer, answers 5xx or asks for fewer calls."""


class GrantRefusedError(GrantFailingError):
    """The provider has refused the refresh token once; the second time makes `reconnect`."""


class _LockTakenError(GrantFailingError):
    pass


@dataclass(frozen=True)
class Grant:
    """A grant with its tokens and its standing, as the rows have them at one instant."""

    connection: Connection
    fields: OAuthFields
    refreshed_at: dt.datetime | None
    next_at: dt.datetime | None

    @property
    def access_token(self) -> str | None:
        secret = self.fields.access_token
        return None if secret is None else secret.get_secret_value()

    @property
    def refresh_token(self) -> str:
        return self.fields.refresh_token.get_secret_value()

    def is_fresh(self, now: dt.datetime) -> bool:
        """True if its access token lasts for the next two minutes."""
        end = self.connection.expires_at
        return self.access_token is not None and end is not None and end - now > MIN_LEFT


# Each use opens a connection of its own; the engine remembers only how.
_engine = cache(create_engine)


def grant_of(connection: sa.Connection, organization_id: int, name: str) -> Connection:
    """The grant that a mailbox or form of the organization names.

    Raises:
        BadInputError: there is none.
    """
    return stored.get(connection, organization_id, OAUTH, name)


def access_token(
    settings: Settings,
    grant: Connection,
    *,
    refused: str | None = None,
    clock: Clock = system_clock,
) -> str:
    """Returns an access token that lasts for two minutes, or as long as the provider makes them.

    It uses connections of its own, so a caller's transaction neither sees nor holds anything.

    Args:
        grant: A connection `oauth`, as `grant_of` returns it; its row is read anew.
        refused: The token that the system has just refused with 401: another one is got. Ask so
            once; a system that refuses the fresh token, too, refuses the account.

    Raises:
        GrantWaitsError: the grant is in state `reconnect`; it waits for a person.
        GrantFailingError: the provider gives no token for now.
        ConfigurationError: its secrets were encrypted with another key.
        BadInputError: the grant was removed.
    """

    def is_enough(found: Grant) -> bool:
        return found.access_token != refused and found.is_fresh(clock())

    with _engine(database_url(settings)).connect() as own:
        found = _read(own, settings, grant)
    if found.access_token is not None and is_enough(found):
        return found.access_token
    return _refreshed(settings, grant, is_enough, clock)


def refresh(
    settings: Settings,
    grant: Connection,
    *,
    since: dt.datetime,
    by_hand: bool = False,
    clock: Clock = system_clock,
) -> None:
    """Refreshes a grant unless that was done since an instant, also before its token ends.

    Args:
        by_hand: A person asks: also in state `reconnect`, and without waiting for a pause.

    Raises:
        As `access_token`.
    """

    def is_enough(found: Grant) -> bool:
        return found.refreshed_at is not None and found.refreshed_at >= since

    _refreshed(settings, grant, is_enough, clock, by_hand=by_hand)


def check(settings: Settings, connection: Connection) -> str:
    """Refreshes a grant.

    Raises:
        MarketingPipelinesError: the provider gives no token.
    """
    refresh(settings, connection, since=system_clock(), by_hand=True)
    with _engine(database_url(settings)).connect() as own:
        ends_at = _read(own, settings, connection).connection.expires_at
    return f"its access token lasts until {ends_at:%Y-%m-%d %H:%M} UTC"


def _refreshed(
    settings: Settings,
    grant: Connection,
    is_enough: Callable[[Grant], bool],
    clock: Clock,
    *,
    by_hand: bool = False,
) -> str:
    """Refreshes in a thread of its own.

    Signals that end a run reach the main thread only, which waits: the answer is stored first.
    """
    with ThreadPoolExecutor(max_workers=1) as own:
        return own.submit(_refresh, settings, grant, is_enough, clock, by_hand).result()


def _refresh(
    settings: Settings,
    grant: Connection,
    is_enough: Callable[[Grant], bool],
    clock: Clock,
    by_hand: bool,
) -> str:
    answer: TokenAnswer | None = None
    while True:
        try:
            with _locked(settings, grant) as own:
                found = _read(own, settings, grant)
                if found.access_token is not None and is_enough(found):
                    return found.access_token
                # An answer that was not stored counts unless another process has refreshed since.
                if answer is None or answer.spent != found.refresh_token:
                    if not by_hand:
                        _require_due(found, clock())
                    answer = ask(found.fields, clock())
                    gives_up_at = time.monotonic() + SECONDS_TO_STORE
                failure = _note(own, settings, found, answer)
            break
        except (sa.exc.DBAPIError, _LockTakenError):
            if answer is None or time.monotonic() > gives_up_at:
                raise
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
    if failure is not None:
        raise failure
    return str(answer.access_token)


@contextlib.contextmanager
def _locked(settings: Settings, grant: Connection) -> Iterator[sa.Connection]:
    """A transaction that holds the lock of the grant."""
    row = sa.select(connections.c.id).where(connections.c.id == grant.id)
    with _engine(database_url(settings)).begin() as own:
        own.execute(sa.select(sa.func.set_config("lock_timeout", str(LOCK_TIMEOUT_MS), True)))
        try:
            # Rows that refer to it may be written meanwhile.
            own.execute(row.with_for_update(key_share=True))
        except sa.exc.OperationalError as error:
            if error.connection_invalidated:
                raise
            raise _LockTakenError(
                f"Another process has held the grant {grant.name} for "
                f"{LOCK_TIMEOUT_MS // 1000} s: its token was not refreshed."
            ) from error
        yield own


def _read(connection: sa.Connection, settings: Settings, grant: Connection) -> Grant:
    found = stored.numbered(connection, grant.id)
    if found is None:
        raise BadInputError(f"The grant {grant.name} was removed: make it again.")
    standing = connection.execute(
        sa.select(syncs.c.last_ok_at, syncs.c.next_at).where(
            syncs.c.connection_id == grant.id, syncs.c.what == WHAT
        )
    ).one_or_none()
    refreshed_at, next_at = (None, None) if standing is None else standing
    return Grant(found, found.fields(settings), refreshed_at, next_at)


def _require_due(found: Grant, now: dt.datetime) -> None:
    own = found.connection
    if own.state == "reconnect":
        raise _waiting(own)
    if found.next_at is not None and found.next_at > now:
        kind = GrantFailingError if own.refused_at is None else GrantRefusedError
        raise kind(
            f"The grant {own.name} is not tried again before {found.next_at:%H:%M:%S} UTC: "
            f"{own.error}"
        )


def _waiting(grant: Connection) -> GrantWaitsError:
    return GrantWaitsError(
        f"The grant {grant.name} waits for a person: its owner signs in again and gives the new "
        "refresh token to `connection set oauth`."
    )


def _note(
    connection: sa.Connection, settings: Settings, found: Grant, answer: TokenAnswer
) -> Exception | None:
    """Stores an answer under the lock; returns the error where it has no token."""
    own = found.connection
    values: dict[str, Any] = {}
    if answer.refresh_token is not None:
        values |= {"refused_at": None, "refresh_expires_at": None}
    if answer.refresh_expires_at is not None:
        values["refresh_expires_at"] = answer.refresh_expires_at
    if answer.access_token is not None or answer.refresh_token is not None:
        values["secrets"] = vault.encrypt(settings, _secrets(found, answer))
    if answer.access_token is not None:
        values |= {"expires_at": answer.expires_at, "refused_at": None}
    elif answer.code == INVALID_GRANT and own.refused_at is None:
        values["refused_at"] = answer.asked_at
    if values:
        connection.execute(
            sa.update(connections).where(connections.c.id == own.id).values(**values)
        )
    _note_standing(connection, found, answer)
    if answer.access_token is None:
        return _note_failure(connection, found, answer)
    stored.note_ok(connection, own, answer.asked_at)
    incidents.recovered(connection, f"{stored.INCIDENT} {own.name}")
    incidents.recovered(connection, _client(found))
    return None


def _note_failure(connection: sa.Connection, found: Grant, answer: TokenAnswer) -> Exception:
    own, error = found.connection, _sentence(found, answer)
    since = own.refused_at if answer.code == INVALID_GRANT else None
    if since is not None and answer.asked_at - since >= BETWEEN_REFUSALS:
        if stored.note_reconnect(connection, own, error):
            grant_owners.notify_of_reconnect(connection, own, answer.asked_at)
        return _waiting(own)
    if own.state != "reconnect":
        stored.note_failing(connection, own, error)
    if answer.code in OF_THE_CLIENT:
        incidents.item_failed(
            connection, _client(found), "", error, 1, since=answer.asked_at, kind="first"
        )
    if not answer.is_answered:
        return ProviderUnavailableError(error)
    return GrantRefusedError(error) if answer.code == INVALID_GRANT else GrantFailingError(error)


def _note_standing(connection: sa.Connection, found: Grant, answer: TokenAnswer) -> None:
    at = answer.asked_at
    if answer.access_token is not None:
        values: dict[str, Any] = {"last_ok_at": at, "next_at": None, "error": None}
        values["overdue_at"] = at + OVERDUE_AFTER
    else:
        pause = min(max(PAUSE, answer.wait or PAUSE), MAX_PAUSE)
        values = {"next_at": at + pause, "error": _sentence(found, answer)}
    insert = pg.insert(syncs).values(
        **{"overdue_at": at + OVERDUE_AFTER, **values}, connection_id=found.connection.id, what=WHAT
    )
    connection.execute(
        insert.on_conflict_do_update(index_elements=["connection_id", "what"], set_=values)
    )


def _secrets(found: Grant, answer: TokenAnswer) -> dict[str, str]:
    """The secrets of the grant after an answer."""
    secret, access = found.fields.client_secret, answer.access_token or found.access_token
    own = {"refresh_token": answer.refresh_token or found.refresh_token}
    if secret is not None:
        own["client_secret"] = secret.get_secret_value()
    if access is not None:
        own["access_token"] = access
    return own


def _sentence(found: Grant, answer: TokenAnswer) -> str:
    said = redact(answer.error or "")
    code = f" [{answer.code}]" if answer.code else ""
    return f"The grant {found.connection.name} got no token{code}: {said}"


def _client(found: Grant) -> str:
    """The subject of the incident of an application that its provider does not know."""
    return f"oauth client {found.fields.client_id} of {found.fields.token_url}"
