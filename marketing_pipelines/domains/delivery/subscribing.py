"""Subscriptions that an application brings, and the mail that asks for a confirmation.

The row of the subscription notes when its confirmation was asked for, in the transaction that
queues the mail; so there is one mail in seven days, whatever is repeated or done at once.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.recipients import Asked
from marketing_pipelines.domains.delivery.consent.categories import Category
from marketing_pipelines.domains.delivery.consent.statements import consent_sql
from marketing_pipelines.domains.delivery.consent.tables import subscriptions
from marketing_pipelines.domains.delivery.hooks.recording import lock_events
from marketing_pipelines.domains.delivery.links import Confirmation, Links
from marketing_pipelines.domains.delivery.named_templates.catalog import Wanted
from marketing_pipelines.domains.delivery.requests.requesting import (
    MessageRequest,
    request_messages,
)

TEMPLATE = "confirm_subscription"
# The link is good for as long as no further mail asks.
CONFIRMED_WITHIN = dt.timedelta(days=7)


@dataclass(frozen=True)
class Subscriber:
    """A contact and a category.

    Attributes:
        contact: External id.
    """

    organization_id: int
    contact_id: int
    contact: str
    category: Category


def subscribe(
    connection: sa.Connection,
    subscriber: Subscriber,
    *,
    evidence: Mapping[str, str],
    now: dt.datetime,
    links: Callable[[], Links],
) -> str:
    """Subscribes a contact to a category; with double opt-in, a mail asks for the confirmation.

    Subscribing without double opt-in brings back the contacts that left the category with the
    address, as a person does at a page. A suppression of the channel stays.

    Args:
        links: Returns the links of the installation; called where a mail is queued.

    Returns:
        The state: subscribed or unconfirmed.

    Raises:
        UnknownNameError: the organization's template for the mail is not one of mails.
    """
    lock_events(connection)
    given = _given(subscriber, "subscribed", evidence, now)
    is_new = connection.execute(consent_sql("subscribe"), given).first() is not None
    state = _state(connection, subscriber)
    if is_new and state == "subscribed":
        connection.execute(consent_sql("return_address"), {**given, "source": "api"})
    if state == "unconfirmed":
        _ask_for_confirmation(connection, subscriber, now, links)
    return state


def unsubscribe(
    connection: sa.Connection,
    subscriber: Subscriber,
    *,
    evidence: Mapping[str, str],
    now: dt.datetime,
) -> str:
    """Takes a contact out of a category, and notes it in its activity; returns the state."""
    lock_events(connection)
    given = _given(subscriber, "unsubscribed", evidence, now)
    if connection.execute(consent_sql("subscribe"), given).first() is not None:
        month = now.astimezone(dt.UTC).date()
        connection.execute(sa.select(sa.func.analytics.ensure_activity_month(month)))
        connection.execute(consent_sql("write_way_out_by_application"), given)
    return _state(connection, subscriber)


def _ask_for_confirmation(
    connection: sa.Connection, subscriber: Subscriber, now: dt.datetime, links: Callable[[], Links]
) -> None:
    """Queues the mail, unless one was queued in the last seven days."""
    contact_id, category = subscriber.contact_id, subscriber.category
    asked = {
        "contact_id": contact_id,
        "category_id": category.id,
        "now": now,
        "latest": now - CONFIRMED_WITHIN,
    }
    if connection.execute(consent_sql("begin_confirmation"), asked).first() is None:
        return
    confirmation = Confirmation(contact_id, category.id, now + CONFIRMED_WITHIN)
    request = MessageRequest(
        organization_id=subscriber.organization_id,
        wanted=Wanted("email", template=TEMPLATE, kind="transactional", valid_for="7d"),
        variables={"confirm_url": links().confirm(confirmation), "category": category.name},
        to=[Asked(contact=subscriber.contact)],
        idempotency_key=None,
        body_digest="",
        send_at=None,
    )
    request_messages(connection, request, now=now)


def _state(connection: sa.Connection, subscriber: Subscriber) -> str:
    state: str = connection.execute(
        sa.select(subscriptions.c.state).where(
            subscriptions.c.contact_id == subscriber.contact_id,
            subscriptions.c.category_id == subscriber.category.id,
        )
    ).scalar_one()
    return state


def _given(
    subscriber: Subscriber, state: str, evidence: Mapping[str, str], now: dt.datetime
) -> dict[str, Any]:
    return {
        "organization_id": subscriber.organization_id,
        "contact_id": subscriber.contact_id,
        "category_id": subscriber.category.id,
        "state": state,
        "evidence": json.dumps(dict(evidence)),
        "now": now,
    }
