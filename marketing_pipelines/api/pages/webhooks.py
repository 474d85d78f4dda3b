"""The pages of webhooks: endpoints with their state, and the deliveries of one with its buttons."""

from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from marketing_pipelines.api.admission import Visit, refuse_without
from marketing_pipelines.api.answers import Refusal
from marketing_pipelines.api.jobs import MAX_NAME_LENGTH
from marketing_pipelines.api.pages.forms import Fields, refuse_foreign_form
from marketing_pipelines.api.pages.responses import Anyone, SignedInReader, back, page
from marketing_pipelines.api.queues import Before, Number
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.webhooks import endpoints
from marketing_pipelines.domains.webhooks.endpoints import MAX_COUNTED, Endpoint
from marketing_pipelines.domains.webhooks.replaying import MAX_LISTED, deliveries_of
from marketing_pipelines.domains.webhooks.standing import UnknownEndpointError
from marketing_pipelines.domains.webhooks.tables import DELIVERY_STATES

router = APIRouter(include_in_schema=False)
WEBHOOKS = f"{PAGES}/webhooks"


@router.get(WEBHOOKS)
def show_endpoints(site: Here, visit: SignedInReader) -> HTMLResponse:
    """Shows the endpoints of all organizations and of the operator."""
    with site.engine.begin() as connection:
        found = endpoints.listed(connection)
    shown = [_shown(visit, one) for one in found]
    return page(site, visit, "webhooks.html", endpoints=shown, most=MAX_COUNTED)


@router.get(f"{WEBHOOKS}/{{number}}")
def show_endpoint(
    site: Here,
    visit: SignedInReader,
    number: Number,
    state: Annotated[str, Query(max_length=MAX_NAME_LENGTH)] = "",
    before: Before = None,
    said: Annotated[str, Query(max_length=500)] = "",
) -> HTMLResponse:
    """Shows an endpoint and its deliveries, newest first; answers are for admins."""
    try:
        with site.engine.begin() as connection:
            endpoint = endpoints.find(connection, number)
            found = deliveries_of(connection, number, state=state or None, before=before)
    except UnknownEndpointError as error:
        raise Refusal(404, str(error)) from error
    return page(
        site,
        visit,
        "webhook.html",
        endpoint=_shown(visit, endpoint),
        deliveries=found,
        state=state,
        states=DELIVERY_STATES,
        has_more=len(found) == MAX_LISTED,
        said=said,
    )


def _shown(visit: Visit, endpoint: Endpoint) -> Endpoint:
    """An endpoint with the host of its URL alone unless an admin looks: the rest may be secret."""
    if visit.token is not None and visit.token.allows("admin"):
        return endpoint
    return replace(endpoint, url=urlsplit(endpoint.url).hostname or "")


@router.post(f"{WEBHOOKS}/{{number}}/{{change}}")
def change_endpoint(
    request: Request,
    site: Here,
    visit: Anyone,
    fields: Fields,
    number: Number,
    change: Literal["enable", "disable"],
) -> Response:
    """Enables or disables an endpoint."""
    refuse_foreign_form(request, site, visit, fields)
    refuse_without(visit.token, "admin")
    done = endpoints.enable if change == "enable" else endpoints.disable
    try:
        with site.engine.begin() as connection:
            done(connection, number, site.now())
    except UnknownEndpointError as error:
        raise Refusal(404, str(error)) from error
    return back(f"{WEBHOOKS}/{number}", f"Endpoint {number} is {change}d.")
