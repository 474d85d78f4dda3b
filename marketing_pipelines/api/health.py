"""Addresses for monitors: no token; nothing but numbers, and names of jobs and queues."""

from typing import Literal

import sqlalchemy as sa
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from marketing_pipelines.api import models
from marketing_pipelines.api.answers import DATABASE_DOWN, refusals
from marketing_pipelines.api.site import Here
from marketing_pipelines.observability import health, metrics
from marketing_pipelines.observability.health import Health

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"]


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ready"]


_HEALTH = models.of_dataclass(Health)


@router.get("/health/live", responses=refusals(400, 413))
def live() -> Live:
    """Answers while the process lives; asks no store."""
    return Live.model_validate(health.live())


@router.get("/health/ready", responses=refusals(400, 413, 503))
def ready(site: Here) -> Ready:
    """Answers if the database answers, too."""
    with site.engine.connect() as connection:
        return Ready.model_validate(health.ready(connection))


@router.get(
    "/health/jobs",
    response_model=_HEALTH,
    responses={**refusals(400, 413), 503: {"model": _HEALTH, "description": "Unhealthy"}},
)
def jobs(site: Here, response: Response) -> Health:
    """The verdict on the jobs; 503 where they are unhealthy."""
    try:
        with site.engine.begin() as connection:
            found = health.report(connection, site.instance, site.now())
    except sa.exc.OperationalError:
        found = health.unreachable(DATABASE_DOWN)
    response.status_code = 503 if found.status == "unhealthy" else 200
    return found


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}},
        **refusals(400, 413),
    },
)
def scrape(site: Here) -> Response:
    """Every metric, as Prometheus reads them."""
    found = metrics.scrape(site.engine, site.instance, site.now())
    return Response(found, media_type=CONTENT_TYPE_LATEST)
