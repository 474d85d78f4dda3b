"""The page of forms whose answers stand in sheets."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from marketing_pipelines.api.pages.responses import SignedInReader, page
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.forms.standing import standing_of_forms, without_contact

MOST_WITHOUT_CONTACT = 100

router = APIRouter(include_in_schema=False)


@router.get(f"{PAGES}/forms")
def show_forms(site: Here, visit: SignedInReader) -> HTMLResponse:
    """Shows every form with its last reading, and the latest submissions without contact."""
    with site.engine.begin() as connection:
        found = standing_of_forms(connection)
        left = without_contact(connection, most=MOST_WITHOUT_CONTACT)
    return page(site, visit, "forms.html", forms=found, left=left)
