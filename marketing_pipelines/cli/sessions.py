"""`sessions`: sessions of jobs, with their times and results."""

from typing import Annotated, Any

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.runs.sessions import close_abandoned, latest

HEADER = (
    "session", "job", "partition", "trigger", "tick", "status", "started", "seconds", "rows",
    "items failed", "CPU s", "peak MB", "error",
)  # fmt: skip


def sessions(
    job: Annotated[str | None, typer.Option(help="Only this job: the latest 50.")] = None,
    running: Annotated[bool, typer.Option("--running", help="Only running sessions.")] = False,
) -> None:
    """Print the latest sessions of all jobs, newest first."""
    with connected() as (_, engine), engine.begin() as connection:
        close_abandoned(connection)
        print_table(HEADER, rows(connection, job=job, running=running))


def rows(connection: sa.Connection, *, job: str | None, running: bool) -> list[list[Any]]:
    """The sessions as the command prints them."""
    return [
        [
            row.id,
            row.job,
            row.partition,
            row.trigger,
            row.tick,
            row.status,
            row.started_at,
            None if row.duration_ms is None else row.duration_ms / 1000,
            row.metadata.get("rows"),
            row.items_failed,
            row.cpu_seconds,
            row.rss_peak_mb,
            row.error,
        ]
        for row in latest(connection, job=job, running=running)
    ]
