"""The pages of scheduled actions: their times, the routes that took them, and buttons."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from marketing_pipelines.api.admission import refuse_without
from marketing_pipelines.api.answers import Refusal
from marketing_pipelines.api.jobs import MAX_NAME_LENGTH
from marketing_pipelines.api.pages.forms import Fields, refuse_foreign_form
from marketing_pipelines.api.pages.responses import Anyone, SignedInReader, back, page
from marketing_pipelines.api.queues import Before, Number
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.actions import standing
from marketing_pipelines.domains.actions.tables import STATES

router = APIRouter(include_in_schema=False)
ACTIONS = f"{PAGES}/actions"
ACTIONS_OF_A_PAGE = 100
DONE: Mapping[standing.Change, str] = {
    "pause": "is paused",
    "resume": "goes on",
    "run": "is due now",
    "cancel": "is cancelled",
}


@router.get(ACTIONS)
def show_actions(
    site: Here,
    visit: SignedInReader,
    state: Annotated[str, Query(max_length=MAX_NAME_LENGTH)] = "",
    type_: Annotated[str, Query(alias="type", max_length=MAX_NAME_LENGTH)] = "",
    before: Before = None,
) -> HTMLResponse:
    """Shows the actions of all organizations, newest first."""
    with site.engine.begin() as connection:
        found = standing.listed(
            connection,
            None,
            state=state or None,
            type_=type_ or None,
            before=before,
            limit=ACTIONS_OF_A_PAGE,
        )
    return page(
        site,
        visit,
        "actions.html",
        actions=found,
        chosen={"state": state, "type": type_},
        states=STATES,
        has_more=len(found) == ACTIONS_OF_A_PAGE,
    )


@router.get(f"{ACTIONS}/{{number}}")
def show_action(
    site: Here,
    visit: SignedInReader,
    number: Number,
    said: Annotated[str, Query(max_length=500)] = "",
) -> HTMLResponse:
    """Shows one action and the latest due times that routes took."""
    with site.engine.begin() as connection:
        found = standing.find(connection, number)
    if found is None:
        raise Refusal(404, f"There is no action {number}.")
    return page(site, visit, "action.html", action=found, said=said)


@router.post(f"{ACTIONS}/{{number}}/{{change}}")
def change_action(
    request: Request,
    site: Here,
    visit: Anyone,
    fields: Fields,
    number: Number,
    change: standing.Change,
) -> Response:
    """Pauses, resumes, runs or cancels an action."""
    refuse_foreign_form(request, site, visit, fields)
    refuse_without(visit.token, "write")
    try:
        with site.engine.begin() as connection:
            if standing.find(connection, number) is None:
                raise Refusal(404, f"There is no action {number}.")
            standing.change(connection, number, change, site.now())
            said = f"Action {number} {DONE[change]}."
    except standing.ActionStateError as error:
        said = str(error)
    return back(f"{ACTIONS}/{number}", said)
