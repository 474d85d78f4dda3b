"""`form`: the forms whose answers stand in sheets."""

from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.domains.forms.standing import standing_of_forms, without_contact

app = typer.Typer(no_args_is_help=True)


AllOrOne = Annotated[
    str | None, typer.Option("--organization", help="Those of one organization; default: of all.")
]


@app.command("list")
def list_(organization: AllOrOne = None) -> None:
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


@app.command("without-contact")
def list_without_contact(
    organization: AllOrOne = None,
    form: Annotated[
        str | None, typer.Option("--form", help="Those of one form; default: of all.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")
    ] = 100,
) -> None:
    """List submissions that have no contact, with row and reason, the latest first."""
    with connected() as (_, engine), engine.connect() as connection:
        number = None if organization is None else organization_number(connection, organization)
        found = without_contact(connection, number, form, most=limit)
    print_table(
        ["organization", "form", "row", "submitted", "gone since", "reason"],
        [
            [one.organization, one.form, one.position, one.submitted_at, one.missing_since,
             one.reason]
            for one in found
        ],
    )  # fmt: skip
