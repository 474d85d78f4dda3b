"""The queue of webhooks: a task that writes the deliveries of events, and one that delivers them.

A task works for one endpoint, for a few seconds, and leaves the rest to the next: an endpoint with
many deliveries, or a slow one, takes a place in the queue in turn with the others.
"""

import datetime as dt
import time
from collections.abc import Iterable

import sqlalchemy as sa

from marketing_pipelines.queueing.bus import EVERY_TYPE, bulk_consumer
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.queueing.queues import Queue, declare
from marketing_pipelines.queueing.retries import Retry
from marketing_pipelines.queueing.tasks import Snooze, TaskContext, system_clock, task
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.locks import try_lock_in_transaction

SECONDS_PER_ROUND = 3.0
SECONDS_BETWEEN_LOOKS = 0.5
WEBHOOKS = declare(Queue("webhooks", concurrency=10, retry=Retry.listed(1, 5, 30)))


@bulk_consumer(EVERY_TYPE, queue=WEBHOOKS)
def publish(context: TaskContext, event_ids: list[int]) -> None:
    """Writes the deliveries of events to the endpoints of their organization."""
    from marketing_pipelines.domains.webhooks.publishing import publish_events

    with context.finishing() as connection:
        ring(connection, publish_events(connection, event_ids, context.clock()))


@task(queue=WEBHOOKS)
def deliver(context: TaskContext, endpoint_id: int, at: str | None) -> None:
    """Delivers the due events of an endpoint."""
    with context.engine.begin() as guard:
        # Held by the transaction, which has no statement meanwhile; freed when the worker dies.
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
    """Enqueues the task of each endpoint for an instant, or for now if None. A waiting task for the
    same instant is enough."""
    if at is not None and at.microsecond:
        at = at.replace(microsecond=0) + dt.timedelta(seconds=1)
    instant = None if at is None else at.astimezone(dt.UTC).isoformat()
    payloads = [{"endpoint_id": number, "at": instant} for number in sorted(endpoint_ids)]
    if payloads:
        key = ["endpoint_id", "at"]
        enqueue(connection, deliver, payloads, due_at=at, unique_key=key)
