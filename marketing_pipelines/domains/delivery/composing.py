"""A message as it goes out: filled in, with its sender and the links that every mail has."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from marketing_pipelines.domains.delivery.bounce_addresses import bounce_address, signature_of
from marketing_pipelines.domains.delivery.footers import link_fields, with_footer
from marketing_pipelines.domains.delivery.links import Links
from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered, Sender, fill_in
from marketing_pipelines.domains.delivery.text_parts import with_both_parts
from marketing_pipelines.domains.delivery.tracking import counted, numbered
from marketing_pipelines.domains.delivery.transports.outcomes import NotReadyError
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.secret_keys import signing_keys
from marketing_pipelines.settings import get_settings

NEEDS_HTTPS = (
    "MARKETING_PUBLIC_URL does not begin with https://, which marketing mail needs in production "
    "for its links to unsubscribe."
)


def fields_of(order: Any, variables: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of a message's templates, but for its links.

    The caller's variables stand by their names and in `message`; each takes precedence over a field
    of the contact.

    Args:
        order: Has the contact's `fields` and the name of its `organization`.
    """
    given = variables or {}
    own = {"organization": order.organization, "message": given}
    return {**(order.fields or {}), **given, **own}


def rendered(message: Any, order: Any) -> Rendered:
    """A message as it goes out.

    Args:
        message: Its row.
        order: What `to_send.sql` adds to it.

    Raises:
        MessageError: it cannot be written, now or later.
        NotReadyError: the installation cannot write it yet.
    """
    if not isinstance(order.content, dict):
        raise MessageError(f"Row {message.content_id} of delivery.contents holds no content.")
    sender = _sender(message, order) if message.channel == "email" else None
    if sender is None and message.channel == "email" and not _is_development():
        or_set = ", or set MARKETING_MAIL_FROM" if order.user_id is not None else ""
        raise MessageError(
            f"Organization {order.organization_name} has no sending domain: load one with "
            f"`marketing-pipelines load sending_domains FILE`{or_set}."
        )
    return Rendered(
        id=message.id,
        organization_id=message.organization_id,
        organization=order.organization,
        channel=message.channel,
        queued_at=message.queued_at.astimezone(dt.UTC),
        recipient=order.recipient,
        name=order.name,
        **_composed(message, order),
        sender=sender,
        signature=signature_of(message.id, signing_keys(get_settings())[-1]),
    )


def _is_development() -> bool:
    return get_settings().env == "development"


def _sender(message: Any, order: Any) -> Sender | None:
    settings = get_settings()
    bounces_to = None
    if order.bounce_address is not None:
        key = signing_keys(settings)[-1]
        bounces_to = bounce_address(order.bounce_address, message.id, key)
    if order.from_address is None:
        if order.user_id is None or settings.mail_from is None:
            return None
        return Sender(settings.mail_from, order.organization, bounces_to=bounces_to)
    return Sender(
        address=order.content.get("from") or order.from_address,
        name=order.from_name or order.organization,
        reply_to=order.reply_to,
        headers=order.headers,
        bounces_to=bounces_to,
    )


def _composed(message: Any, order: Any) -> dict[str, Any]:
    """The fields `content` and, of a marketing mail, `unsubscribe_url` of a message.

    Raises:
        MessageError: a template cannot be filled in.
        NotReadyError: the address of the API is not known or not safe, so that no mail would have
            a way out.
    """
    fields = fields_of(order, message.variables)
    needs = order.content.get("needs") or []
    if needs and not any(fields.get(name) for name in needs):
        raise MessageError(f"It says nothing: its template needs {' or '.join(needs)}.")
    if message.channel != "email":
        return {"content": fill_in(order.content, fields)}
    mail = with_both_parts(order.content)
    if message.kind != "marketing":
        return {"content": fill_in(mail, fields)}
    settings = get_settings()
    try:
        links = Links.of(settings)
    except ConfigurationError as error:
        raise NotReadyError(str(error)) from None
    if settings.env == "production" and not str(settings.public_url).startswith("https://"):
        raise NotReadyError(NEEDS_HTTPS)
    urls, tracking = link_fields(message.id, links), order.tracking or {}
    mail = with_footer(mail)
    if mail.get("html") is not None and tracking.get("clicks"):
        mail["html"] = numbered(mail["html"])
    content = fill_in(mail, {**fields, **urls})
    content = counted(content, message.id, links, tracking)
    return {"content": content, "unsubscribe_url": urls["unsubscribe_url"]}
