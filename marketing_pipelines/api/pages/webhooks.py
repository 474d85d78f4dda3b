"""The page of webhooks: endpoints with their state and counts."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from marketing_pipelines.api.pages.responses import SignedInReader, page
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.webhooks import endpoints

router = APIRouter(include_in_schema=False)
WEBHOOKS = f"{PAGES}/webhooks"


@router.get(WEBHOOKS)
def show_endpoints(site: Here, visit: SignedInReader) -> HTMLResponse:
    """Shows the endpoints of all organizations and of the operator."""
    with site.engine.begin() as connection:
        found = endpoints.listed(connection)
    return page(site, visit, "webhooks.html", endpoints=found)
