"""The pages of delivery: sending domains with their servers, and the messages of a recipient."""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from marketing_pipelines.api.jobs import MAX_NAME_LENGTH
from marketing_pipelines.api.pages.responses import SignedInReader, page
from marketing_pipelines.api.rendering import PAGES
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.crm.timeline.reading import timeline_of
from marketing_pipelines.domains.delivery.deliverability import (
    COMPLAINTS_AIM,
    COMPLAINTS_LIMIT,
    deliverability,
)
from marketing_pipelines.domains.delivery.messages_of import LATEST, messages_of, recipients_of
from marketing_pipelines.domains.delivery.tables import lines
from marketing_pipelines.failures import BadInputError

router = APIRouter(include_in_schema=False)
Searched = Annotated[str, Query(max_length=MAX_NAME_LENGTH)]


@router.get(f"{PAGES}/delivery")
def show_delivery(site: Here, visit: SignedInReader) -> HTMLResponse:
    """Shows the warm-up, bounces and complaints of every sending domain, and faults of servers."""
    now = site.now()
    with site.engine.begin() as connection:
        domains = deliverability(connection, now, now.astimezone(site.settings.zone).date())
        faulty = connection.execute(sa.select(lines).order_by(lines.c.name)).all()
    return page(
        site,
        visit,
        "delivery.html",
        domains=domains,
        lines=faulty,
        aim=COMPLAINTS_AIM,
        limit=COMPLAINTS_LIMIT,
    )


@router.get(f"{PAGES}/messages")
def show_messages(
    site: Here, visit: SignedInReader, organization: Searched = "", recipient: Searched = ""
) -> HTMLResponse:
    """Shows the latest messages of a contact or an address, and its timeline."""
    found: list[Any] = []
    entries: list[Any] = []
    said = ""
    if organization and recipient:
        try:
            with site.engine.begin() as connection:
                asked = (recipient.strip(), organization.strip())
                found = list(messages_of(connection, *asked))
                _, contacts = recipients_of(connection, *asked)
                entries = list(timeline_of(connection, contacts, site.now()))
        except BadInputError as error:
            said = str(error)
    return page(
        site,
        visit,
        "messages.html",
        messages=found,
        entries=entries,
        organization=organization,
        recipient=recipient,
        latest=LATEST,
        said=said,
    )
