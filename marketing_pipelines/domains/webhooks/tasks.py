"""The queues of webhooks: a task that writes the deliveries of events, and one that delivers them.

A task works for one endpoint, for a few seconds, and leaves the rest to the next: an endpoint with
many deliveries takes a place in the queue in turn with the others. Endpoints that answer slowly
have a queue of their own, with fewer places, and deliveries are written in another: neither these
nor quick endpoints wait for slow ones. An endpoint has at most one task that waits.
"""

import datetime as dt
import time
from collections.abc import Iterable

import sqlalchemy as sa

from marketing_pipelines.domains.webhooks.tables import deliveries, endpoints
from marketing_pipelines.queueing.bus import EVERY_TYPE, bulk_consumer
from marketing_pipelines.queueing.enqueue import enqueue, has_live
from marketing_pipelines.queueing.queues import Queue, declare
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.queueing.tasks import Snooze, TaskContext, system_clock, task
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.locks import try_lock_in_transaction

SECONDS_PER_ROUND = 3.0
SECONDS_BETWEEN_LOOKS = 0.5
_RETRY = Retry.listed(1, 5, 30)
WEBHOOK_EVENTS = declare(Queue("webhook-events", concurrency=2, retry=_RETRY))
WEBHOOKS = declare(Queue("webhooks", concurrency=10, retry=_RETRY))
SLOW_WEBHOOKS = declare(Queue("webhooks-slow", concurrency=5, retry=_RETRY))
_KEY = ("endpoint_id",)


@bulk_consumer(EVERY_TYPE, queue=WEBHOOK_EVENTS)
def publish(context: TaskContext, event_ids: list[int]) -> None:
    """Writes the deliveries of events to the endpoints of their organization."""
    from marketing_pipelines.domains.webhooks.publishing import publish_events

    with context.finishing() as connection:
        ring(connection, publish_events(connection, event_ids, context.clock()))


@task(queue=WEBHOOK_EVENTS)
def notify_disabled(context: TaskContext, endpoint_id: int) -> None:
    """Notifies and alerts of an endpoint that its answers disabled."""
    from marketing_pipelines.domains.webhooks import disabling

    with context.finishing() as connection:
        disabling.notify_disabled(connection, endpoint_id)


@task(queue=WEBHOOKS)
def deliver(context: TaskContext, endpoint_id: int) -> None:
    """Delivers the due events of an endpoint."""
    with context.engine.begin() as guard:
        # The queue's lock is free once a worker is taken for dead, this one when it is: it is held
        # by the transaction, which has no statement meanwhile.
        if not try_lock_in_transaction(guard, f"webhooks/endpoints {endpoint_id}"):
            raise Snooze(SECONDS_BETWEEN_LOOKS)
        _deliver(context, endpoint_id)


def _deliver(context: TaskContext, endpoint_id: int) -> None:
    # HTTP and signatures are for workers only.
    from marketing_pipelines.domains.webhooks.delivering import Delivering
    from marketing_pipelines.domains.webhooks.transport import WebhookTransport

    transport = WebhookTransport(get_settings().webhook_hosts)
    work = Delivering(endpoint_id, context.begin, get_settings(), transport, context.clock)
    end = time.monotonic() + SECONDS_PER_ROUND

    def should_return() -> bool:
        return time.monotonic() >= end or context.should_return()

    while not should_return() and work.deliver_batch(should_return):
        pass
    # Read before the clock: an instant that passes meanwhile is due now, and no wake-up is lost.
    present = system_clock()
    next_at, now = work.next_at(), context.clock()
    with context.finishing() as connection:
        # A worker that works as of an earlier instant leaves deliveries that are due after it.
        if next_at is not None and (next_at <= now or next_at > present):
            ring(connection, [endpoint_id], next_at if next_at > now else None)


def ring(
    connection: sa.Connection, endpoint_ids: Iterable[int], at: dt.datetime | None = None
) -> None:
    """Makes the task of each enabled endpoint due at an instant, or now if None."""
    numbers = sorted(set(endpoint_ids))
    if not numbers:
        return
    for queue, is_slow in ((WEBHOOKS, False), (SLOW_WEBHOOKS, True)):
        rung = sa.select(endpoints.c.id.label("endpoint_id")).where(
            endpoints.c.id.in_(numbers),
            endpoints.c.state != "disabled",
            endpoints.c.slow_at.is_not(None) if is_slow else endpoints.c.slow_at.is_(None),
        )
        enqueue(
            connection,
            deliver,
            rung.order_by(endpoints.c.id),
            due_at=at,
            unique_key=_KEY,
            lock=_KEY,
            queue=queue,
            hasten=True,
        )


def ring_due(connection: sa.Connection, now: dt.datetime) -> None:
    """Makes a task of each endpoint that may get a delivery now and has no task.

    Its task may have become a dead letter.
    """
    next_attempt_at = sa.func.greatest(endpoints.c.probe_at, endpoints.c.quiet_until)
    has_due = sa.exists().where(
        deliveries.c.endpoint_id == endpoints.c.id,
        deliveries.c.state == "waiting",
        deliveries.c.due_at <= now,
    )
    has_draft = sa.exists().where(
        deliveries.c.endpoint_id == endpoints.c.id, deliveries.c.state == "draft"
    )
    missing = sa.select(endpoints.c.id).where(
        endpoints.c.state != "disabled",
        sa.or_(next_attempt_at.is_(None), next_attempt_at <= now),
        sa.or_(has_due, has_draft),
        ~has_live(deliver, endpoint_id=endpoints.c.id),
    )
    ring(connection, connection.execute(missing).scalars())
