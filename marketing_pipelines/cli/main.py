"""Entry point of `marketing-pipelines`: the commands, and how errors end."""

import importlib.metadata
import os
import sys
from typing import Annotated

import typer

from marketing_pipelines import jobs_file
from marketing_pipelines.cli import (
    action,
    api,
    backup,
    config,
    connection,
    contact,
    db,
    dead_letters,
    demo,
    doctor,
    export,
    form,
    load,
    message,
    messages,
    missed,
    organization,
    privacy,
    program,
    query,
    queues,
    run,
    segment,
    sessions,
    timetable,
    token,
    ui,
    up,
    webhook,
    why,
    worker,
)
from marketing_pipelines.failures import MarketingPipelinesError, WrongUsageError
from marketing_pipelines.redaction import redact
from marketing_pipelines.stores.private import UMASK

app = typer.Typer(
    name="marketing-pipelines",
    help="The scheduled work behind a marketing and CRM platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(up.up)
app.command()(api.api)
app.command()(ui.ui)
app.command()(db.migrate)
app.command()(load.load)
app.command()(run.run)
app.command(context_settings=query.CONTEXT)(query.query)
app.add_typer(
    segment.app, name="segment", help="Check a rule, count and list its members, confirm a rebuild."
)
app.add_typer(
    program.app, name="program", help="Activate, pause, resume or cancel a program of contacts."
)
app.add_typer(contact.app, name="contact", help="List contacts that share an address.")
app.command()(why.why)
app.command()(timetable.timetable)
app.command()(missed.missed)
app.command()(sessions.sessions)
app.add_typer(message.app, name="message", help="Preview a message, or send a test copy of it.")
app.add_typer(
    messages.app, name="messages", help="List messages; resolve those of unknown outcome."
)
app.command()(worker.worker)
app.add_typer(queues.app, name="queues", help="List, pause, resume and clean queues.")
app.add_typer(
    dead_letters.app,
    name="dead-letters",
    help="List, redrive or discard failed tasks.",
)
app.command()(doctor.doctor)
app.add_typer(token.app, name="token", help="Create, list and revoke tokens of the API.")
app.add_typer(organization.app, name="settings", help="Show or set one organization's settings.")
app.add_typer(
    connection.app,
    name="connection",
    help="Set, list, test, retry and remove connections to other systems.",
)
app.add_typer(privacy.app, name="privacy", help="Erase a person, or export its data.")
app.add_typer(
    action.app, name="action", help="Schedule, list, pause, resume, run and cancel actions."
)
app.add_typer(form.app, name="form", help="List the forms whose answers stand in sheets.")
app.add_typer(
    backup.app, name="backup", help="Take, list, verify and restore backups of everything."
)
app.add_typer(
    export.app, name="export", help="Ask for files of rows, list, show, fetch and cancel them."
)
app.add_typer(
    webhook.app, name="webhook", help="Add, list, test and mend endpoints that get events by HTTP."
)
app.add_typer(config.app, name="config", help="Put changes of `jobs.toml` into force.")
app.add_typer(db.app, name="db", help="Start, stop, inspect and upgrade the embedded PostgreSQL.")


def print_version(asked: bool) -> None:
    """Prints the version of the release and ends."""
    if asked:
        print(f"marketing-pipelines {importlib.metadata.version('marketing-pipelines')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options that come before the command."""
    _Debug.on = debug
    jobs_file.before_reading(config.apply_alone)


class _Debug:
    on = False


def main() -> None:
    """Runs a command; an error is one sentence on stderr and exit code 1; 2: wrong usage."""
    os.umask(UMASK)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
    except Exception as error:
        if _Debug.on:
            raise
        sys.stderr.write(f"marketing-pipelines: {redact(_sentence(error))}\n")
        sys.exit(2 if isinstance(error, WrongUsageError) else 1)


def _sentence(error: Exception) -> str:
    """Returns an error as one line; the traceback is for `--debug`."""
    if isinstance(error, MarketingPipelinesError):
        return str(error)
    lines = [line.strip() for line in str(getattr(error, "orig", error)).splitlines()]
    first = next((line for line in lines if line), "no message")
    return f"{type(error).__name__}: {first} (`marketing-pipelines --debug …` shows where.)"
