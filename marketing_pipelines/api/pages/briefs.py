"""The page of briefs of meetings."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from marketing_pipelines.api.pages.responses import SignedInReader, page
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.sales.briefs.reading import latest_briefs

router = APIRouter(include_in_schema=False)


@router.get(f"{PAGES}/briefs")
def show_briefs(site: Here, visit: SignedInReader) -> HTMLResponse:
    """Shows the latest briefs, each statement with the rows that it comes from."""
    with site.engine.begin() as connection:
        found = latest_briefs(connection)
    return page(site, visit, "briefs.html", briefs=found)
