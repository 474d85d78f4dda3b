"""The address at which applications subscribe contacts to categories and take them out."""

from dataclasses import dataclass
from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import Field

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import Visit, require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.bodies import Body, StorableBody
from marketing_pipelines.api.fields import ContactOrAddress, ShortName, ZonedInstant, asked_of
from marketing_pipelines.api.organizations import organization_of
from marketing_pipelines.api.recipients import links_of
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.crm.recipients import ErasedPersonError, contacts_of
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.delivery.consent.categories import (
    UnknownCategoryError,
    find_category,
)
from marketing_pipelines.domains.delivery.named_templates.catalog import UnknownNameError
from marketing_pipelines.domains.delivery.subscribing import Subscriber, subscribe, unsubscribe

router = APIRouter(prefix="/v1", tags=["applications"])
MAX_EVIDENCE_LENGTH = 500


class SubscriptionEvidence(Body):
    """The proof of a choice."""

    ip: str | None = Field(default=None, max_length=MAX_EVIDENCE_LENGTH)
    user_agent: str | None = Field(default=None, max_length=MAX_EVIDENCE_LENGTH)
    form: str | None = Field(default=None, max_length=MAX_EVIDENCE_LENGTH, examples=["footer"])
    at: ZonedInstant | None = Field(default=None, examples=["2026-03-01T09:00:00Z"])


class SubscriptionOrder(ContactOrAddress, StorableBody):
    """The choice of a contact, or of the person at an address."""

    organization: ShortName = Field(description="External id, or number")
    category: ShortName = Field(description="External id", examples=["newsletter"])
    state: Literal["subscribed", "unsubscribed"]
    evidence: SubscriptionEvidence = SubscriptionEvidence()


@dataclass(frozen=True)
class SubscriptionState:
    """The subscription after the call.

    Attributes:
        contact: External id.
        state: `subscribed`, `unsubscribed`, or `unconfirmed`: a mail asks for the confirmation.
    """

    contact: str
    state: str


@router.post(
    "/subscriptions",
    response_model=models.of_dataclass(SubscriptionState),
    responses=refusals(400, 401, 403, 404, 408, 413, 422, 503),
)
def set_subscription(
    site: Here,
    visit: Annotated[Visit, require("write", in_organization=True)],
    order: SubscriptionOrder,
) -> SubscriptionState:
    """Subscribes a contact to a category, or takes it out; repeating it changes nothing."""
    asked = asked_of(order, "email")
    evidence = order.evidence.model_dump(exclude_none=True)
    now = site.now()
    with site.engine.begin() as connection:
        organization_id = organization_of(connection, visit, order.organization)
    with site.engine.begin() as connection:
        try:
            category = find_category(connection, organization_id, order.category)
        except UnknownCategoryError as error:
            raise Refusal(404, str(error)) from None
        try:
            [contact_id] = contacts_of(
                connection,
                organization_id,
                "email",
                [asked],
                source="api",
                is_own_wish=order.state != "unsubscribed",
            )
        except ErasedPersonError:
            contact_id = None
        if contact_id is None:
            raise Refusal(404, f"There is no contact '{order.contact or order.address}'.")
        contact = connection.execute(
            sa.select(contacts.c.external_id).where(contacts.c.id == contact_id)
        ).scalar_one()
        subscriber = Subscriber(organization_id, contact_id, contact, category)
        if order.state == "unsubscribed":
            state = unsubscribe(connection, subscriber, evidence=evidence, now=now)
        else:
            try:
                state = subscribe(
                    connection, subscriber, evidence=evidence, now=now, links=lambda: links_of(site)
                )
            except UnknownNameError as error:
                raise Refusal(404, str(error)) from None
    return SubscriptionState(contact, state)
