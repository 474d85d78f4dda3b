"""Deliveries under way: a killed worker, a receiver that is away, slow, or far behind."""

import datetime as dt
import itertools
import math
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from standardwebhooks import Webhook

from marketing_pipelines.domains.webhooks import endpoints, tasks
from marketing_pipelines.domains.webhooks.delivering import Delivering
from marketing_pipelines.domains.webhooks.publishing import publish_events
from marketing_pipelines.domains.webhooks.transport import WebhookTransport
from marketing_pipelines.queueing import outcomes
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.waiting import until
from marketing_pipelines_tests.webhooks.world import (
    QUEUES,
    Received,
    Receiver,
    WebhookWorld,
    receiving,
)

EVENTS = 1_000 if SOAK else 40
BACKLOG = 10_000 if SOAK else 1_500
SECONDS_PER_ANSWER = 0.2
SAMPLES = 20
_names = itertools.count(1)


def _has(receiver: Receiver, event_id: str) -> bool:
    return event_id in receiver.event_ids


@contextmanager
def worker() -> Iterator[Any]:
    """A worker of the queue in a process of its own, killed at the end."""
    with Forked(
        "marketing_pipelines",
        "worker",
        *(argument for name in QUEUES for argument in ("--queue", name)),
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def rescue(world: WebhookWorld) -> None:
    """Gives the tasks of workers that are gone back to their queue."""
    with world.begin() as connection:
        outcomes.rescue_stalled(
            connection,
            silent_for=dt.timedelta(),
            attempts_of=dict.fromkeys(QUEUES, tasks.WEBHOOKS.retry.attempts),
        )


def moves(world: WebhookWorld, number: int) -> list[str]:
    """Publishes an event of each of so many new contacts."""
    names = [f"c{next(_names)}" for _ in range(number)]
    return world.publish(*(world.moved(world.contact(name)) for name in names))


@pytest.mark.soak
def test_a_killed_worker_loses_no_delivery_and_repeats_some_under_the_same_id(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    hooked.add(receiver.url)
    ids = moves(hooked, EVENTS)
    reached, released = threading.Event(), threading.Event()

    def reply(_received: Received) -> Any:
        if len(receiver.requests) > EVENTS // 2:
            reached.set()
            released.wait(60)
        return 200, {}, ""

    receiver.replies = reply
    with worker():
        assert reached.wait(120)
    receiver.answer(200)
    released.set()
    rescue(hooked)
    hooked.now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)
    hooked.work()
    times = {one: receiver.event_ids.count(one) for one in ids}
    assert set(receiver.event_ids) == set(ids)
    assert set(times.values()) == {1, 2}
    assert [row[0] for row in hooked.deliveries("state")] == ["delivered"] * EVENTS


@pytest.mark.soak
@pytest.mark.fault(36)
def test_ten_thousand_deliveries_behind_do_not_delay_another_endpoint(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    other = WebhookWorld(hooked.installation)
    number, _ = hooked.add(receiver.url)

    def slow(_received: Received) -> Any:
        time.sleep(SECONDS_PER_ANSWER)
        return 200, {}, ""

    receiver.replies = slow
    hooked.installation.execute(
        "insert into webhooks.deliveries (endpoint_id, event_id, type, data, published_at, due_at)"
        " select e.id, 'b' || n, 'deal.won', '{}', now(), now()"
        f" from webhooks.endpoints as e, generate_series(1, {BACKLOG}) as n"
    )
    with receiving() as quick:
        other.add(quick.url)
        contacts = [other.contact(f"c{n}") for n in range(SAMPLES)]
        with hooked.begin() as connection:
            tasks.ring(connection, [number])
        taken = []
        with worker():
            until(lambda: len(receiver.requests) > 20)
            for contact in contacts:
                began = time.monotonic()
                [event_id] = other.publish(other.moved(contact))
                until(partial(_has, quick, event_id), seconds=60)
                taken.append(time.monotonic() - began)
                assert len(receiver.requests) < BACKLOG, "it is no longer behind"
    taken.sort()
    assert taken[math.ceil(0.95 * SAMPLES) - 1] <= 5.0, "the 95th percentile"


@pytest.mark.soak
@pytest.mark.fault(36)
def test_a_receiver_that_is_away_for_two_minutes_gets_every_event_afterwards(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)
    ids = moves(hooked, EVENTS // 3)
    hooked.work()
    receiver.answer(502)
    away_until = hooked.now + dt.timedelta(minutes=2)
    ids += moves(hooked, EVENTS - EVENTS // 3)
    while hooked.now < away_until:
        hooked.work_after(5 if SOAK else 30, number)
    assert hooked.endpoint(number).state == "failing"
    failed_before = len(receiver.requests)
    assert failed_before < EVENTS // 3 + 20, "the others wait without using attempts"
    receiver.answer(200)
    for _ in range(4):
        hooked.work_after(300, number)
    assert {row[0] for row in hooked.deliveries("state, id")} == {"delivered"}
    assert set(receiver.event_ids) == set(ids)
    assert hooked.endpoint(number).state == "active"


def test_a_secret_that_is_rotated_under_way_leaves_no_event_that_its_receiver_refuses(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, old = hooked.add(receiver.url)
    ids = moves(hooked, 75)
    new: list[str] = []
    once = threading.Lock()

    def reply(_received: Received) -> Any:
        with once:
            if len(receiver.requests) >= 20 and not new:
                with hooked.begin() as connection:
                    new.append(endpoints.rotate(connection, get_settings(), number, hooked.now))
        return 200, {}, ""

    receiver.replies = reply
    hooked.work()
    assert set(receiver.event_ids) == set(ids)
    for received in receiver.requests:
        Webhook(old).verify(received.body, received.headers)
    for received in receiver.requests[-10:]:
        Webhook(new[0]).verify(received.body, received.headers)


@pytest.mark.fault(36)
def test_a_receiver_that_hangs_is_a_failure_after_the_time_of_an_attempt(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)
    released = threading.Event()

    def hang(_received: Received) -> Any:
        released.wait(60)
        return 200, {}, ""

    receiver.replies = hang
    hooked.publish(hooked.moved(hooked.contact("ann")))
    settings = get_settings()
    transport = WebhookTransport(settings.webhook_hosts, timeout=0.3)
    with hooked.begin() as connection:
        numbers = [row[0] for row in hooked.installation.rows("select id from ops.bus_events")]
        publish_events(connection, numbers, hooked.now)
    sending = Delivering(number, hooked.begin, settings, transport, lambda: hooked.now)
    assert sending.deliver_batch()
    released.set()
    [(state, attempts, status, response)] = hooked.deliveries("state, attempts, status, response")
    assert (state, attempts, status) == ("waiting", 1, None)
    assert response == "127.0.0.1 did not answer within 0.3 s."
