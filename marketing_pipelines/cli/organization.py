"""`settings {show,set}`: what one organization sets for itself."""

from typing import Annotated

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.crm import organization_settings
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.failures import BadInputError

app = typer.Typer(no_args_is_help=True)
Organization = Annotated[str, typer.Option("--organization", help="External id, or number.")]


@app.command()
def show(organization: Organization) -> None:
    """Print every setting, with what it means and whether it is the default."""
    with connected() as (_, engine), engine.connect() as connection:
        found = organization_settings.settings_of(connection, number_of(connection, organization))
    defaults = organization_settings.flat(organization_settings.OrganizationSettings())
    meaning = organization_settings.described()
    rows = [
        [key, value, "default" if value == defaults[key] else "set", meaning[key]]
        for key, value in organization_settings.flat(found).items()
    ]
    print_table(["setting", "value", "from", "meaning"], rows)


@app.command("set")
def set_(key: str, value: str, organization: Organization) -> None:
    """Set one, e.g. `intent.decay_rate 3`; `null` takes the default again."""
    with connected() as (_, engine), engine.begin() as connection:
        number = number_of(connection, organization)
        organization_settings.set_value(connection, number, key, value)
    print(f"{key} of organization {organization} is set.")


def number_of(connection: sa.Connection, organization: str) -> int:
    """The number of the organization with this external id or, if there is none, this number.

    Raises:
        BadInputError: there is neither.
    """
    rows = connection.execute(
        sa.select(organizations.c.id, organizations.c.external_id).where(
            (organizations.c.external_id == organization)
            | (sa.cast(organizations.c.id, sa.Text) == organization)
        )
    ).all()
    for row in sorted(rows, key=lambda row: row.external_id != organization):
        return int(row.id)
    raise BadInputError(
        f"There is no organization '{organization}': give its external id or its number."
    )
