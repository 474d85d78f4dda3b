"""The welcome mail to new contacts, as a request with a key of its own: once for each contact."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.domains.crm.events import ContactCreated
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.recipients import Asked
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.delivery.named_templates.catalog import UnknownNameError, Wanted
from marketing_pipelines.domains.delivery.requests.requesting import (
    MessageRequest,
    request_messages,
)
from marketing_pipelines.failures import BadInputError


def welcome(connection: sa.Connection, event: ContactCreated, now: dt.datetime) -> int:
    """Queues a transactional mail to each new contact, where the organization has set a template.

    A contact is announced once, and the number of the event is the key of the request: repeating
    it queues no second mail.

    Returns:
        Number of queued messages, suppressed ones included.

    Raises:
        BadInputError: the settings cannot be used, or name an unknown template.
    """
    settings = settings_of(connection, event.organization_id).welcome
    if settings.template is None or event.source not in settings.sources:
        return 0
    names = connection.execute(
        sa.select(contacts.c.external_id)
        .where(
            contacts.c.id.in_(event.contact_ids),
            contacts.c.organization_id == event.organization_id,
        )
        .order_by(contacts.c.id)
    ).scalars()
    to = [Asked(contact=name) for name in names]
    if not to:
        return 0
    request = MessageRequest(
        organization_id=event.organization_id,
        wanted=Wanted("email", template=settings.template, kind="transactional"),
        variables=None,
        to=to,
        idempotency_key=f"welcome:bus:{event.id}",
        body_digest="",
        send_at=None,
    )
    try:
        messages, is_new = request_messages(connection, request, now=now)
    except UnknownNameError as error:
        raise BadInputError(
            f"welcome.template: {error.reason}; set another with `settings set`."
        ) from error
    return len({message.id for message in messages}) if is_new else 0
