"""Links that every marketing mail has: fields for its templates, and a footer where it has none."""

import re
from collections.abc import Mapping
from typing import Any

from marketing_pipelines.domains.delivery.links import Links

TEXT_FOOTER = "\n\n-- \nUnsubscribe: {{ unsubscribe_url }}\n"
HTML_FOOTER = (
    '<p style="font-size:12px;color:#63686e;margin-top:24px">'
    '<a href="{{ unsubscribe_url }}">Unsubscribe</a> · '
    '<a href="{{ preferences_url }}">Choose what you get</a> · '
    '<a href="{{ view_url }}">View in browser</a></p>'
)
# Fields of templates, each with the kind of link that it holds.
LINK_FIELDS = {
    "unsubscribe_url": "unsubscribe",
    "preferences_url": "preferences",
    "view_url": "view",
}
_END_OF_BODY = re.compile(r"</body\s*>(?!.*</body)", re.IGNORECASE | re.DOTALL)


def link_fields(message_id: int, links: Links) -> dict[str, str]:
    """The fields `unsubscribe_url`, `preferences_url` and `view_url` of a message."""
    return {field: getattr(links, kind)(message_id) for field, kind in LINK_FIELDS.items()}


def with_footer(content: Mapping[str, Any]) -> dict[str, Any]:
    """A mail's content whose every part lets the recipient leave."""
    parts = dict(content)
    if "unsubscribe_url" not in parts["text"]:
        parts["text"] = parts["text"].rstrip("\n") + TEXT_FOOTER
    html = parts.get("html")
    if html is not None and "unsubscribe_url" not in html:
        parts["html"] = before_end_of_body(html, HTML_FOOTER)
    return parts


def before_end_of_body(html: str, piece: str) -> str:
    """A page with a piece at its end."""
    found = _END_OF_BODY.search(html)
    place = found.start() if found else len(html)
    return html[:place] + piece + html[place:]
