"""Delivers the due events of one endpoint: fills in drafts, sends a batch, settles each attempt.

One task at a time works for an endpoint, so no row has to be claimed; after a kill, another repeats
the attempts that were under way, under the same event ids. The standing of an endpoint bounds its
attempts: one that fails gets fewer at once, and a failing one gets a single delivery at a time.
"""

import datetime as dt
import itertools
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines import installation_settings
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.integrations.http import retry_after
from marketing_pipelines.domains.webhooks import disabling, signing
from marketing_pipelines.domains.webhooks.addresses import RefusedAddressError
from marketing_pipelines.domains.webhooks.bodies import body_text
from marketing_pipelines.domains.webhooks.drafts import fill_in_drafts, has_drafts
from marketing_pipelines.domains.webhooks.standing import (
    DELAYS,
    FAILING_AFTER,
    MAX_ATTEMPTS,
    EndpointStanding,
    Result,
    UnknownEndpointError,
)
from marketing_pipelines.domains.webhooks.tables import endpoints
from marketing_pipelines.domains.webhooks.transport import ReceiverAnswer, WebhookTransport
from marketing_pipelines.failures import RetryableError
from marketing_pipelines.queueing.tasks import Clock
from marketing_pipelines.redaction import redact
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import Begin

MAX_BATCH = 64
AT_ONCE = 8
# Later events of a contact wait so long for one that fails.
PATIENCE = dt.timedelta(hours=1)
MAX_PAUSE = dt.timedelta(hours=1)
# A receiver that asks for no pause at all would be called without end.
MIN_PAUSE = dt.timedelta(seconds=1)
PAUSE_WITHOUT_SECRET = dt.timedelta(minutes=5)
_SLOW_DOWN = frozenset({429, 503})
_GONE = 410
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryAttempt:
    """One attempt and its result.

    Attributes:
        delivery: The row that was sent.
        at: When the attempt ended.
        status: Status of the answer; None: none came.
        response: Start of the answer, or why none came.
        took: Its length.
        pause: The time that the receiver asks for.
    """

    delivery: Any
    at: dt.datetime
    result: Result
    status: int | None
    response: str
    took: dt.timedelta
    pause: dt.timedelta = dt.timedelta()

    @property
    def error(self) -> str | None:
        """The reason of a failure, one sentence; None: it succeeded."""
        if self.result is Result.SUCCESS:
            return None
        return self.response if self.status is None else f"The receiver answers {self.status}."

    def settled(self) -> dict[str, Any]:
        """The columns of the delivery after the attempt, and its attempts before."""
        before = self.delivery.attempts
        attempts = before if self.result is Result.PAUSE else before + 1
        state, due_at = "waiting", None
        if self.result is Result.SUCCESS:
            state = "delivered"
        elif self.result is Result.GONE or attempts >= MAX_ATTEMPTS:
            state = "failed"
        elif self.result is Result.PAUSE:
            due_at = self.at + self.pause
        else:
            due_at = self.at + DELAYS[attempts - 1]
        return {
            "id": self.delivery.id,
            "attempts_before": before,
            "state": state,
            "attempts": attempts,
            "status": self.status,
            "response": redact(self.response),
            "due_at": None if due_at is None else due_at.isoformat(),
            "failed_at": None if self.result is Result.SUCCESS else self.at.isoformat(),
            "ended_at": None if state == "waiting" else self.at.isoformat(),
        }


@dataclass(frozen=True)
class _TestDelivery:
    event_id: str
    published_at: dt.datetime
    data: dict[str, str]
    type: str = "webhook.test"


@dataclass(frozen=True)
class _Outcome:
    """The part of an attempt that changes its endpoint."""

    result: Result
    at: dt.datetime
    error: str | None
    pause: dt.timedelta
    took: dt.timedelta = dt.timedelta()


@dataclass(frozen=True)
class Delivering:
    """Delivers the events of one endpoint, a batch at a time.

    Attributes:
        begin: Opens a transaction.
    """

    endpoint_id: int
    begin: Begin
    settings: Settings
    transport: WebhookTransport
    clock: Clock

    def deliver_batch(self, should_return: Callable[[], bool] = lambda: False) -> bool:
        """Makes the attempts that the endpoint may get now; returns false if there are none.

        Args:
            should_return: Looked at between attempts: true leaves the rest of the batch waiting.
        """
        now = self.clock()
        with self.begin() as connection:
            endpoint = _endpoint(connection, self.endpoint_id)
            if endpoint is None or endpoint.state == "disabled":
                return False
            standing = EndpointStanding.of(endpoint)
            deliveries = _next(connection, self.endpoint_id, standing, now)
        if not deliveries:
            return False
        try:
            keys = signing.secrets_of(self.settings, endpoint, now)
        except signing.UnreadableSecretError as error:
            with self.begin() as connection:
                _change(
                    connection,
                    self.endpoint_id,
                    [_Outcome(Result.UNSIGNED, now, str(error), PAUSE_WITHOUT_SECRET)],
                )
            return False
        for attempts in self._send(endpoint.url, keys, deliveries, standing, should_return):
            with self.begin() as connection:
                settle(connection, self.endpoint_id, attempts)
        return True

    def test(self) -> DeliveryAttempt:
        """Sends an event of type `webhook.test`, which changes nothing about the endpoint.

        Raises:
            UnknownEndpointError: there is none.
        """
        now = self.clock()
        with self.begin() as connection:
            endpoint = _endpoint(connection, self.endpoint_id)
            if endpoint is None:
                raise UnknownEndpointError(self.endpoint_id)
            organization = connection.execute(
                sa.select(organizations.c.external_id).where(
                    organizations.c.id == endpoint.organization_id
                )
            ).scalar()
        keys = signing.secrets_of(self.settings, endpoint, now)
        data = {} if organization is None else {"organization": organization}
        sent = _TestDelivery(f"test:{uuid.uuid4()}", now, data)
        return self._attempt(endpoint.url, keys, sent)

    def next_at(self) -> dt.datetime | None:
        """The next instant at which the endpoint may get an attempt; None: nothing waits."""
        now = self.clock()
        with self.begin() as connection:
            endpoint = _endpoint(connection, self.endpoint_id)
            if endpoint is None or endpoint.state == "disabled":
                return None
            standing = EndpointStanding.of(endpoint)
            given = {"endpoint_id": self.endpoint_id, "now": now, "patience": PATIENCE}
            at: dt.datetime | None = now
            is_due = _eligible(connection, self.endpoint_id, now, 1)
            if not is_due and not has_drafts(connection, self.endpoint_id):
                at = connection.execute(_sql("next_at"), given).scalar()
        return None if at is None else max(at, standing.next_attempt_at() or at)

    def _send(
        self,
        url: str,
        keys: Sequence[str],
        deliveries: Sequence[Any],
        standing: EndpointStanding,
        should_return: Callable[[], bool],
    ) -> Iterator[Sequence[DeliveryAttempt]]:
        """Sends a batch, at most `AT_ONCE` at a time; yields the attempts as they end.

        It stops when the endpoint has failed so often that it is failing, and when the time of the
        round is over: a slow receiver gives its place in the queue to others.
        """
        failures, may_pause = standing.failures, standing.may_pause
        waiting = iter(deliveries)
        with ThreadPoolExecutor(min(AT_ONCE, len(deliveries))) as pool:
            running = {
                pool.submit(self._attempt, url, keys, one, may_pause)
                for one in itertools.islice(waiting, AT_ONCE)
            }
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                attempts = sorted((one.result() for one in done), key=lambda attempt: attempt.at)
                for attempt in attempts:
                    if attempt.result is Result.SUCCESS:
                        failures = 0
                    elif attempt.result is Result.FAILURE:
                        failures += 1
                    is_over = failures >= FAILING_AFTER or should_return()
                    if is_over or attempt.result in (Result.GONE, Result.PAUSE):
                        waiting = iter(())
                running |= {
                    pool.submit(self._attempt, url, keys, one, may_pause)
                    for one in itertools.islice(waiting, len(attempts))
                }
                yield attempts

    def _attempt(
        self, url: str, keys: Sequence[str], delivery: Any, may_pause: bool = True
    ) -> DeliveryAttempt:
        began = time.monotonic()
        result, status, pause = Result.FAILURE, None, dt.timedelta()
        try:
            body = body_text(delivery.type, delivery.published_at, delivery.data)
            headers = signing.signed_headers(keys, delivery.event_id, body, self.clock())
            answer = self.transport.post(url, body.encode(), headers)
        except (RefusedAddressError, RetryableError) as error:
            text = str(error)
        except Exception as error:
            # One delivery that cannot be sent holds up no other: it has its own delays and its end.
            _logger.exception("Delivery %s of event %s", delivery.type, delivery.event_id)
            text = f"It could not be sent ({type(error).__name__}); the log has the details."
        else:
            (result, pause), status, text = _result(answer, may_pause), answer.status, answer.text
        took = dt.timedelta(seconds=time.monotonic() - began)
        return DeliveryAttempt(delivery, self.clock(), result, status, text, took, pause)


def settle(
    connection: sa.Connection, endpoint_id: int, attempts: Sequence[DeliveryAttempt]
) -> None:
    """Writes the results of attempts and the standing of their endpoint after them.

    Args:
        attempts: In the order in which they ended.
    """
    results = [attempt.settled() for attempt in attempts]
    connection.execute(
        _sql("settle").bindparams(sa.bindparam("results", type_=pg.JSONB)), {"results": results}
    )
    outcomes = [_Outcome(one.result, one.at, one.error, one.pause, one.took) for one in attempts]
    _change(connection, endpoint_id, outcomes)


def _change(connection: sa.Connection, endpoint_id: int, outcomes: Sequence["_Outcome"]) -> None:
    """Writes the standing of an endpoint after outcomes, in their order."""
    row = connection.execute(
        sa.select(endpoints).where(endpoints.c.id == endpoint_id).with_for_update(key_share=True)
    ).one_or_none()
    if row is None:
        return
    before = after = EndpointStanding.of(row)
    disable_after = dt.timedelta(days=installation_settings.webhooks().disable_after_days)
    for one in outcomes:
        after = after.after(
            one.result,
            one.at,
            error=one.error,
            pause=one.pause,
            took=one.took,
            disable_after=disable_after,
        )
    if after != before:
        connection.execute(
            sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(**vars(after))
        )
    if after.state == "disabled" != before.state:
        disabling.enqueue_notice(connection, endpoint_id)


def _result(answer: ReceiverAnswer, may_pause: bool) -> tuple[Result, dt.timedelta]:
    """The result of an answer, and the pause that it asks for."""
    if 200 <= answer.status < 300:
        return Result.SUCCESS, dt.timedelta()
    if answer.status == _GONE:
        return Result.GONE, dt.timedelta()
    asks = may_pause and answer.status in _SLOW_DOWN
    pause = retry_after(answer.headers) if asks else None
    if pause is not None and pause <= MAX_PAUSE:
        return Result.PAUSE, max(pause, MIN_PAUSE)
    return Result.FAILURE, dt.timedelta()


def _next(
    connection: sa.Connection, endpoint_id: int, standing: EndpointStanding, now: dt.datetime
) -> Sequence[Any]:
    """The deliveries that the endpoint gets now, filled in."""
    at = standing.next_attempt_at()
    if at is not None and at > now:
        return []
    limit = MAX_BATCH if standing.failures == 0 else max(FAILING_AFTER - standing.failures, 1)
    fill_in_drafts(connection, endpoint_id, now, limit)
    return _eligible(connection, endpoint_id, now, limit)


def _eligible(
    connection: sa.Connection, endpoint_id: int, now: dt.datetime, limit: int
) -> Sequence[Any]:
    given = {
        "endpoint_id": endpoint_id,
        "now": now,
        "passed_before": now - PATIENCE,
        "limit": limit,
    }
    return connection.execute(_sql("eligible"), given).all()


def _endpoint(connection: sa.Connection, endpoint_id: int) -> Any:
    return connection.execute(
        sa.select(endpoints).where(endpoints.c.id == endpoint_id)
    ).one_or_none()


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text)
