"""`segment`: rules asked for by hand, and rebuilds that wait for a confirmation."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.failures import BadInputError

app = typer.Typer(no_args_is_help=True)
Rules = Annotated[list[Path], typer.Argument(help="Files that hold a rule as JSON.")]
At = Annotated[
    str | None, typer.Option(help="Instant to look at, ISO 8601 with its zone [default: now].")
]


@app.command()
def check(rules: Rules, organization: OrganizationOption, at: At = None) -> None:
    """Say of each rule whether it can be evaluated, and where it is wrong."""
    from marketing_pipelines.domains.segments import preview

    def answer(*asked: Any, **how: Any) -> Iterator[str]:
        preview.check(*asked, **how)
        yield "ok"

    if not _ask(rules, organization, at, answer, go_on=True):
        raise typer.Exit(1)


@app.command()
def count(rules: Rules, organization: OrganizationOption, at: At = None) -> None:
    """Print how many contacts each rule holds for."""
    from marketing_pipelines.domains.segments import preview

    def answer(*asked: Any, **how: Any) -> Iterator[str]:
        yield str(preview.count(*asked, **how))

    _ask(rules, organization, at, answer)


@app.command()
def members(rules: Rules, organization: OrganizationOption, at: At = None) -> None:
    """Print the external ids of the contacts that each rule holds for, one a line."""
    from marketing_pipelines.domains.segments import preview

    _ask(rules, organization, at, preview.members)


@app.command()
def confirm(segment: str, organization: OrganizationOption) -> None:
    """Let a rebuild that waits remove its many members; the next evaluation publishes it."""
    from marketing_pipelines.domains.segments import publishing

    with connected() as (_, engine), engine.begin() as connection:
        number = organization_number(connection, organization)
        removals = publishing.confirm(connection, number, segment)
    print(f"Segment {segment} will lose about {removals:,} members at its next evaluation.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of rules."""
    from marketing_pipelines.cli.output import print_json
    from marketing_pipelines.domains.segments.rules import json_schema

    print_json(json_schema())


def _ask(
    files: list[Path],
    organization: str,
    at: str | None,
    answer: Callable[..., Iterator[str]],
    *,
    go_on: bool = False,
) -> bool:
    """Prints the answers, each line behind its file's name where there are several.

    Args:
        go_on: True: an error in a rule is an answer, and the next rules follow.

    Returns:
        True if nothing was wrong.
    """
    from marketing_pipelines.domains.segments import preview
    from marketing_pipelines.domains.segments.rule_errors import RuleError
    from marketing_pipelines.domains.segments.rules import parse

    now = _instant(at)
    well = True
    with connected() as (settings, engine), engine.connect() as connection:
        number = organization_number(connection, organization)
        for file in files:
            before = f"{file}\t" if len(files) > 1 else ""
            try:
                rule = parse(_read(file))
                with _reading(connection):
                    for note in preview.notes(connection, number, rule):
                        typer.echo(f"note: {file}: {note}", err=True)
                    for line in answer(
                        connection, number, rule, now=now, reporting_zone=settings.zone
                    ):
                        print(f"{before}{line}")
            except RuleError as error:
                if not go_on:
                    raise BadInputError(f"{file}: {error}") from None
                well = False
                print(f"{before}{error}")
    return well


def _reading(connection: sa.Connection) -> Any:
    connection.rollback()
    transaction = connection.begin()
    connection.exec_driver_sql("set transaction isolation level repeatable read read only")
    return transaction


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise BadInputError(f"{file} is not UTF-8 text.") from None


def _instant(text: str | None) -> dt.datetime:
    if text is None:
        return dt.datetime.now(dt.UTC)
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise BadInputError(f"--at '{text}' is no instant: write it like 2026-03-01T13:00:00Z.")
    return instant.astimezone(dt.UTC)
