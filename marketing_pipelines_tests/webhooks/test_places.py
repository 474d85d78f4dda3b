"""Places in the queues: slow and paused endpoints leave most of them to the others."""

import itertools
import math
import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.webhooks import tasks
from marketing_pipelines.domains.webhooks.standing import QUICK, SLOW_FOR
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.waiting import until
from marketing_pipelines_tests.webhooks.test_workers import worker
from marketing_pipelines_tests.webhooks.world import Received, Receiver, WebhookWorld, receiving

SLOW = 10
SECONDS_OF_SLOW = 10.0 if SOAK else QUICK.total_seconds() + 0.1
EVENTS = 40 if SOAK else 4
LIVE = "select queue_name, count(*) from procrastinate_jobs where task_name = 'webhooks/deliver'"
_names = itertools.count(1)


def waiting_tasks(world: WebhookWorld) -> list[tuple[Any, ...]]:
    return world.installation.rows(f"{LIVE} and status = 'todo' group by queue_name")


@pytest.mark.soak
@pytest.mark.fault(36)
def test_ten_slow_receivers_do_not_delay_a_quick_one(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    """Each answer of the quick form's slow receivers waits until the quick one has its events."""
    other = WebhookWorld(hooked.installation)
    released = threading.Event()
    asked = itertools.count(1)

    def slow(_received: Received) -> Any:
        if SOAK or next(asked) <= SLOW:
            time.sleep(SECONDS_OF_SLOW)
        else:
            released.wait(60)
        return 200, {}, ""

    receiver.replies = slow
    for _ in range(SLOW):
        hooked.add(receiver.url)
    contact = hooked.contact("ann")
    with receiving() as quick, worker():
        other.add(quick.url)
        hooked.publish(hooked.moved(contact))
        of_slow = "select count(*) from webhooks.endpoints where slow_at is not null"
        until(lambda: hooked.installation.rows(of_slow) == [(SLOW,)], seconds=120)
        taken = []
        for number in range(EVENTS):
            hooked.publish(*(hooked.moved(hooked.contact(f"s{number}-{n}")) for n in range(3)))
            began = time.monotonic()
            [event_id] = other.publish(other.moved(other.contact(f"c{next(_names)}")))
            until(lambda wanted=event_id: wanted in quick.event_ids, seconds=60)
            taken.append(time.monotonic() - began)
        taken.sort()
        assert taken[math.ceil(0.95 * EVENTS) - 1] <= 5.0, "the 95th percentile"
        assert len(receiver.requests) > SLOW, "slow ones are under way"
        released.set()


def test_a_slow_endpoint_has_its_task_in_a_queue_of_its_own_until_it_was_quick_for_a_while(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)

    def slow(_received: Received) -> Any:
        time.sleep(QUICK.total_seconds() + 0.1)
        return 200, {}, ""

    receiver.replies = slow
    ann = hooked.contact("ann")
    hooked.publish(hooked.moved(ann))
    hooked.work()
    receiver.answer(200)
    queues = []
    for seconds in (0, SLOW_FOR.total_seconds(), 0):
        hooked.publish(hooked.moved(ann))
        with hooked.begin() as connection:
            tasks.ring(connection, [number])
        queues += waiting_tasks(hooked)
        hooked.work_after(seconds)
    assert queues == [("webhooks-slow", 1), ("webhooks-slow", 1), ("webhooks", 1)]
    assert hooked.states() == {"delivered"}


def test_a_paused_endpoint_has_one_task_however_many_events_come(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    receiver.answer(429, Retry_After="600")
    number, _ = hooked.add(receiver.url)
    for n in range(5):
        hooked.publish(hooked.moved(hooked.contact(f"c{n}")))
        hooked.work()
    assert waiting_tasks(hooked) == [("webhooks", 1)]
    assert len(receiver.requests) == 1
    receiver.answer(200)
    hooked.work_after(600, number)
    assert hooked.states() == {"delivered"}


def test_while_an_endpoint_is_worked_for_its_next_task_takes_no_place(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)
    with hooked.begin() as connection:
        tasks.ring(connection, [number])
    fetch = sa.text("select (f.task).id from ops.fetch_task('webhooks', :worker, null, 0) as f")
    with hooked.begin() as connection:
        hire = sa.text("select worker_id from procrastinate_register_worker_v1()")
        worker_id = connection.execute(hire).scalar_one()
        first = connection.execute(fetch, {"worker": worker_id}).scalar_one()
        for _ in range(3):
            tasks.ring(connection, [number])
        assert connection.execute(fetch, {"worker": worker_id}).scalar_one() is None
        connection.execute(
            sa.text("update procrastinate_jobs set status = 'succeeded' where id = :id"),
            {"id": first},
        )
        assert connection.execute(fetch, {"worker": worker_id}).scalar_one() > first


def test_an_endpoint_whose_task_is_a_dead_letter_is_rung_again(
    hooked: WebhookWorld, receiver: Receiver
) -> None:
    number, _ = hooked.add(receiver.url)
    [event_id] = hooked.publish(hooked.moved(hooked.contact("ann")))
    receiver.answer(500)
    hooked.work()
    hooked.installation.execute(
        "update procrastinate_jobs set status = 'failed' where task_name = 'webhooks/deliver'"
    )
    receiver.answer(200)
    with hooked.begin() as connection:
        tasks.ring_due(connection, hooked.now)
    assert waiting_tasks(hooked) == [], "nothing is due"
    hooked.work_after(5)
    assert len(receiver.requests) == 1
    for _ in range(2):
        with hooked.begin() as connection:
            tasks.ring_due(connection, hooked.now)
        assert waiting_tasks(hooked) == [("webhooks", 1)]
    hooked.work()
    assert hooked.deliveries() == [(event_id, "delivered", 2, 200)]
    assert hooked.endpoint(number).state == "active"
