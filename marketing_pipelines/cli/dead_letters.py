"""`dead-letters …`: tasks that failed for good."""

import datetime as dt
from typing import Annotated, Literal

import typer

from marketing_pipelines.cli.output import print_json, print_table
from marketing_pipelines.cli.queues import duration
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import dead_letters as letters
from marketing_pipelines.queueing import queues

app = typer.Typer(no_args_is_help=True)
LetterNumbers = Annotated[list[int], typer.Argument(metavar="NUMBER…", min=1)]
OfQueue = Annotated[str | None, typer.Option(help="Only of this queue.")]
OfTask = Annotated[str | None, typer.Option(help="Only of this task.")]
WithError = Annotated[str | None, typer.Option(help="Only with this text in their error.")]
Since = Annotated[str | None, typer.Option(help="Only failed in the last 90s, 30m, 24h, 7d.")]
COLUMNS = (
    "id", "queue", "task", "attempts", "first_failed_at", "last_failed_at", "state", "error",
)  # fmt: skip


@app.command("list")
def list_(
    queue: OfQueue = None,
    task: OfTask = None,
    error: WithError = None,
    since: Since = None,
    state: Annotated[
        Literal["dead", "redriven", "discarded", "all"], typer.Option(help="Only in this state.")
    ] = "dead",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
) -> None:
    """Print the latest dead letters, newest first."""
    wanted = _filter(queue, task, error, since)
    with connected() as (_, engine), engine.begin() as connection:
        found = letters.dead_letters(connection, wanted, None if state == "all" else state, limit)
    print_table(
        [name.replace("_", " ") for name in COLUMNS],
        [[getattr(letter, name) for name in COLUMNS] for letter in found],
    )


@app.command()
def show(number: Annotated[int, typer.Argument(metavar="NUMBER", min=1)]) -> None:
    """Print a dead letter with its payload and traceback."""
    with connected() as (_, engine), engine.begin() as connection:
        print_json(vars(letters.dead_letter(connection, number)))


@app.command()
def redrive(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="NUMBER…", min=1)] = None,
    queue: OfQueue = None,
    task: OfTask = None,
    error: WithError = None,
    since: Since = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Dead letters of all queues.")] = False,
) -> None:
    """Send dead letters back to their queue: by number, by a filter, or all."""
    if not (numbers or queue or task or error or since or all_):
        raise BadInputError(
            "Name the dead letters: numbers, --queue, --task, --error, --since, or --all."
        )
    wanted = _filter(queue, task, error, since)
    with connected() as (_, engine), engine.begin() as connection:
        sent = letters.redrive(connection, numbers or None, wanted, limit)
    print(f"{sent} dead letters are sent back.")


@app.command()
def discard(numbers: LetterNumbers) -> None:
    """Settle dead letters without doing their work."""
    with connected() as (_, engine), engine.begin() as connection:
        discarded = letters.discard(connection, numbers)
    print(f"{discarded} dead letters are discarded.")


def _filter(
    queue: str | None, task: str | None, error: str | None, since: str | None
) -> letters.LetterFilter:
    """The dead letters that the options mean; an unknown queue is refused, since it has none."""
    load_tasks()
    if queue is not None:
        queues.find(queue)
    after = None if since is None else dt.datetime.now(dt.UTC) - duration(since)
    return letters.LetterFilter(queue, task, error, after)
