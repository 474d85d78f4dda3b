"""`missed`: ticks that did not run, with the reason."""

import datetime as dt
from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected, dagster_instance

WANTED = ("failed", "skipped", "missed")


def missed(
    days: Annotated[int, typer.Option(min=1, help="Number of days to look back.")] = 7,
    everything: Annotated[
        bool, typer.Option("--all", help="The whole calendar, with the next day's ticks.")
    ] = False,
) -> None:
    """List the ticks that did not run, with the reasons."""
    from marketing_pipelines.domains import load_jobs
    from marketing_pipelines.freshness.schedules import schedules
    from marketing_pipelines.observability.calendar import Standing, occurrences

    load_jobs()
    now = dt.datetime.now(dt.UTC)
    with (
        connected() as (settings, engine),
        dagster_instance() as instance,
        engine.begin() as connection,
    ):
        found = occurrences(
            connection,
            schedules(),
            since=now - dt.timedelta(days=days),
            until=now + dt.timedelta(days=1) if everything else now,
            now=now,
            zone=settings.zone,
            standing=Standing.of(instance),
        )
    rows = [
        [o.tick, o.job, o.partition, o.status, o.reason]
        for o in found
        if everything or o.status in WANTED
    ]
    print_table(["tick", "job", "partition", "status", "reason"], rows)
