"""Entry point of `marketing-pipelines`: the commands, and how errors end."""

import sys
from typing import Annotated

import typer

from marketing_pipelines.cli import db, demo, doctor, load, query, run, timetable, up
from marketing_pipelines.failures import MarketingPipelinesError

app = typer.Typer(
    name="marketing-pipelines",
    help="The scheduled work behind a marketing and CRM platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(up.up)
app.command()(db.migrate)
app.command()(load.load)
app.command()(run.run)
app.command()(query.query)
app.command()(timetable.timetable)
app.command()(doctor.doctor)
app.add_typer(db.app, name="db", help="The embedded PostgreSQL by itself.")


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Options that come before the command."""
    _Debug.on = debug


class _Debug:
    on = False


def main() -> None:
    """Runs a command; an error is one sentence on stderr and exit code 1."""
    try:
        app()
    except MarketingPipelinesError as error:
        if _Debug.on:
            raise
        sys.stderr.write(f"marketing-pipelines: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
