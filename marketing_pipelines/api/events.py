"""The address to which applications send events."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field, WithJsonSchema

from marketing_pipelines.api import audit, models
from marketing_pipelines.api.admission import Visit, require
from marketing_pipelines.api.answers import Error, refusals
from marketing_pipelines.api.bodies import Body
from marketing_pipelines.api.organizations import own_organization, unknown_organization
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.crm.tables import organizations

router = APIRouter(prefix="/v1", tags=["applications"])
EVENTS = "/v1/events"
MAX_BODY_BYTES = 5_000_000
MAX_EVENTS = 5_000
# Words for people with a file.
_HINT = ", or name its zone with --timezone"
_REQUIRED = ("event_id", "organization_id", "contact_id", "event_type", "occurred_at")
_TEXTS = (*_REQUIRED, "event_source", "received_at")
_ROW = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in _TEXTS},
        "properties": {"type": "object"},
    },
    "required": list(_REQUIRED),
    "description": "A row of an events file; further fields become properties of the event",
}


class EventsBody(Body):
    """Events, each with the columns of an events file."""

    events: Annotated[
        list[Annotated[Any, WithJsonSchema(_ROW)]], Field(min_length=1, max_length=MAX_EVENTS)
    ]


@dataclass(frozen=True)
class RejectedEvent:
    """An event that cannot be stored.

    Attributes:
        row: Its place in the call, from 1.
        column: The wrong field; empty: the whole row.
    """

    row: int
    column: str
    reason: str


@dataclass(frozen=True)
class LoadedEvents:
    """The result of a call.

    Attributes:
        loaded: Stored events: new ones, and those that took the place of one received later.
        repeated: Events whose ids are stored already.
        rejected: Refused events; all others are kept.
    """

    loaded: int
    repeated: int
    rejected: list[RejectedEvent]


@dataclass(frozen=True)
class NoGoodEvent:
    """No event of a call could be stored.

    Attributes:
        error: The first reason.
        rejected: All of the events.
    """

    error: str
    rejected: list[RejectedEvent]


_NO_GOOD_EVENT = models.of_dataclass(NoGoodEvent)


@router.post(
    "/events",
    response_model=models.of_dataclass(LoadedEvents),
    responses={
        **refusals(400, 401, 403, 404, 408, 413, 503),
        422: {"model": _NO_GOOD_EVENT | Error, "description": "No event was good"},
    },
)
def load_events(
    site: Here,
    visit: Annotated[Visit, require("write", in_organization=True)],
    body: EventsBody,
) -> LoadedEvents | JSONResponse:
    """Stores events, each id once; good ones are kept where others are refused."""
    # DuckDB and Arrow are for these calls only.
    from marketing_pipelines.loading import EVENTS, load_rows

    _refuse_others(site.engine, visit, body.events)
    result, refused = load_rows(
        site.engine, EVENTS, body.events, settings=site.settings, now=site.now()
    )
    is_loaded = len(refused) < len(body.events)
    _note_organization(site.engine, visit, body.events, loaded=is_loaded)
    rejected = [
        RejectedEvent(row, column, reason.removesuffix(_HINT)) for row, column, reason in refused
    ]
    if not is_loaded:
        first = rejected[0]
        sentence = f"No event is good; row {first.row}: {first.column} {first.reason}."
        return JSONResponse(asdict(NoGoodEvent(sentence, rejected)), 422)
    return LoadedEvents(result.loaded + result.changed, result.repeated, rejected)


def _refuse_others(engine: sa.Engine, visit: Visit, rows: Sequence[Any]) -> None:
    """Refuses events of another organization than the token's."""
    own = own_organization(visit)
    if own is None:
        return
    with engine.begin() as connection:
        name = connection.execute(
            sa.select(organizations.c.external_id).where(organizations.c.id == own)
        ).scalar_one()
    for other in _organizations(rows):
        if other != name:
            raise unknown_organization(other)


def _note_organization(
    engine: sa.Engine, visit: Visit, rows: Sequence[Any], *, loaded: bool
) -> None:
    """Notes the organization of loaded events in the audit log, where it is one."""
    names = _organizations(rows)
    if own_organization(visit) is not None or len(names) != 1 or not loaded:
        return
    with engine.begin() as connection:
        number = connection.execute(
            sa.select(organizations.c.id).where(organizations.c.external_id.in_(names))
        ).scalar()
        if number is not None:
            audit.concerns(connection, visit.entry, number)


def _organizations(rows: Sequence[Any]) -> set[str]:
    """The names of organizations that events have, as the load reads them.

    Lists and objects are none: the load refuses their rows.
    """
    values = (row.get("organization_id") for row in rows if isinstance(row, dict))
    return {
        value if isinstance(value, str) else json.dumps(value)
        for value in values
        if value not in (None, "") and not isinstance(value, dict | list)
    }
