"""Own tracking of opens and clicks, for transports that report neither.

A mail's links lead through the API, and an image says that it was opened; both are signed, so that
the redirect looks nothing up and leads nowhere else. A hit is an event of the provider `own`.
"""

import datetime as dt
import html
import itertools
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.footers import LINK_FIELDS, before_end_of_body
from marketing_pipelines.domains.delivery.hooks.events import HookEvent
from marketing_pipelines.domains.delivery.hooks.recording import lock_events, record
from marketing_pipelines.domains.delivery.hooks.tables import message_events
from marketing_pipelines.domains.delivery.hooks.verdicts import CLICKED, OPENED
from marketing_pipelines.domains.delivery.inlining import EXPRESSION
from marketing_pipelines.domains.delivery.links import ClickedLink, Links
from marketing_pipelines.domains.delivery.tables import messages

OWN = "own"
# No person is as fast.
MACHINE_SECONDS = 2.0
_SCANNERS = re.compile(
    r"bot\b|crawler|spider|scanner|barracuda|mimecast|proofpoint|urldefense|safelinks|symantec"
    r"|fireeye|trendmicro|sophos|python|curl|wget|go-http-client|java/|okhttp",
    re.IGNORECASE,
)
_BEGIN = re.compile(rf"{EXPRESSION.pattern}|<a(?=\s)", re.IGNORECASE | re.DOTALL)
_NUMBERED = re.compile(r"""(<a\b[^>]*?) data-link="(\d+)"([^>]*>)""", re.IGNORECASE)
_TARGET = re.compile(r"""(\bhref\s*=\s*)(["'])(https?://.*?)\2""", re.IGNORECASE | re.DOTALL)
_PIXEL = '<img src="{url}" width="1" height="1" alt="" style="border:0">'


@lru_cache(maxsize=500)
def numbered(page: str) -> str:
    """The template of a mail's HTML, each of whose links bears its number.

    A link has the same number in every mail of the content, whatever conditions leave out; the
    links that a loop makes of one have its number.
    """
    numbers = itertools.count(1)

    def mark(found: re.Match[str]) -> str:
        is_link = found[0][:2].lower() == "<a"
        return f'{found[0]} data-link="{next(numbers)}"' if is_link else found[0]

    return _BEGIN.sub(mark, page)


def counted(
    content: Mapping[str, Any], message_id: int, links: Links, tracking: Mapping[str, Any]
) -> dict[str, Any]:
    """A mail's content whose links and opening are counted, as the organization's settings say.

    Args:
        content: Filled in; its links are `numbered` if clicks are counted.
        tracking: The settings `tracking` as stored.
    """
    parts = dict(content)
    page = parts.get("html")
    if page is None:
        return parts
    if tracking.get("clicks"):
        page = _with_counted_links(page, message_id, links)
    if tracking.get("opens"):
        pixel = _PIXEL.format(url=html.escape(links.open(message_id)))
        page = before_end_of_body(page, pixel)
    parts["html"] = page
    return parts


def count_open(connection: sa.Connection, message_id: int, *, by: str, now: dt.datetime) -> None:
    """Counts an opening; `by` is the program that asked, or HEAD."""
    _count(connection, OPENED, message_id, f"{message_id}:open", None, by, now)


def count_click(connection: sa.Connection, link: ClickedLink, *, by: str, now: dt.datetime) -> None:
    """Counts a click; `by` is the program that asked, or HEAD."""
    key = f"{link.message_id}:link {link.number}"
    _count(connection, CLICKED, link.message_id, key, link.target, by, now)


def _with_counted_links(page: str, message_id: int, links: Links) -> str:
    own = {getattr(links, name)(message_id) for name in LINK_FIELDS.values()}

    def counting(number: int, found: re.Match[str]) -> str:
        target = html.unescape(found[3])
        if target in own:
            return found[0]
        url = links.click(ClickedLink(message_id, number, target))
        return f"{found[1]}{found[2]}{html.escape(url)}{found[2]}"

    def without_mark(found: re.Match[str]) -> str:
        number, tag = int(found[2]), found[1] + found[3]
        return _TARGET.sub(lambda target: counting(number, target), tag, count=1)

    return _NUMBERED.sub(without_mark, page)


def _count(
    connection: sa.Connection,
    verdict: Any,
    message_id: int,
    key: str,
    url: str | None,
    by: str,
    now: dt.datetime,
) -> None:
    first, repeat = f"{key}:first", f"{key}:{now.astimezone(dt.UTC):%Y-%m-%d %H:%M}"
    # Without the lock: a link that is asked for all the time holds up no other event.
    if _is_known(connection, repeat):
        return
    sent_at = connection.execute(
        sa.select(messages.c.sent_at).where(messages.c.id == message_id)
    ).scalar()
    is_early = sent_at is None or (now - sent_at).total_seconds() < MACHINE_SECONDS
    lock_events(connection)
    own_id = repeat if _is_known(connection, first) else first
    event = HookEvent(
        provider=OWN,
        verdict=verdict,
        payload={"by": by[:200].replace("\0", "")},
        message_id=message_id,
        occurred_at=now,
        own_id=own_id,
        url=url,
        is_machine=is_early or by == "HEAD" or bool(_SCANNERS.search(by)),
    )
    record(connection, [event], now=now)


def _is_known(connection: sa.Connection, own_id: str) -> bool:
    found = connection.execute(
        sa.select(sa.literal(1)).where(
            message_events.c.provider == OWN, message_events.c.provider_event_id == own_id
        )
    )
    return found.first() is not None
