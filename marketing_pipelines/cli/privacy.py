"""`privacy`: erases persons, and shows what an erasure would remove."""

import datetime as dt
import uuid
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm.names import find_contact, organization_number
from marketing_pipelines.failures import (
    BadInputError,
    ConfigurationError,
    WrongUsageError,
)
from marketing_pipelines.stores import persons
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.persons import Identity

app = typer.Typer(no_args_is_help=True)


@app.command()
def erase(
    organization: OrganizationOption,
    contact: Annotated[
        str | None, typer.Option("--contact", help="External id of a contact, or its number.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Every contact with this e-mail address, phone or token."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the counts and erase nothing.")
    ] = False,
) -> None:
    """Erase a person: rows and files now, events in the next run of upkeep/erasures."""
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines.domains.upkeep.erasing import erasing, proof, rows

    load_tables()
    if (contact is None) == (address is None):
        raise WrongUsageError("Give --contact or --address, one of the two.")
    with connected() as (settings, engine):
        with engine.connect() as connection:
            person = _person(connection, organization, contact, address)
            found = rows.count_rows(connection, person)
        if dry_run:
            number = len(person.contact_ids)
            print(
                f"{number:,} contact{'' if number == 1 else 's'} would be erased, with these rows:"
            )
            for line in proof.treated({name: [number] for name, number in found.items()}):
                print(line)
            return
        now = dt.datetime.now(dt.UTC)
        try:
            erasure_id = erasing.begin(engine, settings, person, now=now)
        except ConfigurationError as error:
            raise ConfigurationError(f"Nothing was erased: {error}") from error
        try:
            problems = erasing.work(engine, settings, erasure_id, now=now)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"The erasure {erasure_id} goes on at the next run of upkeep/erasures: {error}"
            ) from error
        for line in erasing.proof_of(engine, erasure_id):
            print(line)
    if problems:
        raise typer.Exit(1)


@app.command("proof")
def print_proof(
    erasure: Annotated[
        uuid.UUID | None, typer.Argument(help="Its id, from the list; none: list the erasures.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
) -> None:
    """Print the proof of an erasure as it stands now, or list the erasures, newest first."""
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines.domains.upkeep.erasing import erasing

    load_tables()
    with connected() as (_, engine):
        if erasure is not None:
            for line in erasing.proof_of(engine, erasure):
                print(line)
            return
        with engine.connect() as connection:
            found = erasing.listed(connection, limit)
    print_table(
        ["erasure", "organization", "contacts", "requested", "rows erased", "events erased"],
        [list(row) for row in found],
    )


@app.command()
def export(
    organization: OrganizationOption,
    contact: Annotated[
        str, typer.Option("--contact", help="External id of a contact, or its number.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", help="The zip; default: contact-NUMBER.zip here.")
    ] = None,
) -> None:
    """Write all that an erasure would remove of a contact: a zip of its rows and raw mails."""
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines.domains.exports.person import PersonRows
    from marketing_pipelines.domains.upkeep.personal_data import write_zip

    load_tables()
    with connected() as (settings, engine), engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("set transaction isolation level repeatable read")
        organization_id, contact_id = find_contact(connection, contact, organization)
        path = output or Path(f"contact-{contact_id}.zip")
        store = FileStore(settings.effective_files_url)
        counts = write_zip(connection, PersonRows(organization_id, contact_id), store, path)
    print(f"{path}: {sum(counts.values()):,} rows of {len(counts)} tables.")


def _person(
    connection: sa.Connection, organization: str, contact: str | None, address: str | None
) -> Identity:
    if contact is not None:
        organization_id, contact_id = find_contact(connection, contact, organization)
        return persons.identity_of(connection, organization_id, [contact_id])
    organization_id = organization_number(connection, organization)
    found = persons.find_address(connection, organization_id, address or "")
    if found is None:
        raise BadInputError(
            f"No contact of {organization} has this address: give an e-mail address, a phone "
            "number or a push token, or a contact with --contact."
        )
    return found
