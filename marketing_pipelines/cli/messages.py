"""`messages …`: messages listed, and those of unknown outcome resolved by hand."""

import datetime as dt
from typing import Annotated, Literal

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.failures import WrongUsageError

app = typer.Typer(no_args_is_help=True)
COLUMNS = (
    "id", "organization", "channel", "recipient", "address", "program", "state", "attempts",
    "since", "waits_until", "reason",
)  # fmt: skip


@app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="Only in this state; `all` = in any.")] = "unknown",
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    organization: Annotated[str | None, typer.Option(help="Only of this organization.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
) -> None:
    """Print the latest messages, newest first: those of unknown outcome, or of another state.

    The reason of a queued one says why it waits.
    """
    from marketing_pipelines.domains.delivery.resolving import listed
    from marketing_pipelines.domains.delivery.tables import CHANNELS, STATES

    _require("state", state, (*STATES, "all"))
    if channel is not None:
        _require("channel", channel, CHANNELS)
    with connected() as (_, engine), engine.begin() as connection:
        number = None if organization is None else organization_number(connection, organization)
        found = listed(
            connection,
            state=None if state == "all" else state,
            channel=channel,
            organization_id=number,
            limit=limit,
            now=dt.datetime.now(dt.UTC),
        )
    print_table(
        [name.replace("_", " ") for name in COLUMNS],
        [[getattr(row, name) for name in COLUMNS] for row in found],
    )


@app.command()
def resolve(
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", min=1)],
    as_: Annotated[
        Literal["sent", "failed", "resend"],
        typer.Option("--as", help="How they ended; resend = queue them again."),
    ],
) -> None:
    """Resolve messages of unknown outcome by hand."""
    from marketing_pipelines.domains import load_tasks
    from marketing_pipelines.domains.delivery.resolving import resolve

    load_tasks()
    with connected() as (_, engine), engine.begin() as connection:
        done = resolve(connection, sorted(set(numbers)), as_, now=dt.datetime.now(dt.UTC))
    became = "queued again" if as_ == "resend" else as_
    print(f"{done} {'message is' if done == 1 else 'messages are'} {became}.")


def _require(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise WrongUsageError(f"'{given}' is no {what}: name {', '.join(known)}.")
