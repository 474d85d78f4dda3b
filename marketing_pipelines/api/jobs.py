"""Addresses of jobs: their sessions, and starting them by hand or by an external scheduler."""

from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query, Security

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import require, require_cron_secret
from marketing_pipelines.api.answers import refusals
from marketing_pipelines.api.launching import Started, launch
from marketing_pipelines.api.site import Here, Site
from marketing_pipelines.runs import sessions
from marketing_pipelines.stores.tables import job_sessions

router = APIRouter(tags=["jobs"])
MAX_NAME_LENGTH = 200
_STARTED = models.of_dataclass(Started)
_CRON: dict[str, Any] = {
    "status_code": 202,
    "response_model": _STARTED,
    "dependencies": [Security(require_cron_secret)],
    "responses": refusals(400, 401, 404, 409, 413, 422, 503),
}
_SESSION = models.of_table(
    "Session",
    job_sessions,
    described="One time that a job worked, waits to work, failed or was skipped.",
    without=("will_retry", "cpu_seconds", "backend_pid"),
)
DomainName = Annotated[str, Path(max_length=MAX_NAME_LENGTH, examples=["analytics"])]
OutcomeName = Annotated[str, Path(max_length=MAX_NAME_LENGTH, examples=["event_aggregates"])]
Partition = Annotated[
    str | None,
    Query(
        max_length=MAX_NAME_LENGTH,
        description="Partition key; default: the partition of the schedule's latest tick",
        examples=["2026-03-01"],
    ),
]


@router.get(
    "/admin/sessions",
    response_model=list[_SESSION],  # type: ignore[valid-type]
    dependencies=[require("read")],
    responses=refusals(400, 401, 403, 413, 422, 503),
)
def list_sessions(
    site: Here,
    job: Annotated[str | None, Query(max_length=MAX_NAME_LENGTH, description="Asset key")] = None,
    running: Annotated[bool, Query(description="Only running sessions")] = False,
    limit: Annotated[
        int, Query(ge=1, le=sessions.LATEST, description="Of one job at most 50")
    ] = sessions.LATEST,
) -> Sequence[sa.Row[Any]]:
    """The latest sessions, newest first."""
    with site.engine.begin() as connection:
        sessions.close_abandoned(connection)
        return sessions.latest(connection, job=job, running=running, limit=limit)


@router.post(
    "/admin/jobs/{domain}/{outcome}/trigger",
    status_code=202,
    response_model=_STARTED,
    dependencies=[require("trigger")],
    responses=refusals(400, 401, 403, 404, 409, 413, 422, 503),
)
def trigger(
    site: Here, domain: DomainName, outcome: OutcomeName, partition: Partition = None
) -> Started:
    """Puts a run of the job into the queue."""
    return _start(site, domain, outcome, partition)


@router.get("/cron/{domain}/{outcome}", **_CRON)
@router.post("/cron/{domain}/{outcome}", **_CRON)
def start_by_cron(
    site: Here, domain: DomainName, outcome: OutcomeName, partition: Partition = None
) -> Started:
    """Puts a run of the job into the queue, for external schedulers."""
    return _start(site, domain, outcome, partition)


def _start(site: Site, domain: str, outcome: str, partition: str | None) -> Started:
    return launch(
        f"{domain}/{outcome}",
        partition,
        settings=site.settings,
        engine=site.engine,
        instance=site.instance,
        now=site.now(),
    )
