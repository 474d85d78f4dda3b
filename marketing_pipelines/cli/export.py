"""`export …`: rows of an organization written to a file, by the workers of the queue `exports`."""

import datetime as dt
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.output import is_terminal, print_json, print_table
from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.failures import BadInputError

if TYPE_CHECKING:
    from marketing_pipelines.domains.exports.reading import ExportStatus

app = typer.Typer(no_args_is_help=True)
ExportArgument = Annotated[int, typer.Argument(metavar="ID", help="Export number.")]


@app.command()
def start(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="contact, contacts, events, messages, campaign_stats, deals or activities.",
        ),
    ],
    organization: OrganizationOption,
    format_: Annotated[
        str, typer.Option("--format", help="csv, json, xlsx, pdf or parquet.")
    ] = "csv",
    contact: Annotated[
        str | None, typer.Option("--contact", help="External id; the kind contact needs it.")
    ] = None,
    segment: Annotated[
        str | None, typer.Option("--segment", help="External id: only rows of its members.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="First day in the organization's zone, or instant.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Day or instant before which the rows lie.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="Columns in their order, parted by commas: `export columns KIND` lists them.",
        ),
    ] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option("--notify", help="External id of a user who gets a mail; repeatable."),
    ] = None,
) -> None:
    """Ask for an export; a worker writes its file."""
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines.domains.exports.requesting import ExportOrder, request_export

    load_tables()
    with connected() as (_, engine):
        with engine.begin() as connection:
            number = organization_number(connection, organization)
        order = ExportOrder(
            organization_id=number,
            kind=kind,
            format=format_,
            contact=contact,
            segment=segment,
            from_=from_,
            to=to,
            columns=None if columns is None else [name.strip() for name in columns.split(",")],
            notify=notify or [],
        )
        with engine.begin() as connection:
            export_id, state, _ = request_export(connection, order, now=dt.datetime.now(dt.UTC))
    print(f"Export {export_id} is {state}: `marketing-pipelines export show {export_id}`.")


@app.command("columns")
def list_columns(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="contacts, events, messages, campaign_stats, deals or activities."
        ),
    ],
) -> None:
    """List the columns that an export of a kind has, in their order."""
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines.domains.exports.kinds import columns_of_kind

    load_tables()
    found, has_attributes = columns_of_kind(kind)
    print_table(
        ["column", "type", "meaning"],
        [[column.name, column.type, column.comment] for column in found],
    )
    if has_attributes:
        print("The attributes follow, by name.")


@app.command("list")
def list_(
    organization: Annotated[
        str | None,
        typer.Option("--organization", help="Those of one organization; default: of all."),
    ] = None,
) -> None:
    """List exports, latest first."""
    from marketing_pipelines.domains.exports.reading import listed

    with connected() as (_, engine), engine.connect() as connection:
        number = None if organization is None else organization_number(connection, organization)
        found = listed(connection, dt.datetime.now(dt.UTC), organization_id=number)
    print_table(
        ["id", "organization", "kind", "format", "state", "done", "rows", "size", "asked for",
         "expires", "by", "error"],
        [
            [one.id, one.organization, one.kind, one.format, one.state, f"{one.progress:.0%}",
             one.rows, one.size, one.created_at, one.expires_at, one.requested_by, one.error]
            for one in found
        ],
    )  # fmt: skip


@app.command()
def show(export_id: ExportArgument) -> None:
    """Show one export: state, progress, rows, size, and its link once it is ready."""
    from marketing_pipelines.domains.delivery.links import Links, public_base

    with connected() as (settings, engine):
        found = _found(engine, export_id)
        url = None
        if found.state == "ready" and found.linked and public_base(settings) is not None:
            url = Links.of(settings).export(found.linked)
    left_out = ("organization_id", "file")
    shown = {key: value for key, value in vars(found).items() if key not in left_out}
    print_json(shown | {"progress": found.progress, "url": url})


@app.command()
def fetch(
    export_id: ExportArgument,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="File or folder to write; default: the folder you are in."),
    ] = None,
) -> None:
    """Copy the file of an export that is ready."""
    from marketing_pipelines.stores.files import FileStore

    with connected() as (settings, engine):
        found = _found(engine, export_id)
        if found.state != "ready" or found.file is None:
            reason = f": {found.error}" if found.error else "."
            raise BadInputError(f"The export {export_id} has no file, it is {found.state}{reason}")
        path = to or Path()
        if path.is_dir():
            path /= found.file_name
        partial = path.with_name(f".{path.name}.partial")
        try:
            with (
                FileStore(settings.effective_files_url).reading(found.file) as source,
                partial.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
            partial.replace(path)
        except FileNotFoundError as error:
            raise BadInputError(
                f"The file of export {export_id} is gone, or '{path.parent}' is no folder: "
                "ask for the export again, or name another place with --to."
            ) from error
        finally:
            partial.unlink(missing_ok=True)
    print(path if not is_terminal() else f"Wrote {path}.", file=sys.stdout)


@app.command()
def cancel(export_id: ExportArgument) -> None:
    """Cancel an export that is queued or running."""
    from marketing_pipelines.domains.exports.requesting import cancel_export

    with connected() as (_, engine):
        found = _found(engine, export_id)
        with engine.begin() as connection:
            cancelled = cancel_export(connection, export_id, now=dt.datetime.now(dt.UTC))
    if not cancelled:
        raise BadInputError(f"The export {export_id} is {found.state}: it cannot be cancelled.")
    print(f"Export {export_id} is cancelled.")


def _found(engine: sa.Engine, export_id: int) -> "ExportStatus":
    from marketing_pipelines.domains.exports.reading import status_of

    with engine.connect() as connection:
        found = status_of(connection, export_id, dt.datetime.now(dt.UTC), None)
    if found is None:
        raise BadInputError(
            f"There is no export {export_id}: `marketing-pipelines export list` shows them."
        )
    return found
