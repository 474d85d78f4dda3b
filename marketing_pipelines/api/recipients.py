"""Pages for recipients: leaving, choosing, confirming, and a message in the browser.

A signed link admits; nothing but POST changes anything, because scanners follow every link.
"""

from typing import Annotated, Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from marketing_pipelines.api.answers import Refusal
from marketing_pipelines.api.rendering import render
from marketing_pipelines.api.site import Here, Site
from marketing_pipelines.domains.delivery.consent import choices
from marketing_pipelines.domains.delivery.consent.choices import Recipient
from marketing_pipelines.domains.delivery.links import Confirmation, Links, OfMessage
from marketing_pipelines.failures import ConfigurationError

MAX_FIELDS = 500
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    # The address holds the token.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
# A mail's own styles and images; no scripts, no forms, no origin.
MESSAGE_HEADERS = HEADERS | {
    "Content-Security-Policy": "default-src 'none'; img-src https: data:; font-src https:;"
    " style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; sandbox allow-popups"
}
GONE = "This link is not valid. Please use the one from the latest message."
NOT_KEPT = "This message is no longer kept."
OF_A_TEST = "This link is from a test copy of a message. In a real message it works."
# Scanners ask by HEAD whether a link leads somewhere.
LOOKS = ["GET", "HEAD"]
router = APIRouter(include_in_schema=False)


async def _read(request: Request) -> dict[str, str]:
    text = (await request.body()).decode("ascii", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Refusal(400, "This is no form of ours: send it from its page.") from None


Form = Annotated[dict[str, str], Depends(_read)]


@router.api_route("/unsubscribe/{token}", methods=LOOKS)
def ask_to_leave(token: str, site: Here) -> HTMLResponse:
    """Asks which messages to leave."""
    with site.engine.begin() as connection:
        recipient = _recipient(connection, site, "unsubscribe", token)
        if recipient is None:
            return _not_found(site, "unsubscribe", token)
        return _leaving_page(connection, site, recipient, left=None)


@router.post("/unsubscribe/{token}")
def leave(token: str, request: Request, site: Here, form: Form) -> HTMLResponse:
    """Leaves the message's category, or everything; mail programs send it by themselves."""
    with site.engine.begin() as connection:
        recipient = _recipient(connection, site, "unsubscribe", token)
        if recipient is None:
            return gone()
        if form.get("leave") == "all":
            choices.leave_everything(connection, recipient, now=site.now())
            left = "all"
        else:
            one_click = form.get("List-Unsubscribe") == "One-Click"
            evidence = _evidence(request, site, "one-click" if one_click else "unsubscribe")
            choices.leave_category(connection, recipient, now=site.now(), evidence=evidence)
            left = "category"
        return _leaving_page(connection, site, recipient, left=left)


@router.api_route("/preferences/{token}", methods=LOOKS)
def ask_for_choices(token: str, site: Here) -> HTMLResponse:
    """Shows the categories as a form."""
    with site.engine.begin() as connection:
        recipient = _recipient(connection, site, "preferences", token)
        if recipient is None:
            return _not_found(site, "preferences", token)
        return _choices_page(connection, recipient, saved=False)


@router.post("/preferences/{token}")
def choose(token: str, request: Request, site: Here, form: Form) -> HTMLResponse:
    """Saves the changed choices."""
    wanted = {int(name[1:]) for name in form if name[:1] == "c" and name[1:].isdecimal()}
    with site.engine.begin() as connection:
        recipient = _recipient(connection, site, "preferences", token)
        if recipient is None:
            return gone()
        evidence = _evidence(request, site, "preferences")
        choices.choose(connection, recipient, wanted, now=site.now(), evidence=evidence)
        return _choices_page(connection, recipient, saved=True)


@router.api_route("/confirm/{token}", methods=LOOKS)
def ask_to_confirm(token: str, site: Here) -> HTMLResponse:
    """Shows the button that confirms a subscription."""
    with site.engine.begin() as connection:
        return _confirmation_page(connection, site, token)


@router.post("/confirm/{token}")
def confirm(token: str, request: Request, site: Here) -> HTMLResponse:
    """Confirms a subscription."""
    with site.engine.begin() as connection:
        confirmation = _confirmation(site, token)
        if confirmation is not None and confirmation.expires_at > site.now():
            evidence = _evidence(request, site, "confirm")
            choices.confirm(connection, confirmation, now=site.now(), evidence=evidence)
        return _confirmation_page(connection, site, token)


@router.api_route("/view/{token}", methods=LOOKS)
def view(token: str, site: Here) -> HTMLResponse:
    """Shows a mail as it was written, without pixel and counted links."""
    # Jinja2's sandbox is for this page only.
    from marketing_pipelines.domains.delivery.viewing import viewed

    message_id = _message(site, "view", token)
    if message_id is None or message_id < 0:
        return _not_found(site, "view", token)
    with site.engine.begin() as connection:
        page = viewed(connection, message_id, links_of(site))
    return gone(410, NOT_KEPT) if page is None else HTMLResponse(page, headers=MESSAGE_HEADERS)


def _leaving_page(
    connection: sa.Connection, site: Site, recipient: Recipient, left: str | None
) -> HTMLResponse:
    recipient = choices.recipient_of(connection, recipient.message_id) or recipient
    found = choices.choices_of(connection, recipient)
    category = next((one for one in found if one.id == recipient.category_id), None)
    return _page(
        "unsubscribe.html",
        recipient=recipient,
        category=category,
        left_all=choices.has_left(connection, recipient),
        left=left,
        preferences=links_of(site).preferences(recipient.message_id),
    )


def _choices_page(connection: sa.Connection, recipient: Recipient, saved: bool) -> HTMLResponse:
    found = choices.choices_of(connection, recipient)
    return _page("preferences.html", recipient=recipient, choices=found, saved=saved)


def _confirmation_page(connection: sa.Connection, site: Site, token: str) -> HTMLResponse:
    confirmation = _confirmation(site, token)
    if confirmation is None:
        return gone()
    asked = choices.asked(connection, confirmation)
    if asked is None:
        return gone()
    if asked.state != "subscribed" and confirmation.expires_at <= site.now():
        return gone(410, "This link has expired. Please subscribe again.")
    return _page("confirm.html", asked=asked)


def _recipient(
    connection: sa.Connection, site: Site, purpose: OfMessage, token: str
) -> Recipient | None:
    message_id = _message(site, purpose, token)
    return None if message_id is None else choices.recipient_of(connection, message_id)


def _message(site: Site, purpose: OfMessage, token: str) -> int | None:
    return links_of(site).message_of(purpose, token)


def _confirmation(site: Site, token: str) -> Confirmation | None:
    return links_of(site).confirmation(token)


def links_of(site: Site) -> Links:
    """The links of the installation; a refusal where they cannot be made."""
    try:
        return Links.of(site.settings)
    except ConfigurationError as error:
        raise Refusal(503, str(error)) from None


def _evidence(request: Request, site: Site, form: str) -> dict[str, str]:
    client = request.client
    return {
        "form": form,
        "at": site.now().isoformat(),
        "ip": client.host if client else "",
        "user_agent": request.headers.get("user-agent", "")[:200].replace("\0", ""),
    }


def gone(status: int = 404, sentence: str = GONE) -> HTMLResponse:
    """The answer to a link that is not valid."""
    return HTMLResponse(render("recipients/gone.html", sentence=sentence), status, HEADERS)


def _not_found(site: Site, purpose: OfMessage, token: str) -> HTMLResponse:
    """The answer to a link of a message that is not there; those of test copies never are."""
    message_id = _message(site, purpose, token)
    return gone() if message_id is None or message_id >= 0 else gone(404, OF_A_TEST)


def _page(template: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(render(f"recipients/{template}", **values), headers=HEADERS)
