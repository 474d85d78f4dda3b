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
    from marketing_pipelines.domains.delivery.tables import STATES, STORED_CHANNELS

    _require("state", state, (*STATES, "all"))
    if channel is not None:
        _require("channel", channel, STORED_CHANNELS)
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
    as_: Annotated[
        Literal["sent", "failed", "resend"],
        typer.Option("--as", help="How they ended; resend = queue them again."),
    ],
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="NUMBER…", help="Messages by number.")
    ] = None,
    restored_from: Annotated[
        str | None,
        typer.Option(help="Instead of numbers: all that a restore of this backup made unknown."),
    ] = None,
) -> None:
    """Resolve messages of unknown outcome by hand."""
    from marketing_pipelines.domains import load_tasks
    from marketing_pipelines.domains.delivery.resolving import resolve, unknown_since_restore

    if bool(numbers) is (restored_from is not None):
        raise WrongUsageError("Name the messages by number, or by --restored-from, not both.")
    load_tasks()
    now = dt.datetime.now(dt.UTC)
    with connected() as (_, engine):
        with engine.begin() as connection:
            done = resolve(connection, sorted(set(numbers or [])), as_, now=now)
        while restored_from is not None:
            with engine.begin() as connection:
                found = unknown_since_restore(connection, restored_from)
                done += resolve(connection, found, as_, now=now)
            if not found:
                break
    became = "queued again" if as_ == "resend" else as_
    print(f"{done:,} {'message is' if done == 1 else 'messages are'} {became}.")


def _require(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise WrongUsageError(f"'{given}' is no {what}: name {', '.join(known)}.")
