"""`queues …`: counts of the queues; pausing, resuming and cleaning them."""

import datetime as dt
import re
from dataclasses import fields
from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import control
from marketing_pipelines.queueing.counts import QueueCount, queue_counts

app = typer.Typer(no_args_is_help=True)
QueueName = Annotated[str, typer.Argument(metavar="QUEUE")]
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@app.command("list")
def list_() -> None:
    """Print the waiting, active and ended tasks of every queue."""
    load_tasks()
    with connected() as (_, engine), engine.begin() as connection:
        rows = [list(vars(count).values()) for count in queue_counts(connection)]
    print_table([field.name.replace("_", " ") for field in fields(QueueCount)], rows)


@app.command()
def pause(queue: QueueName) -> None:
    """Pause a queue: active tasks go on, no other starts."""
    load_tasks()
    with connected() as (_, engine), engine.begin() as connection:
        changed = control.pause(connection, queue)
    print(f"{queue} is paused." if changed else f"{queue} was paused already.")


@app.command()
def resume(queue: QueueName) -> None:
    """Resume a paused queue."""
    load_tasks()
    with connected() as (_, engine), engine.begin() as connection:
        changed = control.resume(connection, queue)
    print(f"{queue} goes on." if changed else f"{queue} was not paused.")


@app.command()
def clean(
    queue: QueueName,
    older_than: Annotated[
        str, typer.Option(help="Age since the end of a task: 90s, 30m, 24h, 7d.")
    ] = "24h",
) -> None:
    """Remove a queue's finished tasks; dead letters stay."""
    age = duration(older_than)
    load_tasks()
    with connected() as (_, engine), engine.begin() as connection:
        removed = control.clean(connection, queue, age)
    print(f"{removed} finished tasks of {queue} are removed.")


def duration(text: str) -> dt.timedelta:
    """`24h` as a value."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise BadInputError(f"'{text}' is not an age: write it as 90s, 30m, 24h or 7d.")
    return dt.timedelta(**{UNITS[match[2]]: int(match[1])})
