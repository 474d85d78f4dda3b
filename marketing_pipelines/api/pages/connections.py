"""The page of connections to other systems, and how far each is synchronized."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from marketing_pipelines.api.pages.responses import SignedInReader, page
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.integrations.standing import standing_of

router = APIRouter(include_in_schema=False)


@router.get(f"{PAGES}/connections")
def show_connections(site: Here, visit: SignedInReader) -> HTMLResponse:
    """Shows state, last success, next try, ends, backlog and error of every connection."""
    with site.engine.begin() as connection:
        found = standing_of(connection)
    return page(site, visit, "connections.html", connections=found)
