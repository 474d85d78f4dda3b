"""The address at which applications close tasks of users."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import Visit, require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.bodies import Body
from marketing_pipelines.api.organizations import organization_of, own_organization
from marketing_pipelines.api.queues import MAX_ID
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.crm.timeline.closing import ClosedTask, close_task

router = APIRouter(prefix="/v1", tags=["applications"])


class TaskOrder(Body):
    """The end of a task."""

    state: Literal["done", "dropped"]


@router.post(
    "/tasks/{number}",
    response_model=models.of_dataclass(ClosedTask),
    responses=refusals(400, 401, 403, 404, 408, 413, 422, 503),
)
def set_task(
    site: Here,
    visit: Annotated[Visit, require("write", in_organization=True)],
    number: Annotated[int, Path(ge=1, le=MAX_ID)],
    order: TaskOrder,
) -> ClosedTask:
    """Sets a task to done or dropped; repeating it changes nothing."""
    with site.engine.begin() as connection:
        found = close_task(connection, number, order.state, site.now(), own_organization(visit))
        if found is None:
            raise Refusal(404, f"There is no task {number} that this token may see.")
        organization_of(connection, visit, found.organization)
        return found
