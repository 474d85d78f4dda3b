"""Counted links of mail: the image of an opening, and the redirect of a click.

The answer never waits for the count, and does not depend on it.
"""

import base64
import logging
from collections.abc import Callable

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.background import BackgroundTask

from marketing_pipelines.api.rates import OVER_RATE
from marketing_pipelines.api.recipients import gone, links_of
from marketing_pipelines.api.site import Here, Site

_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "no-referrer",
}
_METHODS = ["GET", "HEAD"]
router = APIRouter(include_in_schema=False)
_logger = logging.getLogger(__name__)


@router.api_route("/o/{token}.gif", methods=_METHODS)
def opened(token: str, request: Request, site: Here) -> Response:
    """Counts an opening of a mail."""
    from marketing_pipelines.domains.delivery.tracking import count_open

    message_id = links_of(site).message_of("open", token)
    if message_id is None:
        return gone()
    by, now = _by(request), site.now()
    task = _later(
        request, site, lambda connection: count_open(connection, message_id, by=by, now=now)
    )
    return Response(_PIXEL, media_type="image/gif", headers=_HEADERS, background=task)


@router.api_route("/c/{token}", methods=_METHODS)
def clicked(token: str, request: Request, site: Here) -> Response:
    """Counts a click and leads to the link's target."""
    from marketing_pipelines.domains.delivery.tracking import count_click

    link = links_of(site).clicked(token)
    if link is None:
        return gone()
    by, now = _by(request), site.now()
    task = _later(request, site, lambda connection: count_click(connection, link, by=by, now=now))
    return RedirectResponse(link.target, 302, headers=_HEADERS, background=task)


def _by(request: Request) -> str:
    return "HEAD" if request.method == "HEAD" else request.headers.get("user-agent", "")


def _later(
    request: Request, site: Site, count: Callable[[sa.Connection], None]
) -> BackgroundTask | None:
    """The count of a hit; None: its link is called too often."""
    if getattr(request.state, OVER_RATE):
        return None

    def counting() -> None:
        try:
            with site.engine.begin() as connection:
                count(connection)
        except Exception as error:
            _logger.warning("An opening or a click is not counted: %s", error)

    return BackgroundTask(counting)
