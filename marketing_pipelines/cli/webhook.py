"""`webhook`: endpoints that get events by HTTP, and the deliveries to them."""

import datetime as dt
from typing import Annotated

import typer

from marketing_pipelines.cli.instants import instant_of
from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.domains.webhooks import endpoints, replaying
from marketing_pipelines.domains.webhooks.tables import DELIVERY_STATES
from marketing_pipelines.failures import BadInputError

app = typer.Typer(no_args_is_help=True)
EndpointNumber = Annotated[
    int, typer.Argument(metavar="ENDPOINT", min=1, help="Its number, from `list`.")
]


@app.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://…; it gets a POST per event.")],
    organization: Annotated[
        str | None,
        typer.Option(help="External id, or number; default: the operator's own endpoint."),
    ] = None,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only types that fit it, such as 'deal.*'; repeatable."),
    ] = None,
) -> None:
    """Add an endpoint, and show its secret, this once."""
    from marketing_pipelines.domains import load_events

    load_events()
    patterns = type_ or []
    with connected() as (settings, engine), engine.begin() as connection:
        own = None if organization is None else organization_number(connection, organization)
        now = dt.datetime.now(dt.UTC)
        number, secret = endpoints.add(connection, settings, own, url, patterns, now)
    print(f"endpoint {number} is added; its secret is shown this once:\n{secret}")
    for note in endpoints.unknown_types(patterns):
        print(note)


@app.command("list")
def list_(
    organization: Annotated[
        str | None, typer.Option(help="Only of this one: external id, or number.")
    ] = None,
) -> None:
    """List endpoints with their state, what waits, and the latest error."""
    with connected() as (_, engine), engine.connect() as connection:
        own = None if organization is None else organization_number(connection, organization)
        found = endpoints.listed(connection, own)
    print_table(
        ["endpoint", "organization", "url", "types", "state", "waiting", "failed", "failures",
         "next", "last ok", "error"],
        [
            [one.id, one.organization, one.url, ", ".join(one.event_types), one.state, one.waiting,
             one.failed, one.failures, one.next_attempt_at, one.last_ok_at, one.error]
            for one in found
        ],
    )  # fmt: skip


@app.command()
def test(endpoint: EndpointNumber) -> None:
    """Send an event of type webhook.test now, and show the answer."""
    from marketing_pipelines.domains.webhooks.delivering import Delivering
    from marketing_pipelines.domains.webhooks.transport import WebhookTransport

    with connected() as (settings, engine):
        transport = WebhookTransport(settings.webhook_hosts)
        sending = Delivering(
            endpoint, engine.begin, settings, transport, lambda: dt.datetime.now(dt.UTC)
        )
        attempt = sending.test()
    if attempt.error is not None:
        raise BadInputError(f"Endpoint {endpoint} did not take the event: {attempt.error}")
    print(f"endpoint {endpoint} answers {attempt.status}")


@app.command()
def rotate(endpoint: EndpointNumber) -> None:
    """Make a new secret, and show it, this once; the old one signs, too, for 24 hours."""
    with connected() as (settings, engine), engine.begin() as connection:
        secret = endpoints.rotate(connection, settings, endpoint, dt.datetime.now(dt.UTC))
    print(f"endpoint {endpoint} has a new secret, which is shown this once:\n{secret}")


@app.command()
def disable(endpoint: EndpointNumber) -> None:
    """Stop an endpoint: its deliveries wait, and no new ones are written."""
    with connected() as (_, engine), engine.begin() as connection:
        endpoints.disable(connection, endpoint, dt.datetime.now(dt.UTC))
    print(f"endpoint {endpoint} is disabled")


@app.command()
def enable(endpoint: EndpointNumber) -> None:
    """Make an endpoint active, whatever its failures; its waiting deliveries are due at once."""
    with connected() as (_, engine), engine.begin() as connection:
        endpoints.enable(connection, endpoint, dt.datetime.now(dt.UTC))
    print(f"endpoint {endpoint} is active")


@app.command("deliveries")
def list_deliveries(
    endpoint: EndpointNumber,
    state: Annotated[str | None, typer.Option(help=f"Only {', '.join(DELIVERY_STATES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
) -> None:
    """List the deliveries to an endpoint, the newest first."""
    if state is not None and state not in DELIVERY_STATES:
        raise BadInputError(f"--state '{state}' is none of {', '.join(DELIVERY_STATES)}.")
    with connected() as (_, engine), engine.connect() as connection:
        endpoints.find(connection, endpoint)
        found = replaying.deliveries_of(connection, endpoint, state=state, limit=limit)
    print_table(
        ["delivery", "event", "type", "state", "attempts", "status", "published", "due", "ended",
         "response"],
        [
            [one.id, one.event_id, one.type, one.state, one.attempts, one.status, one.published_at,
             one.due_at if one.ended_at is None else None, one.ended_at, one.response]
            for one in found
        ],
    )  # fmt: skip


@app.command()
def replay(
    endpoint: EndpointNumber,
    since: Annotated[str, typer.Option(help="An instant with zone, of the last 30 days.")],
    all_: Annotated[bool, typer.Option("--all", help="Those that were delivered, too.")] = False,
) -> None:
    """Make the deliveries of events since an instant that are missing or failed."""
    now, start = dt.datetime.now(dt.UTC), instant_of("--since", since)
    with connected() as (_, engine), engine.begin() as connection:
        endpoints.find(connection, endpoint)
        made = replaying.replay(connection, endpoint, start, now, with_delivered=all_)
    print(f"endpoint {endpoint}: {made.missing} missing deliveries, {made.again} made again")
