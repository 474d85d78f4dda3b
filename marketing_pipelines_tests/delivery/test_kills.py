"""Workers killed at every point: nothing is lost, and nothing goes out twice."""

import contextlib
import datetime as dt
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from marketing_pipelines.domains.delivery.sending import LEASE
from marketing_pipelines.domains.delivery.transports.choice import transport_of
from marketing_pipelines.domains.delivery.transports.smtp import SmtpTransport
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.child import Log, log, run, started
from marketing_pipelines_tests.delivery.counts import Audience
from marketing_pipelines_tests.delivery.smtp_sink import Answer, Sink, Taken, smtp_sink
from marketing_pipelines_tests.delivery.world import NOW, World, files
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.scale import SOAK

pytestmark = [pytest.mark.fault, pytest.mark.soak]

KILLED = -9
COUNT = 20
# Three transactions: leases that ran out, the claim, and the end of the whole batch.
REPEATABLE = {
    ("begin", 2): 0, ("commit", 2): 0, ("begin", 3): COUNT, ("commit", 3): COUNT, ("send", 1): 0,
    ("rename", 7): 6, ("send", 8): 7, ("sent", 8): 8, ("sent", COUNT): COUNT,
}  # fmt: skip


def points(
    table: dict[tuple[str, int], Any], *in_short: tuple[str, int]
) -> list[tuple[tuple[str, int], Any]]:
    """All points of a table, or those that `make test` tries."""
    return [(point, values) for point, values in table.items() if SOAK or point in in_short]


# 2, 3
def test_a_repeatable_transport_ends_with_each_message_once_wherever_workers_are_killed(
    world: World,
) -> None:
    now = NOW
    contacts = world.contacts(COUNT)
    for step, (point, written) in enumerate(points(REPEATABLE, ("commit", 3), ("send", 8))):
        before = len(files())
        numbers = world.messages(contacts, step=step, due_at=now)
        assert run(*point, now) == KILLED, point
        assert len(files()) - before == written, point
        states = Counter(world.state(number)[0] for number in numbers)
        claimed = point not in (("begin", 2), ("commit", 2))
        assert states == {"claimed" if claimed else "queued": COUNT}, point
        if claimed:
            assert world.send(now=now).claimed == 0, "the lease holds"
        now += LEASE
        assert world.send(now=now).sent == COUNT
        assert {world.state(number) for number in numbers} == {("sent", None)}
        assert len(files()) - before == COUNT
    assert Counter(int(path.stem) for path in files()) == Counter(
        number for (number,) in world.rows("select id from delivery.messages")
    )


# Leases that ran out, the claim, a mark for each message with the end of the one before, and the
# end of the batch. So many were taken, of so many it is known, of so many it is not.
NOT_REPEATABLE = {
    ("send", 1): (0, 0, 1), ("begin", 3): (COUNT, COUNT - 1, 1), ("sent", 5): (5, 4, 1),
    ("commit", 2): (0, 0, 0), ("sent", 1): (1, 0, 1), ("send", 5): (4, 4, 1),
    ("commit", 3): (COUNT, COUNT - 1, 1),
}  # fmt: skip


# 3
def test_a_transport_that_cannot_repeat_never_takes_a_message_twice(world: World) -> None:
    now = NOW
    contacts = world.contacts(COUNT)
    log().parent.mkdir(parents=True, exist_ok=True)
    log().touch()
    unknown = 0
    tried = points(NOT_REPEATABLE, ("sent", 5), ("send", 5))
    for step, (point, (taken, known, begun)) in enumerate(tried):
        numbers = world.messages(contacts, step=step, due_at=now)
        before = len(log().read_text().split())
        assert run(*point, now, "log") == KILLED, point
        assert len(log().read_text().split()) - before == taken, point
        is_claimed = point != ("commit", 2)
        assert {world.state(number)[0] for number in numbers} == {
            "claimed" if is_claimed else "queued"
        }
        assert world.rows(
            "select count(ended), count(*) - count(ended) from delivery.handovers"
        ) == [(known, begun)]
        now += LEASE
        rest = COUNT - known - begun
        assert world.send(now=now, transport=Log()).sent == rest, point
        unknown += begun
        assert Counter(world.state(number)[0] for number in numbers) == Counter(
            {"sent": known + rest, "unknown": begun}
        ), point
        lines = log().read_text().split()
        assert len(lines) == len(set(lines)), point
    total = COUNT * len(tried)
    assert world.audience() == {
        "email": Audience(sent=total - unknown, skipped=0, failed=0, remaining=unknown)
    }


KILLS, MAILS = (20, 1_000) if SOAK else (2, 30)


@pytest.fixture
def sink(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """A mail server on loopback, which workers know."""
    with smtp_sink() as served:
        monkeypatch.setenv("MARKETING_SMTP_URL", served.url)
        get_settings.cache_clear()
        yield served


def send_all(world: World, now: dt.datetime) -> None:
    """Sends what is due over SMTP, in this process."""
    transport = transport_of(get_settings(), "email")
    assert isinstance(transport, SmtpTransport)
    with contextlib.closing(transport):
        while world.send(now=now, transport=transport).claimed:
            pass


def settled(world: World) -> Counter[str]:
    """States of all messages, which are as many as were queued."""
    states = Counter(state for state, _ in world.states())
    assert sum(states.values()) == MAILS
    return states


@dataclass(frozen=True)
class Look:
    """The view of one snapshot: messages by progress, events, marks without a claim.

    Attributes:
        taken: Mails that the server had taken a moment later.
    """

    sent: int
    suppressed: int
    failed: int
    unknown: int
    queued: int
    events: int
    lost_marks: int
    taken: int


LOOK = """
    select count(*) filter (where state in ('sent', 'delivered', 'bounced')),
           count(*) filter (where state = 'suppressed'), count(*) filter (where state = 'failed'),
           count(*) filter (where state = 'unknown'),
           count(*) filter (where state in ('queued', 'claimed')),
           (select count(*) from analytics.contact_activity where event_type = 'sent'),
           (select count(*) from delivery.handovers as mark where not exists (
               select from delivery.messages as message
               where message.id = mark.message_id and message.claim = mark.claim
                   and message.state = 'claimed'))
    from delivery.messages
"""


@contextlib.contextmanager
def looking(world: World, sink: Sink) -> Iterator[list[Look]]:
    """Looks again and again until the end of the block; the looks are there afterwards."""
    looks: list[Look] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.02):
            [counts] = world.rows(LOOK)
            looks.append(Look(*(*counts, len(sink.recipients))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        is_over.set()
        thread.join()


# 19
def test_workers_killed_while_mails_go_out_lose_none_and_send_none_twice(
    world: World, sink: Sink
) -> None:
    world.messages(world.contacts(MAILS))
    with looking(world, sink) as looks:
        kill_and_send(world, sink)
    assert len({look.sent for look in looks}) > KILLS, "it looked while mails went out"
    for look in looks:
        assert look.sent + look.suppressed + look.failed + look.unknown + look.queued == MAILS, look
        assert look.events == look.sent, look
        assert look.sent <= look.taken, look
        assert look.lost_marks == 0, look


def kill_and_send(world: World, sink: Sink) -> None:
    """Kills workers at random mails and sends the rest."""
    rest, now = Random(19), NOW
    workers: list[Forked] = []
    for kill_at in sorted(rest.sample(range(1, MAILS), KILLS)):
        last: Answer = rest.choice(["250 Ok", None])

        def answer(_: Taken, at: int = kill_at, last: Answer = last) -> Answer:
            """Kills the worker in the middle of a mail, whether the server keeps it or not."""
            if len(sink.taken) < at - 1:
                return "250 Ok: queued as A1B2"
            os.kill(workers[-1].pid, signal.SIGKILL)
            return last

        sink.on_data = answer
        workers.append(started(now))
        assert workers[-1].wait(120) == KILLED
        assert set(settled(world)) <= {"sent", "claimed", "queued", "unknown"}
        now += LEASE
    sink.on_data = lambda _: "250 Ok"
    send_all(world, now)
    states = settled(world)
    assert states["sent"] + states["unknown"] == MAILS
    assert 1 <= states["unknown"] <= KILLS
    assert len(set(sink.recipients)) == len(sink.recipients), "no mail went out twice"
    known = world.rows(
        "select email from crm.contacts join delivery.messages on contacts.id = contact_id"
        " where state = 'sent'"
    )
    assert {email for (email,) in known} <= set(sink.recipients), "what is sent has arrived"
    assert world.rows("select count(*) from analytics.contact_activity") == [(states["sent"],)]
    assert world.rows("select * from delivery.handovers") == []


def test_a_worker_that_was_frozen_beyond_its_lease_sends_nothing_twice(
    world: World, sink: Sink
) -> None:
    world.messages(world.contacts(MAILS))
    frozen = threading.Event()

    def answer(_: Taken) -> Answer:
        """Freezes the worker while it waits for the answer to its third mail."""
        if len(sink.taken) == 2 and not frozen.is_set():
            os.kill(worker.pid, signal.SIGSTOP)
            frozen.set()
        return "250 Ok"

    sink.on_data = answer
    with started(NOW) as worker:
        assert frozen.wait(60)
        send_all(world, NOW + LEASE)
        assert settled(world) == {"sent": MAILS - 1, "unknown": 1}
        os.kill(worker.pid, signal.SIGCONT)
        assert worker.wait(60) == 0
    assert settled(world) == {"sent": MAILS - 1, "unknown": 1}
    assert len(sink.recipients) == len(set(sink.recipients)) == MAILS
