"""Addresses for monitors: no token; nothing but numbers, and names of jobs and queues."""

from typing import Literal

import sqlalchemy as sa
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field

from marketing_pipelines.api.answers import DATABASE_DOWN, refusals
from marketing_pipelines.api.site import Here
from marketing_pipelines.observability import health, metrics

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"]


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ready"]


class Health(BaseModel):
    """Whether the machinery does its work."""

    model_config = ConfigDict(from_attributes=True)

    status: Literal["healthy", "degraded", "unhealthy"]
    running: int = Field(description="Sessions at work")
    failures_24h: int
    abandoned_24h: int
    overdue: list[str] = Field(description="Jobs")
    stopped: list[str] = Field(description="Schedules and sensors stopped in the Dagster UI")
    queue_age_seconds: float
    heartbeat_seconds: float | None = Field(description="Age of the scheduler's last sign of life")
    reasons: list[str] = Field(description="Why it is not healthy, one sentence each")


@router.get("/health/live", responses=refusals(400, 413))
def live() -> Live:
    """Whether the process answers; it asks nobody."""
    return Live.model_validate(health.live())


@router.get("/health/ready", responses=refusals(400, 413, 503))
def ready(site: Here) -> Ready:
    """Whether the database answers, too."""
    with site.engine.connect() as connection:
        return Ready.model_validate(health.ready(connection))


@router.get(
    "/health/jobs",
    responses={**refusals(400, 413), 503: {"model": Health, "description": "Unhealthy"}},
)
def jobs(site: Here, response: Response) -> Health:
    """The verdict on the jobs; 503 where they are unhealthy."""
    try:
        with site.engine.begin() as connection:
            found = health.report(connection, site.instance, site.now())
    except sa.exc.OperationalError:
        found = health.unreachable(DATABASE_DOWN)
    response.status_code = 503 if found.status == "unhealthy" else 200
    return Health.model_validate(found)


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
