"""The page of exports: what is asked for, how far it is, and the button that cancels it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, Response

from marketing_pipelines.api.admission import refuse_without
from marketing_pipelines.api.pages.forms import Fields, refuse_foreign_form
from marketing_pipelines.api.pages.responses import Anyone, SignedInReader, back, page
from marketing_pipelines.api.queues import MAX_ID
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.exports.notifying import size_text
from marketing_pipelines.domains.exports.reading import MAX_LISTED, listed
from marketing_pipelines.domains.exports.requesting import cancel_export

router = APIRouter(include_in_schema=False)
EXPORTS = f"{PAGES}/exports"


@router.get(EXPORTS)
def show_exports(
    site: Here,
    visit: SignedInReader,
    said: Annotated[str, Query(max_length=500)] = "",
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> HTMLResponse:
    """Shows state, progress and size of the latest exports."""
    with site.engine.begin() as connection:
        found = listed(connection, site.now(), before=before)
    return page(
        site,
        visit,
        "exports.html",
        exports=found,
        size_text=size_text,
        older=found[-1].id if len(found) == MAX_LISTED else None,
        said=said,
    )


@router.post(f"{EXPORTS}/{{number}}/cancel")
def cancel(
    request: Request,
    site: Here,
    visit: Anyone,
    fields: Fields,
    number: Annotated[int, Path(ge=1, le=MAX_ID)],
) -> Response:
    """Cancels an export that has not ended."""
    refuse_without(visit.token, "write")
    refuse_foreign_form(request, site, visit, fields)
    with site.engine.begin() as connection:
        cancelled = cancel_export(connection, number, now=site.now())
    said = f"Export {number} is cancelled." if cancelled else f"Export {number} has ended already."
    return back(EXPORTS, said)
