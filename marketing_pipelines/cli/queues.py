"""`queues …`: counts and tasks of the queues; pausing, resuming, cleaning, cancelling."""

import datetime as dt
import re
from dataclasses import fields
from typing import Annotated, Literal

import typer

from marketing_pipelines.cli.output import print_json, print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.domains.segments.rule_errors import similar
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import control, task_states
from marketing_pipelines.queueing.counts import QueueCount, queue_counts
from marketing_pipelines.queueing.queues import find
from marketing_pipelines.queueing.tasks import declared

app = typer.Typer(no_args_is_help=True)
QueueName = Annotated[str, typer.Argument(metavar="QUEUE")]
TaskNumber = Annotated[int, typer.Argument(metavar="NUMBER", min=1)]
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


@app.command()
def tasks(
    queue: Annotated[str | None, typer.Argument(metavar="[QUEUE]")] = None,
    state: Annotated[
        Literal["waiting", "delayed", "active", "completed", "failed", "cancelled"] | None,
        typer.Option(help="Only in this state."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only of this task.")] = None,
    before: Annotated[
        int | None, typer.Option(min=1, help="Only with smaller numbers: the next page.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
) -> None:
    """Print tasks, newest first."""
    load_tasks()
    if queue is not None:
        find(queue)
    with connected() as (_, engine), engine.begin() as connection:
        found = task_states.list_tasks(
            connection, queue=queue, state=state, task=task, before=before, limit=limit
        )
    if task is not None and not found and task not in declared():
        raise BadInputError(f"There is no task '{task}'{similar(task, declared())}.")
    names = [field.name for field in fields(task_states.ListedTask)]
    print_table(
        [name.replace("_", " ") for name in names],
        [[getattr(row, name) for name in names] for row in found],
    )


@app.command()
def task(number: TaskNumber) -> None:
    """Print a task with its payload, attempts and error."""
    with connected() as (_, engine), engine.begin() as connection:
        print_json(vars(task_states.task_state(connection, number)))


@app.command()
def retry(number: TaskNumber) -> None:
    """Make a waiting task due now, or send a failed one back to its queue."""
    with connected() as (_, engine), engine.begin() as connection:
        said = task_states.retry(connection, number)
    print(said)


@app.command()
def cancel(number: TaskNumber) -> None:
    """Cancel a task that waits, or discard one that failed."""
    with connected() as (_, engine), engine.begin() as connection:
        task_states.cancel(connection, number)
    print(f"Task {number} is cancelled.")


def duration(text: str) -> dt.timedelta:
    """`24h` as a value."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise BadInputError(f"'{text}' is not an age: write it as 90s, 30m, 24h or 7d.")
    return dt.timedelta(**{UNITS[match[2]]: int(match[1])})
