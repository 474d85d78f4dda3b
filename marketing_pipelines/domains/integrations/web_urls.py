"""Destinations and their web pages, from a content service that lists them page by page.

Each page is stored by itself, with its version (ETag): a page that has not changed is not read
again, and one that fails keeps what it had. Only a listing that was read to its end says which
destinations are gone.
"""

import datetime as dt
from collections.abc import Mapping
from functools import partial
from importlib import resources
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, Field, ValidationError
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.http import (
    HttpAnswer,
    ServiceClient,
    WrongAnswerError,
)
from marketing_pipelines.domains.integrations.listings import each_page
from marketing_pipelines.domains.integrations.providers import CONTENT_SERVICE
from marketing_pipelines.domains.integrations.syncs import (
    PACING,
    Pacing,
    Synced,
    SyncReport,
    keep_page,
    sync_each,
)
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings

PATH = "/destinations"
WHAT = "destinations"
_CREATE_LISTED = sa.text(
    "create temporary table if not exists listed_destinations (external_id text primary key)"
)
_EMPTY_LISTED = sa.text("truncate listed_destinations")


def _in_utc(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


class _Destination(BaseModel):
    id: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$", coerce_numbers_to_str=True)
    name: str | None = Field(default=None, max_length=1_000, pattern=r"^[^\x00]*$")
    url: str = Field(max_length=2_000, pattern=r"^https?://[^\s\x00]+$")
    updated_at: Annotated[dt.datetime, AfterValidator(_in_utc)] | None = None


class _Listing(BaseModel):
    items: list[Any]
    next: str | None = Field(default=None, max_length=1_000, pattern=r"^[^\x00]*$")


def fetch(tick: Tick, pacing: Pacing = PACING) -> None:
    """Reads the listing of every organization with a connection."""
    sync_each(tick, CONTENT_SERVICE, WHAT, partial(_fetch, tick), pacing)


def check(settings: Settings, connection: Connection) -> str:
    """Reads the first page.

    Raises:
        MarketingPipelinesError: the service does not answer as it should.
    """
    with _client(settings, connection) as service:
        listing = _read(service.get(PATH))
    return f"its first page lists {len(listing.items)} destinations"


def _fetch(tick: Tick, synced: Synced) -> SyncReport:
    own, report, pages = synced.connection, SyncReport(), dict[str, Any]()
    values = {
        "organization_id": own.organization_id,
        "connection_id": own.id,
        "tick": tick.instant,
    }
    with tick.begin() as connection:
        connection.execute(_CREATE_LISTED)
        connection.execute(_EMPTY_LISTED)
    with _client(tick.settings, own, synced.ends_at) as service:

        def read(cursor: str | None) -> tuple[str, str | None]:
            page = cursor or ""
            known = synced.pages.get(page, {})
            answer = service.get(
                PATH, {"cursor": cursor} if cursor else None, etag=known.get("etag")
            )
            with tick.begin(isolation="read committed") as connection:
                if answer.is_unchanged and known:
                    connection.execute(_statement("keep_page"), {**values, "page": page})
                    pages[page] = known
                    report.counts["pages_unchanged"] += 1
                else:
                    listing = _read(answer)
                    report.rows += _store(connection, values, page, listing, report)
                    pages[page] = {"etag": answer.etag, "next": listing.next}
                    # With its rows, or a later 304 would speak of others.
                    keep_page(connection, synced, WHAT, page, pages[page])
            report.counts["pages"] += 1
            return page, pages[page]["next"]

        report.counts = {"pages": 0, "pages_unchanged": 0, "items_refused": 0, "gone": 0}
        for _ in each_page(read):
            pass
    with tick.begin(isolation="read committed") as connection:
        gone = connection.execute(_statement("mark_gone"), values).rowcount
    report.rows += gone
    report.counts["gone"] = gone
    report.pages = pages
    report.synced_until = tick.instant
    return report


def _store(
    connection: sa.Connection,
    values: Mapping[str, Any],
    page: str,
    listing: _Listing,
    report: SyncReport,
) -> int:
    """Writes one page; returns the number of destinations that are new or changed."""
    found, refused = {}, []
    for item in listing.items:
        try:
            destination = _Destination.model_validate(item)
        except ValidationError:
            # The others of its page are fine; this one keeps its old row.
            report.counts["items_refused"] += 1
            if isinstance(item, dict) and isinstance(item.get("id"), (str, int)):
                refused.append(str(item["id"]).replace("\0", ""))
            continue
        found[destination.id] = destination.model_dump(mode="json")
    bound = {**values, "page": page, "items": list(found.values()), "refused": refused}
    return connection.execute(_statement("store_page"), bound).rowcount


def _read(answer: HttpAnswer) -> _Listing:
    try:
        return _Listing.model_validate(answer.json_object())
    except ValidationError as error:
        raise WrongAnswerError(
            f"{answer.source} does not answer with items and next, as a listing does."
        ) from error


def _client(
    settings: Settings, connection: Connection, ends_at: float | None = None
) -> ServiceClient:
    fields = connection.fields(settings)
    token = fields.token
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    return ServiceClient(fields.url, headers=headers, ends_at=ends_at)


def _statement(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text()
    statement = sa.text(text)
    if ":items" in text:
        statement = statement.bindparams(sa.bindparam("items", type_=pg.JSONB))
    return statement
