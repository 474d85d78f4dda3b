"""Sending and judging the messages of a world, in the process of `child`."""

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from resource import RUSAGE_SELF, getrusage
from typing import Any

import sqlalchemy as sa

BATCH = 500
LEASE = dt.timedelta(minutes=2)


def send_mails(connections: str, until: str = "") -> dict[str, Any]:
    """The mails that are due, by one worker process that drains its queue; its peak of memory.

    Args:
        until: A query; the process stops once it returns true.
    """
    with _sink() as taken, _engine(int(connections) + 2) as engine:
        meanwhile = None if not until else lambda: _wait_for(engine, until)
        _work(engine, int(connections), meanwhile)
    return _spans(taken) | {"peak_mb": getrusage(RUSAGE_SELF).ru_maxrss / 1024}


def urgent(connections: str) -> dict[str, Any]:
    """A transactional mail that is queued while a worker sends marketing mails; when it is sent,
    the worker stops."""
    from marketing_pipelines.domains.delivery.notify import notify_workers

    seconds = []

    def queue() -> None:
        _wait_for(
            engine,
            "select count(*) > 100 from delivery.messages where sent_at > now() - interval '1 h'",
        )
        started = time.monotonic()
        with engine.begin() as connection:
            connection.exec_driver_sql(_URGENT)
            notify_workers(connection, ["email"])
        _wait_for(
            engine,
            "select bool_and(state = 'sent') from delivery.messages where kind = 'transactional'",
        )
        seconds.append(time.monotonic() - started)

    with _sink(), _engine(int(connections) + 2) as engine:
        _work(engine, int(connections), queue)
    return {"seconds": seconds[0]}


_URGENT = """
    insert into delivery.messages (organization_id, channel, contact_id, kind, content_id, due_at,
                                   queued_at)
    select organization_id, channel, contact_id, 'transactional', content_id, now(), now()
    from delivery.messages
    where state = 'queued'
    limit 1
"""


def _work(engine: sa.Engine, connections: int, meanwhile: Callable[[], None] | None) -> None:
    """Drains the queue, or stops after `meanwhile`, which runs in a thread."""
    from marketing_pipelines.domains import load_tasks
    from marketing_pipelines.domains.delivery.notify import notify_workers
    from marketing_pipelines.domains.delivery.tasks import SEND_EMAIL
    from marketing_pipelines.queueing.workers import Process, Share

    def stop_afterwards(work: Callable[[], None]) -> None:
        work()
        os.kill(os.getpid(), signal.SIGTERM)

    load_tasks()
    with engine.begin() as connection:
        notify_workers(connection, ["email"])
    if meanwhile is not None:
        threading.Thread(target=stop_afterwards, args=(meanwhile,), daemon=True).start()
    Process(engine, [Share(SEND_EMAIL, connections, None)], drain=True).run()


def _wait_for(engine: sa.Engine, condition: str) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        with engine.begin() as connection:
            if connection.exec_driver_sql(condition).scalar():
                return
        time.sleep(0.05)
    raise TimeoutError(condition)


def send_bare(connections: str) -> dict[str, Any]:
    """The same mails, rendered the same and sent by the same client, and nothing else."""
    from marketing_pipelines.domains.delivery import sending
    from marketing_pipelines.domains.delivery.composing import rendered
    from marketing_pipelines.domains.delivery.transports.choice import transport_of
    from marketing_pipelines.settings import get_settings

    number = int(connections)
    with _sink() as taken, _engine(1) as engine:
        with engine.begin() as connection:
            rows = connection.execute(
                sa.text(
                    "select * from delivery.messages where state = 'queued' and channel = 'email'"
                    " order by id"
                )
            ).all()
            orders = sending._orders(connection, [row.id for row in rows])
        transport = transport_of(get_settings(), "email")
        assert transport is not None

        def send(own: list[Any]) -> None:
            for message in own:
                transport.send(rendered(message, orders[message.id]))

        with ThreadPoolExecutor(number) as pool:
            list(pool.map(send, [rows[place::number] for place in range(number)]))
    return _spans(taken)


def judge(most: str) -> dict[str, Any]:
    """Claims in batches, each committed, until so many messages are judged."""
    return _claimed(int(most), settles=False)


def claim_bare(most: str) -> dict[str, Any]:
    """As many rows claimed by their numbers, without judgement: the least that a claim costs."""
    claimed = 0
    with _engine(1) as engine:
        with engine.begin() as connection:
            queued = (
                "select id from delivery.messages where state = 'queued' order by id limit :most"
            )
            numbers = list(connection.execute(sa.text(queued), {"most": int(most)}).scalars())
        started = time.monotonic()
        for first in range(0, len(numbers), BATCH):
            with engine.begin() as connection:
                connection.execute(sa.text("set local synchronous_commit = off"))
                batch = numbers[first : first + BATCH]
                claimed += len(connection.execute(_CLAIM_BARE, {"numbers": batch}).all())
        seconds = time.monotonic() - started
    return {"judged": claimed, "seconds": seconds}


def judge_and_settle(most: str) -> dict[str, Any]:
    """The same, each batch settled as sent, with its events."""
    return _claimed(int(most), settles=True)


def look(times: str) -> dict[str, Any]:
    """Turns of a worker that finds nothing to do."""
    from marketing_pipelines.domains.delivery.due import next_at
    from marketing_pipelines.domains.delivery.sending import send_batch
    from marketing_pipelines.domains.delivery.transports.choice import transport_of
    from marketing_pipelines.queueing.tasks import system_clock
    from marketing_pipelines.settings import get_settings
    from marketing_pipelines.stores.postgres import committing_each

    os.environ["MARKETING_SMTP_URL"] = "smtp://127.0.0.1:9?tls=off"
    get_settings.cache_clear()
    transport = transport_of(get_settings(), "email")
    assert transport is not None
    seconds = []
    with _engine(2) as engine:
        for _ in range(int(times) + 1):
            started = time.monotonic()
            report = send_batch(
                engine.begin,
                "email",
                transport,
                open_marking=lambda: committing_each(engine),
                clock=system_clock,
            )
            with engine.begin() as connection:
                next_at(connection, "email", system_clock())
            seconds.append(time.monotonic() - started)
            assert report.claimed == 0, report
    return {"seconds": seconds[1:]}


_CLAIM_BARE = sa.text(
    "update delivery.messages"
    " set state = 'claimed', claim = claim + 1, attempts = attempts + 1, claimed_at = now(),"
    " leased_until = now() + interval '2 minutes'"
    " where id = any(:numbers)"
    " returning id, organization_id, channel, kind, content_id, variables, queued_at, state, claim,"
    " attempts, due_at, reason, refused_at, refusals, is_bulk"
)


def _claimed(most: int, *, settles: bool) -> dict[str, Any]:
    from marketing_pipelines.domains.delivery import settling
    from marketing_pipelines.domains.delivery.claiming import claim
    from marketing_pipelines.queueing.tasks import system_clock
    from marketing_pipelines.settings import get_settings

    zone, judged = get_settings().zone, 0
    with _engine(1) as engine:
        with engine.begin() as connection:
            settling.prepare(connection, system_clock().date())
        started = time.monotonic()
        while judged < most:
            now = system_clock()
            with engine.begin() as connection:
                claimed = claim(connection, "email", limit=BATCH, lease=LEASE, now=now, zone=zone)
            if not claimed.judged:
                break
            judged += claimed.judged
            if settles:
                with engine.begin() as connection:
                    settling.settle(
                        connection,
                        [settling.ended(row, "sent", sent_at=now) for row in claimed.messages],
                    )
        seconds = time.monotonic() - started
    return {"judged": judged, "seconds": seconds}


def _spans(taken: dict[str, list[float]]) -> dict[str, Any]:
    """Number of mails by recipient's domain and in all, and seconds from the very first to the last
    of them."""
    every = [at for instants in taken.values() for at in instants]
    return {
        name: {"mails": len(instants), "seconds": max(instants) - min(every)}
        for name, instants in {**taken, "all": every}.items()
    }


@contextlib.contextmanager
def _engine(pool_size: int) -> Iterator[sa.Engine]:
    from marketing_pipelines.settings import get_settings
    from marketing_pipelines.stores.postgres import create_engine, database_url

    engine = create_engine(database_url(get_settings()), pool_size=pool_size)
    yield engine
    engine.dispose()


@contextlib.contextmanager
def _sink() -> Iterator[dict[str, list[float]]]:
    """A mail server in a process of its own; its mails are there when the block is over."""
    from marketing_pipelines.settings import get_settings

    taken: dict[str, list[float]] = {}
    command = [sys.executable, "-W", "ignore", "-m", f"{__package__}.mail_sink"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        os.environ["MARKETING_SMTP_URL"] = f"smtp://127.0.0.1:{port}?tls=off"
        get_settings.cache_clear()
        yield taken
        process.stdin.close()
        taken |= json.loads(process.stdout.read())
