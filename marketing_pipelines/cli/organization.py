"""`settings {show,set}`: what one organization sets for itself."""

from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.crm import organization_settings
from marketing_pipelines.domains.crm.names import organization_number

app = typer.Typer(no_args_is_help=True)
Organization = Annotated[str, typer.Option("--organization", help="External id, or number.")]


@app.command()
def show(organization: Organization) -> None:
    """Print every setting, with what it means and whether it is the default."""
    with connected() as (_, engine), engine.connect() as connection:
        found = organization_settings.settings_of(
            connection, organization_number(connection, organization)
        )
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
        number = organization_number(connection, organization)
        organization_settings.set_value(connection, number, key, value)
    print(f"{key} of organization {organization} is set.")
