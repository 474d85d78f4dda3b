"""`contact`: facts about the contacts of an organization as a whole."""

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm.duplicates import duplicates

app = typer.Typer(no_args_is_help=True)


@app.callback()
def contact() -> None:
    """Keeps `duplicates` a command of its own while there is no other."""


@app.command("duplicates")
def list_duplicates(organization: OrganizationOption) -> None:
    """List the addresses that several contacts of an organization have.

    They are not merged: consent and suppressions hold by address, and one address gets one message
    of a step.
    """
    with connected() as (_, engine), engine.connect() as connection:
        rows = [
            [found.address, found.channel, len(found.contacts), ", ".join(found.contacts)]
            for found in duplicates(connection, organization)
        ]
    if not rows:
        print("No two contacts have one address.")
        return
    print_table(["address", "channel", "contacts", "external ids"], rows)
