"""`worker`: a process that does the tasks of the queues."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.queueing import queues
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
) -> None:
    """Work on the queues until Ctrl-C."""
    from marketing_pipelines.observability import logs
    from marketing_pipelines.queueing.workers import Process, Share

    logs.configure(unless_set="info")
    load_tasks()
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
        process = Process(pooled, shares, drain=drain, greeting=greeting)
        process.run()
        sentry.finish()
        pooled.dispose()
    if process.stuck:
        sys.stdout.flush()
        os._exit(process.exit_code)
    raise typer.Exit(process.exit_code)


def _chosen(names: list[str] | None) -> list[queues.Queue]:
    if names is None:
        return list(queues.declared().values())
    return [queues.find(name) for name in dict.fromkeys(names)]


def _described(share: "Share") -> str:
    limit = "" if share.per_second is None else f", {share.per_second}/s over all workers"
    return f"{share.queue.name} ({share.concurrency} at once{limit})"
