"""Addresses of webhook endpoints and their deliveries, for admins."""

import datetime as dt
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query
from pydantic import Field

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import Visit, require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.bodies import StorableBody
from marketing_pipelines.api.fields import ShortName, ZonedInstant
from marketing_pipelines.api.organizations import organization_of, own_organization
from marketing_pipelines.api.queues import MAX_ID
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains import load_events
from marketing_pipelines.domains.webhooks import endpoints, replaying
from marketing_pipelines.domains.webhooks.addresses import MAX_URL
from marketing_pipelines.domains.webhooks.endpoints import MAX_PATTERNS, Endpoint, EndpointSecret
from marketing_pipelines.domains.webhooks.replaying import (
    MAX_LISTED,
    DisabledEndpointError,
    EndpointDelivery,
    ReplayedDeliveries,
)
from marketing_pipelines.domains.webhooks.standing import UnknownEndpointError
from marketing_pipelines.domains.webhooks.tables import DELIVERY_STATES

router = APIRouter(prefix="/v1/webhooks", tags=["applications"])


class EndpointBody(StorableBody):
    """A URL that gets the events of an organization."""

    url: str = Field(max_length=MAX_URL, examples=["https://example.org/hooks"])
    organization: ShortName | None = Field(
        default=None,
        description="External id, or number; without one it is the operator's endpoint",
    )
    event_types: list[ShortName] = Field(
        default=[],
        max_length=MAX_PATTERNS,
        description="Patterns of types; none: all types",
        examples=[["deal.*"]],
    )


class ReplayBody(StorableBody):
    """Deliveries to be made again."""

    since: ZonedInstant = Field(
        description="Events published from then on; at most 30 days ago",
        examples=["2026-03-01T09:00:00Z"],
    )
    all: bool = Field(default=False, description="True: those that were delivered, too")


_ENDPOINT = models.of_dataclass(Endpoint)
_SECRET = models.of_dataclass(EndpointSecret)
_DELIVERY = models.of_dataclass(EndpointDelivery)
_REPLAYED = models.of_dataclass(ReplayedDeliveries)
_Admin = Annotated[Visit, require("admin", in_organization=True)]
_Number = Annotated[int, Path(ge=1, le=MAX_ID)]
_CHANGE = refusals(400, 401, 403, 404, 408, 409, 413, 422, 503)
_LOOK = refusals(400, 401, 403, 404, 413, 422, 503)


@router.post("/endpoints", status_code=201, response_model=_SECRET, responses=_CHANGE)
def add_endpoint(site: Here, visit: _Admin, body: EndpointBody) -> EndpointSecret:
    """Adds an endpoint, and shows its secret, this once."""
    load_events()
    with site.engine.begin() as connection:
        own = own_organization(visit)
        if body.organization is not None:
            own = organization_of(connection, visit, body.organization)
        number, secret = endpoints.add(
            connection, site.settings, own, body.url, body.event_types, site.now()
        )
    return EndpointSecret(number, secret, endpoints.unknown_types(body.event_types))


@router.get("/endpoints", response_model=list[_ENDPOINT], responses=_LOOK)  # type: ignore[valid-type]
def list_endpoints(
    site: Here,
    visit: _Admin,
    organization: Annotated[
        ShortName | None, Query(description="External id, or number; default: all")
    ] = None,
) -> Any:
    """The endpoints that the token may see, by number."""
    with site.engine.begin() as connection:
        own = own_organization(visit)
        if organization is not None:
            own = organization_of(connection, visit, organization)
        return endpoints.listed(connection, own)


@router.get("/endpoints/{number}", response_model=_ENDPOINT, responses=_LOOK)
def show_endpoint(site: Here, visit: _Admin, number: _Number) -> Endpoint:
    """An endpoint with its state, what waits, and the latest error."""
    with site.engine.begin() as connection:
        return _found(connection, visit, number)


@router.post("/endpoints/{number}/rotate", response_model=_SECRET, responses=_CHANGE)
def rotate_secret(site: Here, visit: _Admin, number: _Number) -> EndpointSecret:
    """Makes a new secret, and shows it, this once; the old one signs, too, for 24 hours."""
    with site.engine.begin() as connection:
        _found(connection, visit, number)
        secret = endpoints.rotate(connection, site.settings, number, site.now())
    return EndpointSecret(number, secret, [])


@router.post("/endpoints/{number}/replay", response_model=_REPLAYED, responses=_CHANGE)
def replay_deliveries(
    site: Here, visit: _Admin, number: _Number, body: ReplayBody
) -> ReplayedDeliveries:
    """Makes the deliveries of events since an instant that are missing or failed."""
    since = dt.datetime.fromisoformat(body.since).astimezone(dt.UTC)
    with site.engine.begin() as connection:
        _found(connection, visit, number)
        try:
            return replaying.replay(connection, number, since, site.now(), with_delivered=body.all)
        except DisabledEndpointError as error:
            raise Refusal(409, str(error)) from None


@router.get(
    "/endpoints/{number}/deliveries",
    response_model=list[_DELIVERY],  # type: ignore[valid-type]
    responses=_LOOK,
)
def list_deliveries(
    site: Here,
    visit: _Admin,
    number: _Number,
    state: Annotated[Literal[DELIVERY_STATES] | None, Query()] = None,  # type: ignore[valid-type]
    before: Annotated[
        int | None, Query(ge=1, le=MAX_ID, description="Only smaller delivery numbers")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = MAX_LISTED,
) -> Any:
    """The deliveries to an endpoint, the newest first."""
    with site.engine.begin() as connection:
        _found(connection, visit, number)
        return replaying.deliveries_of(connection, number, state=state, before=before, limit=limit)


@router.post("/endpoints/{number}/{change}", response_model=_ENDPOINT, responses=_CHANGE)
def change_endpoint(
    site: Here, visit: _Admin, number: _Number, change: Literal["disable", "enable"]
) -> Endpoint:
    """Stops an endpoint, or makes it active, whatever its failures."""
    with site.engine.begin() as connection:
        _found(connection, visit, number)
        if change == "disable":
            endpoints.disable(connection, number, site.now())
        else:
            endpoints.enable(connection, number, site.now())
        return _found(connection, visit, number)


def _found(connection: sa.Connection, visit: Visit, number: int) -> Endpoint:
    try:
        found = endpoints.find(connection, number, own_organization(visit))
    except UnknownEndpointError:
        raise Refusal(404, f"There is no endpoint {number} that this token may see.") from None
    if found.organization is not None:
        organization_of(connection, visit, found.organization)
    return found
