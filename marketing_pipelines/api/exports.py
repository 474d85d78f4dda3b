"""Addresses of exports: ask for one, look at it, cancel it, fetch its file by a signed link."""

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from marketing_pipelines.api import audit, models
from marketing_pipelines.api.admission import Visit, require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.bodies import RawBody, StorableBody, digest
from marketing_pipelines.api.fields import ShortName
from marketing_pipelines.api.organizations import organization_of, own_organization
from marketing_pipelines.api.queues import MAX_ID
from marketing_pipelines.api.recipients import gone, links_of
from marketing_pipelines.api.site import Here, Site
from marketing_pipelines.domains.delivery.links import public_base
from marketing_pipelines.domains.delivery.requests.requesting import KeyTakenError
from marketing_pipelines.domains.exports.reading import ExportStatus, status_of
from marketing_pipelines.domains.exports.requesting import (
    ExportOrder,
    UnknownThingError,
    cancel_export,
    request_export,
)
from marketing_pipelines.domains.exports.tables import FORMATS, KINDS
from marketing_pipelines.stores.files import FileStore

router = APIRouter(prefix="/v1", tags=["applications"])
public = APIRouter(include_in_schema=False)
PART_BYTES = 1 << 18
EXPIRED = "This link has expired: ask for the export again."
NOT_READY = "The file of this link is not there."
_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "parquet": "application/vnd.apache.parquet",
    "zip": "application/zip",
}


class ExportBody(StorableBody):
    """Rows of an organization, to be written to a file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    organization: ShortName = Field(description="External id, or number")
    kind: Literal[KINDS]  # type: ignore[valid-type]
    format: Literal[FORMATS]  # type: ignore[valid-type]
    contact: ShortName | None = Field(
        default=None, description="External id; the kind `contact` needs it"
    )
    segment: ShortName | None = Field(
        default=None, description="External id: only rows of its members"
    )
    from_: ShortName | None = Field(
        default=None,
        alias="from",
        description="First day in the organization's zone, or instant; of the kind's own instant",
        examples=["2026-03-01"],
    )
    to: ShortName | None = Field(
        default=None,
        description="The day, or instant, before which the rows lie",
        examples=["2026-04-01"],
    )
    columns: list[ShortName] | None = Field(
        default=None, description="Columns and their order; default: those of the kind"
    )
    notify: list[ShortName] = Field(
        default=[], description="External ids of users that get a mail when it is ready"
    )
    idempotency_key: ShortName | None = Field(
        default=None, description="The request is done once for each; repeat it with the same body"
    )


@dataclass(frozen=True)
class RequestedExport:
    """An export that was asked for.

    Attributes:
        id: Export number.
        state: `queued`; in the answer to a repeated request the present state.
    """

    id: int
    state: str


@dataclass(frozen=True)
class ShownExport:
    """One export.

    Attributes:
        id: Export number.
        organization: External id.
        state: queued, running, ready, failed, expired or cancelled.
        progress: Share that is done, 0 to 1.
        rows: Rows that are written.
        expected_rows: Rows when it was asked for.
        size: Bytes of the file.
        url: Address of the file; null while there is none, or if `MARKETING_PUBLIC_URL` is not set.
        expires_at: When the link ends and the file goes.
        error: Why it failed, one sentence.
        note: What the file lacks, one sentence.
    """

    id: int
    organization: str
    kind: str
    format: str
    state: str
    progress: float
    rows: int
    expected_rows: int
    size: int | None
    url: str | None
    created_at: dt.datetime
    ended_at: dt.datetime | None
    expires_at: dt.datetime | None
    error: str | None
    note: str | None


_REQUESTED = models.of_dataclass(RequestedExport)
_SHOWN = models.of_dataclass(ShownExport)
_Writer = Annotated[Visit, require("write", in_organization=True)]
_Reader = Annotated[Visit, require("read", in_organization=True)]
_Number = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.post(
    "/exports",
    status_code=202,
    response_model=_REQUESTED,
    responses={
        200: {"model": _REQUESTED, "description": "An earlier call with this key asked for it"},
        **refusals(400, 401, 403, 404, 408, 409, 413, 422, 503),
    },
)
def ask_for_export(
    site: Here, visit: _Writer, body: ExportBody, raw: RawBody, response: Response
) -> RequestedExport:
    """Asks for a file, which a worker writes; with a key, once."""
    with site.engine.begin() as connection:
        organization_id = organization_of(connection, visit, body.organization)
    assert visit.token is not None
    order = ExportOrder(
        organization_id=organization_id,
        kind=body.kind,
        format=body.format,
        contact=body.contact,
        segment=body.segment,
        from_=body.from_,
        to=body.to,
        columns=body.columns,
        notify=body.notify,
        idempotency_key=body.idempotency_key,
        body_digest=digest(raw),
        requested_by=visit.token.name,
    )
    try:
        with site.engine.begin() as connection:
            number, state, is_new = request_export(connection, order, now=site.now())
    except UnknownThingError as error:
        raise Refusal(404, str(error)) from None
    except KeyTakenError as error:
        raise Refusal(409, str(error)) from None
    response.status_code = 202 if is_new else 200
    return RequestedExport(number, state)


@router.get(
    "/exports/{number}",
    response_model=_SHOWN,
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def show_export(site: Here, visit: _Reader, number: _Number) -> ShownExport:
    """One export: state, progress, rows, and the link once it is ready."""
    return _shown(site, _found(site, visit, number))


@router.delete(
    "/exports/{number}",
    response_model=_SHOWN,
    responses=refusals(400, 401, 403, 404, 409, 413, 422, 503),
)
def cancel(site: Here, visit: _Writer, number: _Number) -> ShownExport:
    """Cancels an export that is queued or running; one that is cancelled stays so."""
    found = _found(site, visit, number)
    with site.engine.begin() as connection:
        cancelled = cancel_export(connection, number, now=site.now())
    if not cancelled and found.state != "cancelled":
        found = _found(site, visit, number)
        raise Refusal(409, f"The export {number} is {found.state}: it cannot be cancelled.")
    return _shown(site, _found(site, visit, number))


@public.api_route("/exports/{token}", methods=["GET", "HEAD"])
def fetch(token: str, request: Request, site: Here) -> Response:
    """Gives out the file of a signed link."""
    asked = links_of(site).exported(token)
    if asked is None:
        return gone()
    now = site.now()
    with site.engine.begin() as connection:
        found = status_of(connection, asked.export_id, now, None)
        if found is None or asked != found.linked:
            return gone()
        client = request.client
        entry = audit.note(
            connection,
            at=now,
            actor="link",
            token_id=None,
            organization_id=found.organization_id,
            address=client.host if client else None,
            method=request.method,
            path=f"/exports/{found.id}",
        )
    response = _file(site, request, found)
    with site.engine.begin() as connection:
        audit.answered(connection, entry, response.status_code)
    return response


def _file(site: Site, request: Request, found: ExportStatus) -> Response:
    if found.state == "expired":
        return gone(410, EXPIRED)
    if found.state != "ready" or found.file is None:
        return gone(410, NOT_READY)
    headers = {
        "Content-Disposition": f'attachment; filename="{found.file_name}"',
        "Content-Length": str(found.size),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
        "Referrer-Policy": "no-referrer",
    }
    media_type = _MEDIA_TYPES[found.file_name.rpartition(".")[2]]
    opened = ExitStack()
    try:
        file = opened.enter_context(
            FileStore(site.settings.effective_files_url).reading(found.file)
        )
    except FileNotFoundError:
        return gone(410, EXPIRED)
    if request.method == "HEAD":
        opened.close()
        return Response(headers=headers, media_type=media_type)
    return StreamingResponse(_parts(opened, file), headers=headers, media_type=media_type)


def _parts(opened: ExitStack, file: IO[bytes]) -> Iterator[bytes]:
    with opened:
        while part := file.read(PART_BYTES):
            yield part


def _found(site: Site, visit: Visit, number: int) -> ExportStatus:
    with site.engine.begin() as connection:
        found = status_of(connection, number, site.now(), own_organization(visit))
        if found is None:
            raise Refusal(404, f"There is no export {number} that this token may see.")
        organization_of(connection, visit, found.organization)
        return found


def _shown(site: Site, found: ExportStatus) -> ShownExport:
    url = None
    if found.state == "ready" and found.linked and public_base(site.settings) is not None:
        url = links_of(site).export(found.linked)
    return ShownExport(
        id=found.id,
        organization=found.organization,
        kind=found.kind,
        format=found.format,
        state=found.state,
        progress=found.progress,
        rows=found.rows,
        expected_rows=found.expected_rows,
        size=found.size,
        url=url,
        created_at=found.created_at,
        ended_at=found.ended_at,
        expires_at=found.expires_at,
        error=found.error,
        note=found.note,
    )
