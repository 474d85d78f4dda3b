"""`form`: the forms whose answers stand in sheets."""

from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.domains.forms.standing import standing_of_forms

app = typer.Typer(no_args_is_help=True)


@app.callback()
def form() -> None:
    """Keeps `list` a command of its own while there is no other."""


@app.command("list")
def list_(
    organization: Annotated[
        str | None,
        typer.Option("--organization", help="Those of one organization; default: of all."),
    ] = None,
) -> None:
    """List forms with sheet, last reading, numbers of submissions and the reason of a failure."""
    with connected() as (_, engine), engine.connect() as connection:
        number = None if organization is None else organization_number(connection, organization)
        found = standing_of_forms(connection, number)
    print_table(
        ["organization", "form", "sheet", "connection", "state", "last reading", "rows",
         "submissions", "missing", "without contact", "reason"],
        [
            [one.row.organization, one.row.external_id, one.row.sheet, one.row.connection,
             one.state, one.row.last_tick, one.row.rows, one.row.submissions, one.row.missing,
             one.row.without_contact, one.reason]
            for one in found
        ],
    )  # fmt: skip
