"""Addresses of jobs: their sessions, and starting them by hand or by an external clock."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Security
from pydantic import BaseModel, ConfigDict, Field

from marketing_pipelines.api.admission import require, require_cron_secret
from marketing_pipelines.api.answers import refusals
from marketing_pipelines.api.launching import launch
from marketing_pipelines.api.site import Here, Site
from marketing_pipelines.runs import sessions

router = APIRouter(tags=["jobs"])
MAX_NAME_LENGTH = 200
_CRON: dict[str, Any] = {
    "status_code": 202,
    "dependencies": [Security(require_cron_secret)],
    "responses": refusals(400, 401, 404, 409, 413, 422, 503),
}


class Session(BaseModel):
    """One time that a job worked, waits to work, failed or was skipped."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    job: str
    trigger: str
    tick: dt.datetime
    partition: str | None
    run_id: str | None
    status: str
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    duration_ms: int | None
    error: str | None
    items_ok: int | None
    items_failed: int | None
    rss_peak_mb: int | None
    metadata: dict[str, Any]


class Started(BaseModel):
    """A run that waits for its turn."""

    model_config = ConfigDict(from_attributes=True)

    run_id: str = Field(description="Dagster run")
    session_id: int
    partition: str | None


Domain = Annotated[str, Path(max_length=MAX_NAME_LENGTH, examples=["analytics"])]
Outcome = Annotated[str, Path(max_length=MAX_NAME_LENGTH, examples=["event_aggregates"])]
Partition = Annotated[
    str | None,
    Query(
        max_length=MAX_NAME_LENGTH,
        description="Partition key; without one it is the partition that the job's clock was "
        "last for",
        examples=["2026-03-01"],
    ),
]


@router.get(
    "/admin/sessions",
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 413, 422, 503),
)
def list_sessions(
    site: Here,
    job: Annotated[str | None, Query(max_length=MAX_NAME_LENGTH, description="Asset key")] = None,
    running: Annotated[bool, Query(description="Only what works right now")] = False,
    limit: Annotated[
        int, Query(ge=1, le=sessions.LATEST, description="Of one job at most 50")
    ] = sessions.LATEST,
) -> list[Session]:
    """The latest sessions, newest first."""
    with site.engine.begin() as connection:
        sessions.close_abandoned(connection)
        rows = sessions.latest(connection, job=job, running=running, limit=limit)
    return [Session.model_validate(row) for row in rows]


@router.post(
    "/admin/jobs/{domain}/{outcome}/trigger",
    status_code=202,
    dependencies=[require("trigger")],
    responses=refusals(400, 401, 403, 404, 409, 413, 422, 503),
)
def trigger(site: Here, domain: Domain, outcome: Outcome, partition: Partition = None) -> Started:
    """Puts a run of the job into the queue."""
    return _start(site, domain, outcome, partition)


@router.get("/cron/{domain}/{outcome}", **_CRON)
@router.post("/cron/{domain}/{outcome}", **_CRON)
def strike(site: Here, domain: Domain, outcome: Outcome, partition: Partition = None) -> Started:
    """Puts a run of the job into the queue, for clocks outside."""
    return _start(site, domain, outcome, partition)


def _start(site: Site, domain: str, outcome: str, partition: str | None) -> Started:
    launched = launch(
        f"{domain}/{outcome}",
        partition,
        settings=site.settings,
        engine=site.engine,
        instance=site.instance,
        now=site.now(),
    )
    return Started.model_validate(launched)
