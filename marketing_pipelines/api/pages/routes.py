"""The overview, the calendar and the sessions with their buttons."""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from marketing_pipelines.api.admission import refuse_without
from marketing_pipelines.api.launching import launch
from marketing_pipelines.api.pages.calendar import DID_NOT_RUN, calendar, what_did_not_run
from marketing_pipelines.api.pages.forms import Fields, refuse_foreign_form
from marketing_pipelines.api.pages.responses import (
    Anyone,
    SignedInReader,
    back,
    page,
)
from marketing_pipelines.api.rendering import HOME, PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines.freshness.partitions import registered
from marketing_pipelines.freshness.schedules import schedules
from marketing_pipelines.observability import health
from marketing_pipelines.observability.calendar import Standing, occurrences
from marketing_pipelines.running import job_keys
from marketing_pipelines.runs import sessions
from marketing_pipelines.runs.items import failing_items

router = APIRouter(include_in_schema=False)


@router.get(HOME)
def overview(site: Here, visit: SignedInReader) -> HTMLResponse:
    """The verdict, running sessions, and failures and missed ticks of the last 24 hours."""
    now = site.now()
    day_ago = now - dt.timedelta(hours=24)
    with site.engine.begin() as connection:
        ticks = occurrences(
            connection,
            schedules(),
            since=day_ago,
            until=now,
            now=now,
            zone=site.settings.zone,
            standing=Standing.of(site.instance),
        )
        verdict = health.report(connection, site.instance, now)
        running = sessions.latest(connection, running=True)
        failed = sessions.failed_since(connection, day_ago)
        failing = failing_items(connection)
    return page(
        site,
        visit,
        "overview.html",
        failing=failing,
        health=verdict,
        running=running,
        failed=failed,
        gaps=what_did_not_run(ticks),
        not_run=sum(tick.status in DID_NOT_RUN for tick in ticks),
        ran=sum(tick.status in ("ran", "caught up") for tick in ticks),
    )


@router.get(f"{PAGES}/calendar")
def show_calendar(
    site: Here, visit: SignedInReader, days: Annotated[int, Query(ge=1, le=31)] = 7
) -> HTMLResponse:
    """Every expected tick, with its outcome and the reason why it did not run."""
    zone, now = site.settings.zone, site.now()
    tomorrow = now.astimezone(zone).date() + dt.timedelta(days=1)
    first = tomorrow - dt.timedelta(days=days)
    since = dt.datetime.combine(first, dt.time(), zone).astimezone(dt.UTC)
    until = dt.datetime.combine(tomorrow, dt.time.max, zone).astimezone(dt.UTC)
    with site.engine.begin() as connection:
        found = occurrences(
            connection,
            schedules(),
            since=since,
            until=until,
            now=now,
            zone=zone,
            standing=Standing.of(site.instance),
        )
    return page(
        site,
        visit,
        "calendar.html",
        calendar=calendar(
            found, jobs=[c.job for c in schedules()], first=first, last=tomorrow, zone=zone
        ),
        gaps=what_did_not_run(found),
        days=days,
        zone=zone.key,
    )


@router.get(f"{PAGES}/sessions")
def show_sessions(
    site: Here,
    visit: SignedInReader,
    job: Annotated[str, Query(max_length=200)] = "",
    running: bool = False,
    said: Annotated[str, Query(max_length=500)] = "",
) -> HTMLResponse:
    """The latest sessions, and a button for every job."""
    with site.engine.begin() as connection:
        sessions.close_abandoned(connection)
        rows = sessions.latest(connection, job=job or None, running=running)
    partitioned = {key: asset.grain for key, asset in registered().items()}
    jobs = [(key, partitioned.get(key)) for key in job_keys()]
    return page(
        site,
        visit,
        "sessions.html",
        sessions=rows,
        jobs=jobs,
        chosen=job,
        running=running,
        said=said,
    )


@router.post(f"{PAGES}/trigger")
def trigger(request: Request, site: Here, visit: Anyone, fields: Fields) -> Response:
    """Puts a run of the job into the queue."""
    refuse_foreign_form(request, site, visit, fields)
    refuse_without(visit.token, "trigger")
    try:
        launched = launch(
            fields.get("job", ""),
            fields.get("partition", "").strip() or None,
            settings=site.settings,
            engine=site.engine,
            instance=site.instance,
            now=site.now(),
        )
    except MarketingPipelinesError as error:
        return back(f"{PAGES}/sessions", str(error))
    return back(f"{PAGES}/sessions", f"Session {launched.session_id} waits for its turn.")
