"""The content of a message as it goes out: filled in, with the links that every mail has."""

from collections.abc import Mapping
from typing import Any

from marketing_pipelines.domains.delivery.footers import link_fields, with_footer
from marketing_pipelines.domains.delivery.links import Links
from marketing_pipelines.domains.delivery.rendering import fill_in
from marketing_pipelines.domains.delivery.text_parts import with_text
from marketing_pipelines.domains.delivery.tracking import counted
from marketing_pipelines.domains.delivery.transports.outcomes import NotReadyError
from marketing_pipelines.failures import ConfigurationError
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


def composed(message: Any, order: Any) -> dict[str, Any]:
    """The fields `content` and, of a marketing mail, `unsubscribe_url` of what goes out.

    Raises:
        MessageError: a template cannot be filled in.
        NotReadyError: the address of the API is not known or not safe, so that no mail would have
            a way out.
    """
    fields = fields_of(order, message.variables)
    if message.channel != "email":
        return {"content": fill_in(message.channel, order.content, fields)}
    mail = with_text(order.content)
    if message.kind != "marketing":
        return {"content": fill_in("email", mail, fields)}
    settings = get_settings()
    try:
        links = Links.of(settings)
    except ConfigurationError as error:
        raise NotReadyError(str(error)) from None
    if settings.env == "production" and not str(settings.public_url).startswith("https://"):
        raise NotReadyError(NEEDS_HTTPS)
    urls = link_fields(message.id, links)
    content = fill_in("email", with_footer(mail), {**fields, **urls})
    content = counted(content, message.id, links, order.tracking or {})
    return {"content": content, "unsubscribe_url": urls["unsubscribe_url"]}
