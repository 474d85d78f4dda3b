"""`worker`: a process that does the tasks of the queues."""

import datetime as dt
import os
import sys
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
import typer

from marketing_pipelines import policies
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.failures import BadInputError, WrongUsageError
from marketing_pipelines.queueing import queues, tasks
from marketing_pipelines.runs import sentry
from marketing_pipelines.stores.postgres import create_engine

if TYPE_CHECKING:
    from marketing_pipelines.queueing.workers import Share


def worker(
    queue: Annotated[
        list[str] | None, typer.Option(help="Only this queue; may be given several times.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Tasks of each queue at once, in this process.")
    ] = None,
    drain: Annotated[bool, typer.Option(help="End when nothing is due.")] = False,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT", help="With --drain: send the messages as of this instant, not later."
        ),
    ] = None,
) -> None:
    """Work on the queues until Ctrl-C."""
    from marketing_pipelines.observability import logs
    from marketing_pipelines.queueing.workers import Process, Share

    logs.configure(unless_set="info")
    if not load_tasks():
        policies.require_known_queues(queues.declared())
    clock = tasks.system_clock if at is None else _clock_at(at, drains=drain)
    with connected() as (settings, engine):
        shares = [
            Share(
                chosen,
                concurrency or chosen.concurrency_by(settings),
                chosen.limit_by(settings),
            )
            for chosen in _chosen(queue)
        ]
        # Each task settles its own row; two more for housekeeping and draining.
        pool_size = sum(share.concurrency for share in shares) + 2
        pooled = create_engine(
            engine.url, application_name="marketing-pipelines worker", pool_size=pool_size
        )
        greeting = f"worker: {', '.join(_described(s) for s in shares)}; Ctrl-C stops"
        if at is not None:
            _ring_for_due(pooled, {share.queue.name for share in shares}, clock())
        process = Process(pooled, shares, drain=drain, greeting=greeting, clock=clock)
        process.run()
        sentry.finish()
        pooled.dispose()
    if process.stuck:
        sys.stdout.flush()
        os._exit(process.exit_code)
    raise typer.Exit(process.exit_code)


def _clock_at(text: str, *, drains: bool) -> tasks.Clock:
    """The clock of a worker that works as of an instant."""
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise BadInputError(f"--at '{text}' is no instant: write it like 2026-03-01T13:00:00Z.")
    if not drains:
        raise WrongUsageError("--at needs --drain: a worker that goes on works as of now.")
    if instant > tasks.system_clock():
        raise BadInputError(f"--at '{text}' is in the future: name an instant until now.")
    return lambda: instant


def _ring_for_due(engine: sa.Engine, names: set[str], now: dt.datetime) -> None:
    """Starts tasks for the messages that are due at an instant, in these queues."""
    from marketing_pipelines.domains.delivery.due import due_channels
    from marketing_pipelines.domains.delivery.notify import notify_workers
    from marketing_pipelines.domains.delivery.tasks import SENDERS

    with engine.begin() as connection:
        channels = due_channels(connection, now)
        notify_workers(
            connection, [channel for channel in channels if SENDERS[channel].queue.name in names]
        )


def _chosen(names: list[str] | None) -> list[queues.Queue]:
    if names is None:
        return list(queues.declared().values())
    return [queues.find(name) for name in dict.fromkeys(names)]


def _described(share: "Share") -> str:
    limit = "" if share.per_second is None else f", {share.per_second}/s over all workers"
    return f"{share.queue.name} ({share.concurrency} at once{limit})"
