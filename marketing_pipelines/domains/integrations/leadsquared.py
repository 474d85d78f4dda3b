"""Leads of LeadSquared as contacts: those modified since the last time, page by page.

A window ends at the tick and begins ten minutes before the end of the one before. It moves on only
when its last page is stored; until then later ticks go on with it where the last one stopped, so
that a first import may take many of them. A lead that is modified meanwhile leaves the window and
moves later ones up by a place: as the number of leads shrinks, the pages on which that may have
hidden a lead are read again.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from marketing_pipelines.domains.crm.tables import LEAD_STATUSES
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.http import (
    ServiceClient,
    WrongAnswerError,
)
from marketing_pipelines.domains.integrations.listings import MAX_PAGES
from marketing_pipelines.domains.integrations.providers import LEADSQUARED, LeadSquaredFields
from marketing_pipelines.domains.integrations.spacing import Spacing
from marketing_pipelines.domains.integrations.syncs import (
    PACING,
    Pacing,
    Synced,
    SyncReport,
    keep_page,
    note_backlog,
    sync_each,
)
from marketing_pipelines.loading import load_rows
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings

PATH = "/v2/LeadManagement.svc/Leads.RecentlyModified"
WHAT = "leads"
# The name of a window that was not read to its end, among the pages of the standing.
WINDOW = "window"
PAGE_SIZE = 1_000
OVERLAP = dt.timedelta(minutes=10)
FIVE_SECONDS = 5.0
MAX_REFUSED = 5
ID = "ProspectID"
# The stage in LeadSquared's own words, next to the `lead_status` that it means.
STAGE_ATTRIBUTE = "leadsquared_stage"


class _Property(BaseModel):
    Attribute: str
    Value: str | int | float | bool | None = None


class _Lead(BaseModel):
    LeadPropertyList: list[_Property]


class _Page(BaseModel):
    RecordCount: int = Field(ge=0)
    Leads: list[Any]


class _Window(BaseModel):
    """A span of modifications, and how far it was read.

    Attributes:
        url: The system that was asked.
        number: The next page, from 1.
        last: Number of leads in the last answer; None: there was none.
    """

    url: str
    since: dt.datetime
    until: dt.datetime
    number: int = 1
    last: int | None = None


@dataclass
class _Rows:
    """The rows of a page for the load, and sentences on leads that are none."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown_stages: int = 0


def pull(tick: Tick, pacing: Pacing = PACING) -> None:
    """Reads the modified leads of every organization with a connection."""
    sync_each(tick, LEADSQUARED, WHAT, partial(_pull, tick), pacing)


def check(settings: Settings, connection: Connection) -> str:
    """Asks for one lead of the last minute.

    Raises:
        MarketingPipelinesError: the service does not answer as it should.
    """
    fields = connection.fields(settings)
    until = dt.datetime.now(dt.UTC)
    with _client(fields) as service:
        page = _page(service, fields, until - dt.timedelta(minutes=1), until, 1, size=1)
    return f"{page.RecordCount} leads were modified in the last minute"


def _pull(tick: Tick, synced: Synced) -> SyncReport:
    own, fields = synced.connection, synced.connection.fields(tick.settings)
    window = _window(synced, fields, tick.instant)
    report = SyncReport(synced_until=window.until, pages={})
    report.counts = {"leads": 0, "leads_refused": 0, "stages_unknown": 0}
    if window.since >= window.until:
        # A later tick has read all of it.
        return report
    with _client(fields, synced.ends_at) as service:
        for _ in range(MAX_PAGES):
            number, last = window.number, window.last
            page = _page(service, fields, window.since, window.until, number)
            window.last = page.RecordCount
            if last is not None and page.RecordCount < last:
                read = max((number - 1) * PAGE_SIZE - (last - page.RecordCount), 0)
                window.number = read // PAGE_SIZE + 1
                continue
            _store(tick, own, fields, page.Leads, report)
            left = max(page.RecordCount - number * PAGE_SIZE, 0)
            window.number += bool(page.Leads)
            with tick.begin(isolation="read committed") as connection:
                note_backlog(connection, synced, WHAT, left)
                keep_page(connection, synced, WHAT, WINDOW, window.model_dump(mode="json"))
            if not left:
                report.backlog = 0
                return report
            if not page.Leads:
                raise WrongAnswerError(
                    f"LeadSquared counts {page.RecordCount:,} leads, and page {number} of them is "
                    "empty."
                )
    raise WrongAnswerError(f"The leads do not end: they have more than {MAX_PAGES:,} pages.")


def _window(synced: Synced, fields: LeadSquaredFields, tick: dt.datetime) -> _Window:
    """The window of a tick, or an earlier one of the same begin that was not read to its end."""
    since = dt.datetime.combine(fields.since, dt.time(), dt.UTC)
    if synced.last_tick is not None:
        since = synced.last_tick - OVERLAP
    if WINDOW in synced.pages:
        begun = _Window.model_validate(synced.pages[WINDOW])
        if (begun.url, begun.since) == (fields.url, since) and begun.until <= tick:
            return begun
    return _Window(url=fields.url, since=since, until=tick)


def _store(
    tick: Tick,
    own: Connection,
    fields: LeadSquaredFields,
    leads: Sequence[Any],
    report: SyncReport,
) -> None:
    """Loads one page as a file of contacts; leads that cannot be contacts are counted and named."""
    read = rows_of(leads, own.organization, fields)
    refused = read.refused
    if read.rows:
        result, rejects = load_rows(
            tick.connection.engine,
            "contacts",
            read.rows,
            settings=tick.settings,
            now=tick.instant,
        )
        report.rows += result.loaded + result.changed
        refused = refused + [
            f"{read.rows[line - 1]['external_id']}: {column} {reason}"
            for line, column, reason in rejects
        ]
    report.counts["leads"] += len(leads)
    report.counts["leads_refused"] += len(refused)
    report.counts["stages_unknown"] += read.unknown_stages
    report.refused = (report.refused + refused)[:MAX_REFUSED]


def rows_of(leads: Sequence[Any], organization: str, fields: LeadSquaredFields) -> _Rows:
    """The rows of a file of contacts that leads make, by the mapping of their connection."""
    found = _Rows()
    for place, lead in enumerate(leads, 1):
        try:
            properties = _Lead.model_validate(lead).LeadPropertyList
        except ValidationError:
            found.refused.append(f"lead {place} of its page is none")
            continue
        values = {one.Attribute: _text(one.Value) for one in properties}
        number = values.get(ID)
        if not number:
            found.refused.append(f"lead {place} of its page has no {ID}")
            continue
        row: dict[str, Any] = {
            "external_id": f"leadsquared:{number}",
            "organization_id": organization,
        }
        for attribute, column in fields.mapping.items():
            if attribute not in values:
                continue
            if column == "lead_status":
                found.unknown_stages += _take_stage(row, values[attribute], fields.statuses)
            else:
                row[column] = values[attribute]
        found.rows.append(row)
    return found


def _take_stage(row: dict[str, Any], stage: str | None, statuses: Mapping[str, str]) -> bool:
    """Sets the status that a stage means; true if it means none, and the status stays."""
    row[STAGE_ATTRIBUTE] = stage
    if stage is None:
        return False
    own = {name.casefold(): status for name, status in statuses.items()}
    status = own.get(stage.casefold(), stage.casefold())
    if status not in LEAD_STATUSES:
        return True
    row["lead_status"] = status
    return False


def _text(value: Any) -> str | None:
    """A cell of a file; an empty one is None."""
    if value is None:
        return None
    return str(value).strip() or None


def _client(fields: LeadSquaredFields, ends_at: float | None = None) -> ServiceClient:
    return ServiceClient(
        fields.url,
        query={
            "accessKey": fields.access_key.get_secret_value(),
            "secretKey": fields.secret_key.get_secret_value(),
        },
        spacing=Spacing(fields.per_5_seconds, FIVE_SECONDS),
        ends_at=ends_at,
    )


def _page(
    service: ServiceClient,
    fields: LeadSquaredFields,
    since: dt.datetime,
    until: dt.datetime,
    number: int,
    *,
    size: int | None = None,
) -> _Page:
    answer = service.post(
        PATH,
        {
            "Parameter": {"FromDate": _written(since), "ToDate": _written(until)},
            "Columns": {"Include_CSV": ",".join([ID, *fields.mapping])},
            "Paging": {"PageIndex": number, "PageSize": size or PAGE_SIZE},
            "Sorting": {"ColumnName": "ProspectAutoId", "Direction": "0"},
        },
    )
    try:
        return _Page.model_validate(answer.json_object())
    except ValidationError as error:
        raise WrongAnswerError(
            f"{answer.source} does not answer with RecordCount and Leads."
        ) from error


def _written(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
