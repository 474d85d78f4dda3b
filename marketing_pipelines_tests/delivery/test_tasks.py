"""The doorbell: one notify_workers is enough, and what is due later needs none."""

import datetime as dt
import os
import signal
from collections import Counter
from typing import Any

import dagster as dg
import pytest

from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.delivery.due import due_channels, next_at
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.domains.delivery.sending import LEASE
from marketing_pipelines.domains.delivery.tables import messages
from marketing_pipelines.domains.delivery.tasks import SENDERS, ring_at
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.queueing.queues import declared
from marketing_pipelines.stores import intents
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.delivery.world import NOW, World, files, outbox
from marketing_pipelines_tests.queueing.installed import workers
from marketing_pipelines_tests.scale import SOAK
from marketing_pipelines_tests.waiting import until

MANY, FEW = (600, 600) if SOAK else (200, 40)


def jobs(world: World) -> list[tuple[Any, ...]]:
    return world.rows(
        "select task_name, queue_name, args ->> 'at', scheduled_at from procrastinate_jobs"
        " where status = 'todo' and queue_name like 'send-%' order by id"
    )


def real_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def drain() -> None:
    """Sends what is due, as a worker in this process."""
    done = call_here("worker", "--drain", "--queue", "send-email")
    assert done.returncode == 0, done.stderr


def test_each_channel_has_its_queue_with_so_many_at_once() -> None:
    assert {channel: task.queue.name for channel, task in SENDERS.items()} == {
        "email": "send-email",
        "sms": "send-sms",
        "push": "send-push",
    }
    assert {task.queue.name: task.queue.concurrency for task in SENDERS.values()} == {
        "send-email": 5,
        "send-sms": 3,
        "send-push": 10,
    }
    assert set(declared()) >= {task.queue.name for task in SENDERS.values()}


def test_a_bell_that_rings_already_is_enough(world: World) -> None:
    with world.begin() as connection:
        notify_workers(connection, ["sms", "email", "sms"])
    with world.begin() as connection:
        notify_workers(connection, ["email"])
    assert jobs(world) == [
        ("delivery/send_email", "send-email", None, None),
        ("delivery/send_sms", "send-sms", None, None),
    ]


def test_a_bell_is_rung_with_the_transaction_or_not_at_all(world: World) -> None:
    with world.engine.connect() as connection, connection.begin() as transaction:
        notify_workers(connection, ["email"])
        transaction.rollback()
    assert jobs(world) == []


def test_a_bell_for_later_does_not_silence_one_for_now(world: World) -> None:
    later = NOW + dt.timedelta(milliseconds=1)
    with world.begin() as connection:
        ring_at(connection, "email", later)
        ring_at(connection, "email", later + dt.timedelta(milliseconds=1))
        notify_workers(connection, ["email"])
    at = NOW + dt.timedelta(seconds=1)
    assert jobs(world) == [
        ("delivery/send_email", "send-email", at.isoformat(), at),
        ("delivery/send_email", "send-email", None, None),
    ]


def test_the_next_message_is_the_first_that_its_program_lets_go(world: World) -> None:
    def following() -> dt.datetime | None:
        with world.begin() as connection:
            return next_at(connection, "email", NOW)

    def channels(now: dt.datetime) -> list[str]:
        with world.begin() as connection:
            return due_channels(connection, now)

    assert following() is None
    hour = dt.timedelta(hours=1)
    contacts = world.contacts(1)
    paused = world.another_program("paused", "paused")
    world.messages(contacts, program=paused, step=2)
    world.messages(contacts, due_at=NOW + hour)
    world.messages(contacts, "push", step=3)
    assert following() == NOW + hour
    assert channels(NOW) == ["push"]
    assert channels(NOW + hour) == ["email", "push"]
    world.set_status("active", paused)
    assert following() == NOW
    with world.begin() as connection:
        intents.claim(connection, messages, limit=9, lease=LEASE, now=NOW)
    assert following() == NOW + LEASE, "when the lease of whoever claimed it ends"


def test_a_worker_sends_what_is_due_and_comes_back_when_the_rest_is(world: World) -> None:
    world.messages(world.contacts(3), due_at=real_now())
    later = real_now().replace(microsecond=0) + dt.timedelta(hours=1)
    world.messages(world.contacts(1), step=2, due_at=later)
    with world.begin() as connection:
        notify_workers(connection, ["email"])
    drain()
    assert Counter(state for state, _ in world.states()) == {"sent": 3, "queued": 1}
    assert jobs(world) == [("delivery/send_email", "send-email", later.isoformat(), later)]


def test_a_message_that_becomes_due_later_is_sent_without_another_ring(world: World) -> None:
    due_at = real_now() + dt.timedelta(seconds=4)
    world.messages(world.contacts(1), "sms", due_at=due_at)
    with world.begin() as connection:
        notify_workers(connection, ["sms"])
    with workers(1, "--queue", "send-sms"):
        until(lambda: world.states() == [("sent", None)], what="the message to be sent")
    assert world.value("select sent_at from delivery.messages") >= due_at


def test_a_worker_drains_what_is_due_as_of_an_instant(world: World) -> None:
    contacts = world.contacts(3)
    first = world.messages(contacts[:2])
    world.messages(contacts[2:], due_at=NOW + dt.timedelta(seconds=1))
    done = call_here("worker", "--drain", "--at", NOW.isoformat(), "--queue", "send-email")
    assert done.returncode == 0, done.stderr
    assert world.rows("select id, sent_at from delivery.messages where state = 'sent'") == [
        (number, NOW) for number in first
    ]
    assert jobs(world) == [], "what is due later is left to other workers"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--at", "2026-03-01T00:00:00Z"], "--at needs --drain: a worker that goes on works as of"),
        (["--drain", "--at", "2999-01-01T00:00:00Z"], "--at '2999-01-01T00:00:00Z' is in the futu"),
        (["--drain", "--at", "noon"], "--at 'noon' is no instant: write it like"),
    ],
)
def test_an_instant_is_given_with_drain_and_lies_in_the_past(
    world: World, options: list[str], sentence: str
) -> None:
    done = call_here("worker", *options)
    assert done.returncode != 0
    assert sentence in done.stderr


def look(world: World) -> list[str]:
    """The channels that the sensor asks tasks for."""
    repository = defs.get_repository_def()
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(
            instance=instance, repository_def=repository, resources={"postgres": Postgres()}
        ) as context,
    ):
        repository.get_sensor_def("due_messages_sensor").evaluate_tick(context)
    return [row[0] for row in jobs(world)]


def test_the_sensor_rings_for_a_program_that_goes_on(world: World) -> None:
    world.messages(world.contacts(1))
    world.set_status("paused")
    assert look(world) == []
    world.set_status("active")
    assert look(world) == ["delivery/send_email"]
    assert look(world) == ["delivery/send_email"]


@pytest.mark.soak
@pytest.mark.fault
def test_two_workers_at_once_send_each_message_once(world: World) -> None:
    contacts = world.contacts(FEW)
    numbers = world.messages(contacts, due_at=real_now())
    texts = world.messages(contacts, "sms", step=2, due_at=real_now())
    with world.begin() as connection:
        notify_workers(connection, ["email", "sms"])
    with workers(2, "--queue", "send-email", "--queue", "send-sms"):
        until(
            lambda: world.audience()["email"].remaining + world.audience()["sms"].remaining == 0,
            what="all to be sent",
        )
    assert Counter(world.rows("select state, attempts from delivery.messages")) == {
        ("sent", 1): 2 * FEW
    }
    assert sorted(int(path.stem) for path in files()) == sorted(numbers + texts)


# 43
@pytest.mark.soak
@pytest.mark.fault
def test_a_stopped_worker_leaves_every_message_sent_or_queued(world: World) -> None:
    world.messages(world.contacts(MANY), due_at=real_now())
    with world.begin() as connection:
        notify_workers(connection, ["email"])
    with workers(1, "--queue", "send-email") as [process]:
        until(lambda: files(), what="the first file")
        process.terminate()
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    states = Counter(state for state, _ in world.states())
    assert states.keys() <= {"sent", "queued"}
    assert len(files()) == states["sent"]
    drain()
    assert Counter(world.rows("select state, attempts from delivery.messages")) == {
        ("sent", 1): MANY
    }


@pytest.mark.fault(2)
@pytest.mark.soak
def test_what_a_killed_worker_had_in_hand_is_sent_when_its_lease_ends(world: World) -> None:
    numbers = world.messages(world.contacts(MANY), due_at=real_now())
    with world.begin() as connection:
        notify_workers(connection, ["email"])
    with workers(1, "--queue", "send-email") as [process]:
        until(lambda: files(), what="the first file")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    assert world.audience()["email"].remaining > 0
    later = real_now() + LEASE
    until(lambda: world.send(now=later).claimed == 0, what="another to finish")
    assert {state for state, _ in world.states()} == {"sent"}
    assert [int(path.stem) for path in files()] == numbers


def test_a_full_or_missing_disk_is_the_tasks_failure_and_not_the_messages(world: World) -> None:
    world.messages(world.contacts(2), due_at=real_now())
    with world.begin() as connection:
        notify_workers(connection, ["email"])
    outbox().mkdir(parents=True)
    (outbox() / "email").write_text("in the way")
    with workers(1, "--queue", "send-email"):
        failed = "select count(*) from ops.task_attempts where error like '%Error%'"
        until(lambda: world.value(failed), what="the task to fail")
        assert world.rows("select distinct state, attempts from delivery.messages") == [
            ("queued", 0)
        ]
        (outbox() / "email").unlink()
        until(lambda: world.audience()["email"].sent == 2, what="the next attempt")
    assert world.rows("select distinct state, attempts from delivery.messages") == [("sent", 1)]
