"""The page of forms whose answers stand in sheets."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from marketing_pipelines.api.pages.responses import SignedInReader, page
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.forms.standing import standing_of_forms

router = APIRouter(include_in_schema=False)


@router.get(f"{PAGES}/forms")
def show_forms(site: Here, visit: SignedInReader) -> HTMLResponse:
    """Shows sheet, last reading, submissions and failing reason of every form."""
    with site.engine.begin() as connection:
        found = standing_of_forms(connection)
    return page(site, visit, "forms.html", forms=found)
