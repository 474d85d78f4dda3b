"""Addresses of scheduled actions, for applications."""

import datetime as dt
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, Field

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import Visit, require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.bodies import StorableBody
from marketing_pipelines.api.fields import ShortName, ZonedInstant
from marketing_pipelines.api.organizations import organization_of, own_organization
from marketing_pipelines.api.queues import MAX_ID
from marketing_pipelines.api.site import Here, Site
from marketing_pipelines.domains.actions import standing
from marketing_pipelines.domains.actions.scheduling import (
    Accepted,
    ActionKeyTakenError,
    ActionOrder,
    schedule,
)
from marketing_pipelines.domains.actions.standing import Action, ActionStateError
from marketing_pipelines.domains.segments.dates import length

router = APIRouter(prefix="/v1", tags=["applications"])


def _length(text: str) -> str:
    length(text)
    return text


class ActionBody(StorableBody):
    """Something to be done at an instant, or again and again."""

    organization: ShortName = Field(description="External id, or number")
    type: ShortName = Field(description="Routes name it", examples=["billing:check-renewals"])
    payload: dict[str, Any] = Field(default={}, description="Given to the tasks of its routes")
    run_at: ZonedInstant | None = Field(
        default=None,
        description="When it is due; up to 24 hours in the past: at once",
        examples=["2026-03-01T09:00:00Z"],
    )
    every: ShortName | None = Field(
        default=None,
        description="hourly, daily, weekly, or a cron of five fields",
        examples=["daily"],
    )
    zone: ShortName | None = Field(
        default=None, description="IANA zone of `every`; default: the organization's"
    )
    dedupe_key: ShortName | None = Field(
        default=None,
        description="An action with this key that is due within the window is this one",
    )
    dedupe_window: Annotated[str, AfterValidator(_length)] | None = Field(
        default=None,
        description="Default: an hour, with a key; without a key, the payload is compared",
        examples=["1h"],
    )
    until: ZonedInstant | None = Field(default=None, description="`every` ends before this instant")
    catch_up: Literal["once", "skip"] = Field(
        default="once", description="Missed times: one run for all of them, or none"
    )


_ACCEPTED = models.of_dataclass(Accepted)
_ACTION = models.of_dataclass(Action)
_Writer = Annotated[Visit, require("write", in_organization=True)]
_Number = Annotated[int, Path(ge=1, le=MAX_ID)]
_CHANGED: dict[str, Any] = {
    "response_model": _ACTION,
    "responses": refusals(400, 401, 403, 404, 408, 409, 413, 422, 503),
}


@router.post(
    "/actions",
    status_code=202,
    response_model=_ACCEPTED,
    responses={
        200: {"model": _ACCEPTED, "description": "An earlier action is this one"},
        **refusals(400, 401, 403, 404, 408, 409, 413, 422, 503),
    },
)
def schedule_action(site: Here, visit: _Writer, body: ActionBody, response: Response) -> Accepted:
    """Schedules an action, once or again and again."""
    with site.engine.begin() as connection:
        order = ActionOrder(
            organization_of(connection, visit, body.organization),
            body.type,
            body.payload,
            run_at=_instant(body.run_at),
            every=body.every,
            zone=body.zone,
            dedupe_key=body.dedupe_key,
            dedupe_window=None if body.dedupe_window is None else length(body.dedupe_window),
            until=_instant(body.until),
            catch_up=body.catch_up,
        )
        try:
            accepted, is_new = schedule(
                connection, order, now=site.now(), reporting_zone=site.settings.zone
            )
        except ActionKeyTakenError as error:
            raise Refusal(409, str(error)) from None
    if not is_new:
        response.status_code = 200
    return accepted


@router.get(
    "/actions/{number}",
    response_model=_ACTION,
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def show_action(site: Here, visit: _Writer, number: _Number) -> Action:
    """An action, and the latest times that routes took it."""
    with site.engine.begin() as connection:
        return _found(connection, visit, number)


@router.delete("/actions/{number}", **_CHANGED)
def cancel_action(site: Here, visit: _Writer, number: _Number) -> Action:
    """Cancels an action; repeating it changes nothing."""
    return _changed(site, visit, number, "cancel")


@router.post("/actions/{number}/{change}", **_CHANGED)
def change_action(
    site: Here, visit: _Writer, number: _Number, change: Literal["pause", "resume", "run"]
) -> Action:
    """Pauses or resumes an action, or makes it due now."""
    return _changed(site, visit, number, change)


def _changed(site: Site, visit: Visit, number: int, change: standing.Change) -> Action:
    with site.engine.begin() as connection:
        _found(connection, visit, number)
        try:
            standing.change(connection, number, change, site.now())
        except ActionStateError as error:
            raise Refusal(409, str(error)) from None
        return _found(connection, visit, number)


def _found(connection: sa.Connection, visit: Visit, number: int) -> Action:
    found = standing.find(connection, number, own_organization(visit))
    if found is None:
        raise Refusal(404, f"There is no action {number} that this token may see.")
    organization_of(connection, visit, found.organization)
    return found


def _instant(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text).astimezone(dt.UTC)
