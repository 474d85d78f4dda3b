"""`token`: access to the API."""

from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.failures import WrongUsageError

app = typer.Typer(no_args_is_help=True)


@app.command()
def create(
    scope: Annotated[
        list[str],
        typer.Option(help="read, write, trigger, or admin for all of them; may be repeated."),
    ],
    name: Annotated[str, typer.Option(help="Its user or purpose, for lists and the audit log.")] = (
        "operator"
    ),
    organization: Annotated[
        str | None,
        typer.Option(help="The one organization that it is good for: external id, or number."),
    ] = None,
) -> None:
    """Make a token. It is printed once, alone on the last line, and stored nowhere."""
    from marketing_pipelines.api import tokens
    from marketing_pipelines.domains.crm.names import organization_number

    unknown = sorted(set(scope).difference(tokens.SCOPES))
    if unknown:
        known = ", ".join(tokens.SCOPES)
        raise typer.BadParameter(f"'{unknown[0]}' is not one of {known}.", param_hint="--scope")
    scopes = [s for s in tokens.SCOPES if s in scope]
    if organization is not None and not {"read", "write"}.issuperset(scopes):
        raise WrongUsageError(
            "A token of one organization opens only /v1: its scopes are read, write or both."
        )
    with connected() as (_, engine), engine.begin() as connection:
        number = None if organization is None else organization_number(connection, organization)
        print(tokens.create(connection, name, scopes, number))


@app.command("list")
def list_() -> None:
    """List every token, without its secret."""
    from marketing_pipelines.api.tokens import all_tokens

    with connected() as (_, engine), engine.begin() as connection:
        rows = [
            [t.id, t.name, ", ".join(t.scopes), t.organization, t.created_at, t.revoked_at]
            for t in all_tokens(connection)
        ]
    print_table(["token", "name", "scopes", "organization", "made", "revoked"], rows)


@app.command()
def revoke(number: Annotated[int, typer.Argument(min=1, help="Its number, from `list`.")]) -> None:
    """Refuse a token from now on."""
    from marketing_pipelines.api import tokens

    with connected() as (_, engine), engine.begin() as connection:
        tokens.revoke(connection, number)
    print(f"token {number} is revoked")
