"""`connection`: the connections of organizations to other systems."""

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.domains.integrations import connections, standing
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.providers import provider_of
from marketing_pipelines.domains.webhooks import endpoints
from marketing_pipelines.failures import BadInputError, ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import ledger

app = typer.Typer(no_args_is_help=True)
MAX_BYTES = 1 << 20

ProviderArgument = Annotated[
    str,
    typer.Argument(metavar="PROVIDER", help=f"{connections.known_providers()}."),
]
AnyProvider = Annotated[
    str | None, typer.Argument(metavar="PROVIDER", help="Those of one provider; default: of all.")
]
AnyOrganization = Annotated[
    str | None,
    typer.Option("--organization", help="Those of one organization; default: of all."),
]
IdOption = Annotated[
    str | None,
    typer.Option(
        "--id",
        help="Which one, where there are several, the domain of smtp or address of imap.",
    ),
]


@app.command("set")
def set_(
    provider: ProviderArgument,
    organization: OrganizationOption,
    file: Annotated[
        Path | None, typer.Option(help="JSON object of its fields; default: standard input.")
    ] = None,
) -> None:
    """Make a connection, or change the fields that are given.

    Keys and passwords come from the file or from standard input, never from arguments.
    """
    chosen = provider_of(provider)
    given = _fields(file)
    with connected() as (settings, engine), engine.begin() as connection:
        number = organization_number(connection, organization)
        now = dt.datetime.now(dt.UTC)
        found = connections.set_connection(connection, settings, number, chosen, given, now)
    print(f"The connection {found.name} is set.")


@app.command("list")
def list_(provider: AnyProvider = None, organization: AnyOrganization = None) -> None:
    """List connections with their state, last success, next try, backlog and error.

    Those that wait for a person come first. Tokens are synchronized by refreshing them.
    """
    with connected() as (_, engine), engine.connect() as connection:
        chosen = _chosen(connection, provider, organization)
        rows = standing.standing_of(connection, [one.id for one in chosen])
    print_table(
        ["organization", "provider", "id", "state", "synchronizes", "last ok", "up to", "next",
         "backlog", "token ends", "grant ends", "owner", "used by", "error"],
        [
            [row.organization, row.provider, row.external_id, row.state, row.what, row.last_ok_at,
             row.last_tick, row.next_at, row.backlog, row.expires_at, row.refresh_expires_at,
             row.owner, row.used_by, row.error]
            for row in rows
        ],
    )  # fmt: skip


@app.command("test")
def call_once(
    provider: ProviderArgument, organization: OrganizationOption, which: IdOption = None
) -> None:
    """Call the other system once, changing nothing; a success ends state `reconnect`.

    The test of `oauth` refreshes the grant.
    """
    from marketing_pipelines.cli.connection_checks import check

    with connected() as (settings, engine):
        with engine.begin() as connection:
            found = _found(connection, provider, organization, which)
        answer = check(settings, found)
        with engine.begin() as connection:
            if found.state == "reconnect":
                connections.retry(connection, found, dt.datetime.now(dt.UTC))
    print(f"The connection {found.name} works: {answer}.")


@app.command()
def retry(
    provider: ProviderArgument, organization: OrganizationOption, which: IdOption = None
) -> None:
    """Try a connection again at the next tick, in any state."""
    with connected() as (_, engine), engine.begin() as connection:
        found = _found(connection, provider, organization, which)
        connections.retry(connection, found, dt.datetime.now(dt.UTC))
    print(f"The connection {found.name} is tried again at the next tick.")


@app.command()
def rotate(provider: AnyProvider = None, organization: AnyOrganization = None) -> None:
    """Encrypt the secrets with the present MARKETING_SECRET_KEY."""
    rotated, unreadable = 0, []
    with connected() as (settings, engine):
        with engine.begin() as connection:
            chosen = _chosen(connection, provider, organization)
        for found in chosen:
            # A grant that is being refreshed holds up no other.
            try:
                with engine.begin() as connection:
                    rotated += connections.rotate(connection, settings, found)
            except ConfigurationError as error:
                unreadable.append(str(error))
        unreadable += _rotate_endpoints(engine, settings) + _rotate_erasures(engine, settings)
    print(f"{rotated} of {len(chosen)} connections had secrets of a former key.")
    if unreadable:
        raise ConfigurationError(" ".join(unreadable))


@app.command()
def remove(
    provider: ProviderArgument, organization: OrganizationOption, which: IdOption = None
) -> None:
    """Remove a connection with its secrets; rows that it brought stay."""
    with connected() as (_, engine), engine.begin() as connection:
        found = _found(connection, provider, organization, which)
        connections.remove(connection, found)
    print(f"The connection {found.name} is removed.")


def _rotate_endpoints(engine: sa.Engine, settings: Settings) -> list[str]:
    """Encrypts the secrets of webhook endpoints; returns sentences about the unreadable ones."""
    with engine.begin() as connection:
        number, unreadable = endpoints.encrypt_again(connection, settings)
    if number:
        print(f"{number} webhook endpoints had secrets of a former key.")
    return unreadable


def _rotate_erasures(engine: sa.Engine, settings: Settings) -> list[str]:
    """Encrypts the key of the ledger, its copies in files, and names; returns the unreadable ones.

    The ledger's key comes first: files that are written from then on have it.
    """
    from marketing_pipelines.domains.upkeep.erasing import records

    unreadable = []
    for what, encrypt_again in (
        ("The key of the ledger of erasures", ledger.encrypt_again),
        ("The names of {} erasures that go on", records.encrypt_again),
    ):
        try:
            with engine.begin() as connection:
                if number := encrypt_again(connection, settings):
                    print(f"{what.format(number)} had a former key.")
        except ConfigurationError as error:
            unreadable.append(str(error))
    files, problems = records.encrypt_files_again(settings)
    if files:
        print(f"{files} files of erasures had a former key.")
    return [*unreadable, *problems]


def _found(
    connection: sa.Connection, provider: str, organization: str, which: str | None
) -> Connection:
    chosen = provider_of(provider)
    number = organization_number(connection, organization)
    return connections.named(connection, number, chosen, which)


def _chosen(
    connection: sa.Connection, provider: str | None, organization: str | None
) -> list[Connection]:
    number = None if organization is None else organization_number(connection, organization)
    chosen = None if provider is None else provider_of(provider)
    return list(connections.all_of(connection, chosen, number))


def _fields(file: Path | None) -> dict[str, Any]:
    """The JSON object of a file or of standard input; no error repeats its text."""
    source = "standard input" if file is None else f"'{file}'"
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if file is None else file.read_bytes()
    except OSError as error:
        raise BadInputError(f"{source} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise BadInputError(f"{source} is larger than {MAX_BYTES:,} bytes: it holds no fields.")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInputError(f"{source} holds no JSON object with the fields of a connection.")
    return found
