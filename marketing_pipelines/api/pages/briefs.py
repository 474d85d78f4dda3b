"""The page of briefs of meetings."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from marketing_pipelines.api.pages.responses import SignedInReader, page
from marketing_pipelines.api.queues import MAX_ID
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.sales.briefs.reading import latest_briefs

router = APIRouter(include_in_schema=False)


@router.get(f"{PAGES}/briefs")
def show_briefs(
    site: Here,
    visit: SignedInReader,
    meeting: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> HTMLResponse:
    """Shows the latest briefs, each statement with the rows that it comes from.

    Args:
        meeting: Number of a meeting, as notifications of briefs link to it; None: of all meetings.
    """
    with site.engine.begin() as connection:
        found = latest_briefs(connection, meeting)
    return page(site, visit, "briefs.html", briefs=found)
