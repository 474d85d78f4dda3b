"""Tasks that send the due messages of one channel; the messages themselves are rows.

A task works for a few seconds and leaves the rest to the next; while its worker stops, it finishes
one message and queues the others again. It asks for help while batches are full, and for a task at
the time when the next message is due.
"""

import datetime as dt
import logging
import time
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import due
from marketing_pipelines.domains.delivery.pacing import Pace
from marketing_pipelines.failures import PermanentError
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.queues import Queue, declare
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.queueing.tasks import Task, TaskContext, system_clock, task
from marketing_pipelines.settings import get_settings

SECONDS_PER_ROUND = 3.0
_pace = Pace()
_logger = logging.getLogger(__name__)
# While a task waits for its next attempt, workers of the channel are not notified.
RETRY = Retry.listed(2, 4, 8, 60, 300)
SEND_EMAIL = declare(Queue("send-email", concurrency=5, retry=RETRY))
SEND_SMS = declare(Queue("send-sms", concurrency=3, retry=RETRY))
SEND_PUSH = declare(Queue("send-push", concurrency=10, retry=RETRY))


@task(queue=SEND_EMAIL)
def send_email(context: TaskContext, at: str | None, server_id: int | None = None) -> None:
    """Mails that are due, of the domain with this server or of all without one."""
    if server_id is None:
        _ring_servers(context)
    _send("email", context, server_id)


@task(queue=SEND_SMS)
def send_sms(context: TaskContext, at: str | None) -> None:
    """Text messages that are due."""
    _send("sms", context)


@task(queue=SEND_PUSH)
def send_push(context: TaskContext, at: str | None) -> None:
    """Notifications that are due."""
    _send("push", context)


SENDERS: dict[str, Task] = {
    "email": send_email,
    "sms": send_sms,
    "push": send_push,
}


def ring_at(
    connection: sa.Connection, channel: str, at: dt.datetime | None, server_id: int | None = None
) -> None:
    """Enqueues the channel's task for an instant, or for now if None. A waiting task for the same
    instant is enough.

    Args:
        server_id: For the mails of the domain with this server only.
    """
    if at is not None and at.microsecond:
        at = at.replace(microsecond=0) + dt.timedelta(seconds=1)
    payload: dict[str, Any] = {"at": None if at is None else at.astimezone(dt.UTC).isoformat()}
    if server_id is not None:
        payload["server_id"] = server_id
    enqueue(connection, SENDERS[channel], [payload], due_at=at, unique_key=list(payload))


def _ring_servers(context: TaskContext) -> None:
    """Enqueues a task for each mail server of one domain, so that no server waits for another."""
    now = context.clock()
    with context.begin() as connection:
        for server_id, at in due.next_of_servers(connection, now).items():
            if at <= now or at > system_clock():
                ring_at(connection, "email", at if at > now else None, server_id)


def _send(channel: str, context: TaskContext, server_id: int | None = None) -> None:
    # Jinja2 and the email package are for workers only.
    from marketing_pipelines.domains.delivery.own_servers import transport_over
    from marketing_pipelines.domains.delivery.sending import send_batch
    from marketing_pipelines.domains.delivery.transports.choice import transport_of

    try:
        if server_id is None:
            transport = transport_of(get_settings(), channel)
        else:
            with context.begin() as connection:
                transport = transport_over(connection, get_settings(), server_id)
    except PermanentError as error:
        _logger.error("%s: %s", channel, error)
        return
    if transport is None:
        # Its messages wait for the setting or the connection; the sensor looks again.
        return
    line = transport.line or channel
    end = time.monotonic() + SECONDS_PER_ROUND
    fault = again_at = None

    def should_return() -> bool:
        # Messages due meanwhile, above all transactional ones, need not wait for a batch.
        return time.monotonic() >= end or context.should_return()

    while fault is None and not should_return():
        started = time.monotonic()
        size = _pace.size(line, end - started)
        report = send_batch(
            context.begin,
            channel,
            transport,
            open_marking=context.committing_each,
            clock=context.clock,
            limit=size,
            server_id=server_id,
            should_return=should_return,
        )
        _pace.note(line, report.handed_over, time.monotonic() - started)
        fault, again_at = report.fault, report.again_at
        if report.claimed < size or again_at is not None:
            break
        with context.begin() as connection:
            ring_at(connection, channel, None, server_id)
    if fault is not None:
        _logger.warning("%s: %s", channel, fault)
    now = context.clock()
    with context.finishing() as connection:
        at = due.next_at(connection, channel, now, server_id)
        if at is not None:
            at = at if again_at is None else max(at, again_at)
            # A worker that works as of an earlier instant leaves messages that are due after it.
            if at <= now or at > system_clock():
                ring_at(connection, channel, at if at > now else None, server_id)
