"""`action`: scheduled actions of organizations."""

import datetime as dt
import json
from typing import Annotated, Any, Literal, cast

import typer

from marketing_pipelines.cli.instants import instant_of
from marketing_pipelines.cli.output import print_json, print_table
from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.actions import standing
from marketing_pipelines.domains.actions.tables import STATES
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.failures import BadInputError

app = typer.Typer(no_args_is_help=True)
# The options that give the fields of an action, for sentences that begin with the field.
_OPTIONS = {
    "run_at": "--at",
    "every": "--every",
    "zone": "--zone",
    "until": "--until",
    "payload": "--payload",
    "dedupe_key": "--key",
    "dedupe_window": "--window",
}
ActionNumber = Annotated[
    int, typer.Argument(metavar="ACTION", min=1, help="Its number, from `list`.")
]


@app.command()
def schedule(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="Routes name it: billing:renew.")],
    organization: OrganizationOption,
    at: Annotated[str | None, typer.Option(help="When it is due: an instant with zone.")] = None,
    every: Annotated[
        str | None, typer.Option(help="hourly, daily, weekly, or a cron of five fields.")
    ] = None,
    zone: Annotated[
        str | None, typer.Option(help="IANA zone of --every; the organization's by default.")
    ] = None,
    payload: Annotated[str, typer.Option(help="JSON object for the tasks of its routes.")] = "{}",
    key: Annotated[str | None, typer.Option(help="Key of its doubles.")] = None,
    window: Annotated[
        str | None, typer.Option(help="Doubles are due less than this apart: 1h by default.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="--every ends before this instant.")] = None,
    catch_up: Annotated[
        Literal["once", "skip"], typer.Option(help="Missed times: one run for all, or none.")
    ] = "once",
) -> None:
    """Schedule an action, once or again and again."""
    from marketing_pipelines.domains import load_tasks
    from marketing_pipelines.domains.actions import scheduling
    from marketing_pipelines.domains.segments.dates import length

    if (at is None) == (every is None):
        raise BadInputError("An action has either --at or --every.")
    load_tasks()
    try:
        span = None if window is None else length(window)
    except ValueError as error:
        raise BadInputError(f"--window: {error}.") from None
    with connected() as (settings, engine), engine.begin() as connection:
        order = scheduling.ActionOrder(
            organization_number(connection, organization),
            type_,
            _object(payload),
            run_at=_instant("--at", at),
            every=every,
            zone=zone,
            dedupe_key=key,
            dedupe_window=span,
            until=_instant("--until", until),
            catch_up=catch_up,
        )
        now = dt.datetime.now(dt.UTC)
        try:
            found, is_new = scheduling.schedule(
                connection, order, now=now, reporting_zone=settings.zone
            )
        except BadInputError as error:
            field, colon, problem = str(error).partition(":")
            raise BadInputError(_OPTIONS.get(field, field) + colon + problem) from None
    due = "is not due any more" if found.next_at is None else f"is due at {_written(found.next_at)}"
    print(f"action {found.id} {due}" + ("" if is_new else "; it was there already"))


@app.command("list")
def list_(
    organization: Annotated[
        str | None, typer.Option(help="Only of this one: external id, or number.")
    ] = None,
    state: Annotated[str | None, typer.Option(help=f"Only {', '.join(STATES)}.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
) -> None:
    """List actions, the newest first."""
    if state is not None and state not in STATES:
        raise BadInputError(f"--state '{state}' is none of {', '.join(STATES)}.")
    with connected() as (_, engine), engine.connect() as connection:
        own = None if organization is None else organization_number(connection, organization)
        found = standing.listed(connection, own, state=state, type_=type_, limit=limit)
    print_table(
        ["action", "organization", "type", "every", "state", "next", "last", "asked"],
        [list(row) for row in found],
    )


@app.command()
def show(action: ActionNumber) -> None:
    """Print an action and the latest times that routes took it, as JSON."""
    with connected() as (_, engine), engine.connect() as connection:
        found = standing.find(connection, action)
    if found is None:
        raise _unknown(action)
    print_json({**vars(found), "runs": [vars(run) for run in found.runs]})


@app.command()
def pause(action: ActionNumber) -> None:
    """Pause an action: it is not done until it is resumed."""
    _change(action, "pause", "is paused")


@app.command()
def resume(action: ActionNumber) -> None:
    """Resume a paused action; times in between are missed ones."""
    _change(action, "resume", "is active")


@app.command()
def run(action: ActionNumber) -> None:
    """Make an action due now; one that comes again and again goes on as before."""
    _change(action, "run", "is due now")


@app.command()
def cancel(action: ActionNumber) -> None:
    """Cancel an action for good."""
    _change(action, "cancel", "is cancelled")


def _change(action: int, change: standing.Change, done: str) -> None:
    now = dt.datetime.now(dt.UTC)
    with connected() as (_, engine), engine.begin() as connection:
        if standing.find(connection, action) is None:
            raise _unknown(action)
        standing.change(connection, action, change, now)
    print(f"action {action} {done}")


def _unknown(action: int) -> BadInputError:
    return BadInputError(
        f"There is no action {action}: `marketing-pipelines action list` has them."
    )


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadInputError(f"--payload is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise BadInputError("--payload is not a JSON object.")
    return cast(dict[str, Any], found)


def _instant(option: str, text: str | None) -> dt.datetime | None:
    return None if text is None else instant_of(option, text)


def _written(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
