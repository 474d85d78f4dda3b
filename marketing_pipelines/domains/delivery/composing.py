"""The content of a message as it goes out: filled in, with the links that every mail has."""

from typing import Any

from marketing_pipelines.domains.delivery.footers import link_fields, with_footer
from marketing_pipelines.domains.delivery.links import Links
from marketing_pipelines.domains.delivery.rendering import fill_in
from marketing_pipelines.domains.delivery.tracking import counted
from marketing_pipelines.domains.delivery.transports.outcomes import NotReadyError
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import get_settings

NEEDS_HTTPS = (
    "MARKETING_PUBLIC_URL does not begin with https://, which marketing mail needs in production "
    "for its links to unsubscribe."
)


def composed(message: Any, order: Any) -> dict[str, Any]:
    """The fields `content` and, of a marketing mail, `unsubscribe_url` of what goes out.

    Raises:
        MessageError: a template cannot be filled in.
        NotReadyError: the address of the API is not known or not safe, so that no mail would have
            a way out.
    """
    fields = order.fields or {}
    if message.channel != "email" or message.kind != "marketing":
        return {"content": fill_in(message.channel, order.content, fields)}
    settings = get_settings()
    try:
        links = Links.of(settings)
    except ConfigurationError as error:
        raise NotReadyError(str(error)) from None
    if settings.env == "production" and not str(settings.public_url).startswith("https://"):
        raise NotReadyError(NEEDS_HTTPS)
    urls = link_fields(message.id, links)
    content = fill_in("email", with_footer(order.content), {**fields, **urls})
    content = counted(content, message.id, links, order.tracking or {})
    return {"content": content, "unsubscribe_url": urls["unsubscribe_url"]}
