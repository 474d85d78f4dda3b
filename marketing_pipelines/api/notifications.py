"""Addresses of notifications, for applications: list those of users, and mark one as read."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import Visit, require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.fields import MAX_NAME_LENGTH
from marketing_pipelines.api.organizations import organization_of, own_organization
from marketing_pipelines.api.queues import MAX_ID
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.crm.names import find_user
from marketing_pipelines.domains.crm.notifications import reading
from marketing_pipelines.domains.crm.notifications.reading import Notification

router = APIRouter(prefix="/v1", tags=["applications"])
_Name = Annotated[str, Query(min_length=1, max_length=MAX_NAME_LENGTH)]


@router.get(
    "/notifications",
    response_model=list[models.of_dataclass(Notification)],  # type: ignore[misc]
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def list_notifications(
    site: Here,
    visit: Annotated[Visit, require("write", in_organization=True)],
    organization: _Name,
    user: Annotated[
        str | None,
        Query(min_length=1, max_length=MAX_NAME_LENGTH, description="External id; default: all"),
    ] = None,
    unread: Annotated[
        bool | None, Query(description="true: unread ones, false: read ones; default: both")
    ] = None,
    before: Annotated[
        int | None,
        Query(ge=1, le=MAX_ID, description="Smallest id of the page before this one"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
) -> list[Notification]:
    """The latest notifications of an organization's users, newest first."""
    with site.engine.begin() as connection:
        organization_id = organization_of(connection, visit, organization)
        user_id = None if user is None else find_user(connection, organization_id, user)
        if user is not None and user_id is None:
            raise Refusal(404, f"There is no user '{user}'.")
        return reading.list_notifications(
            connection,
            organization_id,
            user_id=user_id,
            unread=unread,
            before=before,
            limit=limit,
        )


@router.post(
    "/notifications/{number}/read",
    response_model=models.of_dataclass(Notification),
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def mark_read(
    site: Here,
    visit: Annotated[Visit, require("write", in_organization=True)],
    number: Annotated[int, Path(ge=1, le=MAX_ID)],
) -> Notification:
    """Marks a notification as read; repeating it changes nothing."""
    with site.engine.begin() as connection:
        found = reading.mark_read(connection, number, own_organization(visit), now=site.now())
        if found is None:
            raise Refusal(404, f"There is no notification {number} that this token may see.")
        organization_of(connection, visit, found.organization)
        return found
