"""Postmark's webhooks: one object a call, behind a user name and a password."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from marketing_pipelines.domains.delivery.hooks import macs, verdicts
from marketing_pipelines.domains.delivery.hooks.calls import (
    ForgedCallError,
    HookCall,
    require_key,
    require_objects,
)
from marketing_pipelines.domains.delivery.hooks.events import (
    HookEvent,
    instant_of,
    number,
    read_each,
    sentence,
    text,
    unread,
)
from marketing_pipelines.domains.delivery.hooks.verdicts import HookVerdict
from marketing_pipelines.settings import Settings


def read(call: HookCall, settings: Settings) -> list[HookEvent]:
    """Its events; see `hooks.receiving.PROVIDERS`."""
    users = require_key(settings.hook_postmark_user, "MARKETING_HOOK_POSTMARK_USER")
    passwords = require_key(settings.hook_postmark_password, "MARKETING_HOOK_POSTMARK_PASSWORD")
    wanted = [f"{user}:{password}" for user in users for password in passwords]
    kind, _, credentials = call.header("authorization").partition(" ")
    try:
        given = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        given = ""
    if kind.lower() != "basic" or not macs.is_one_of(given, wanted):
        raise ForgedCallError(
            "The user name or the password is not Postmark's: see MARKETING_HOOK_POSTMARK_USER and "
            "MARKETING_HOOK_POSTMARK_PASSWORD."
        )
    return read_each("postmark", require_objects(call.json()), _event)


def _event(element: Mapping[str, Any]) -> HookEvent:
    kind = (text(element, "RecordType") or "").lower()
    verdict = _verdict(kind, element)
    if verdict is None:
        return unread("postmark", element, f"Its RecordType is '{kind}'.")
    bounce_id = text(element, "ID")
    times = ("DeliveredAt", "ReceivedAt", "BouncedAt", "ChangedAt")
    return HookEvent(
        provider="postmark",
        verdict=verdict,
        payload=element,
        recipient=text(element, "Recipient") or text(element, "Email"),
        message_id=number(element, "Metadata", "message_id"),
        provider_message_id=text(element, "MessageID"),
        occurred_at=next((at for name in times if (at := instant_of(element.get(name)))), None),
        own_id=f"bounce:{bounce_id}" if kind in ("bounce", "spamcomplaint") and bounce_id else None,
        reason=sentence(text(element, "Type"), text(element, "Details")),
        url=text(element, "OriginalLink"),
        is_of_list=kind == "subscriptionchange",
    )


def _verdict(kind: str, element: Mapping[str, Any]) -> HookVerdict | None:
    match kind:
        case "bounce":
            return verdicts.POSTMARK_BOUNCES.get(text(element, "Type") or "", verdicts.NOTED)
        case "spamcomplaint":
            return verdicts.COMPLAINED
        case "subscriptionchange":
            if element.get("SuppressSending") is not True:
                return verdicts.RESUBSCRIBED
            reason = text(element, "SuppressionReason") or ""
            return verdicts.POSTMARK_LISTED.get(reason, verdicts.NOTED)
    return verdicts.POSTMARK.get(kind)
