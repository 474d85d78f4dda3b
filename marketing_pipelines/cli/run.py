"""`run`: one job, now, with the partitions it needs."""

import datetime as dt
from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected, dagster_instance
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.runs.items import failing_items


def run(
    job: Annotated[str, typer.Argument(help="Asset key, e.g. analytics/event_aggregates.")],
    partition: Annotated[str | None, typer.Option(help="One partition.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="First partition of a range.")] = None,
    to: Annotated[str | None, typer.Option(help="Last partition of a range.")] = None,
    at: Annotated[
        dt.datetime | None, typer.Option(help="Instant to work for, instead of now (UTC).")
    ] = None,
    only: Annotated[
        bool, typer.Option(help="Leave out the partitions it reads, even if they are missing.")
    ] = False,
) -> None:
    """Run a job; partitions that it reads and that are missing or stale come with it.

    The exit code is 1 if an item fails.
    """
    from marketing_pipelines.running import Request, run_job

    if partition and (from_ or to):
        raise BadInputError("--partition is one, --from and --to are a range: leave out either.")
    if at is not None and at.replace(tzinfo=at.tzinfo or dt.UTC) > dt.datetime.now(dt.UTC):
        raise BadInputError(f"--at {at:%Y-%m-%d %H:%M} lies in the future: leave it out.")
    with connected() as (settings, engine), dagster_instance() as instance:
        request = Request(job, partition or from_, partition or to, at, only)
        outcomes = run_job(request, settings=settings, engine=engine, instance=instance)
        with engine.connect() as connection:
            failing = {o.job: failing_items(connection, o.job) for o in outcomes if o.items_failed}
    print_table(
        ["job", "partitions", "rows", "seconds", "status"],
        [[o.job, o.partitions, o.rows, f"{o.seconds:.2f}", o.status] for o in outcomes],
    )
    for outcome in outcomes:
        if outcome.error:
            print(outcome.error)
    for items in failing.values():
        for item in items:
            print(f"failed: {item.item}: {item.error}")
    if any(outcome.items_failed for outcome in outcomes):
        raise typer.Exit(1)
