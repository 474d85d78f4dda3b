"""Mailgun's webhooks: a JSON object, and the forms of former releases."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from marketing_pipelines.domains.delivery.hooks import macs, verdicts
from marketing_pipelines.domains.delivery.hooks.calls import (
    ForgedCallError,
    HookCall,
    UnreadableCallError,
    read_json,
    require_key,
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
from marketing_pipelines.domains.delivery.message_ids import number_in
from marketing_pipelines.settings import Settings


def read(call: HookCall, settings: Settings) -> list[HookEvent]:
    """Its one event; the token of its signature counts once, since it signs nothing else."""
    keys = require_key(settings.hook_mailgun_key, "MARKETING_HOOK_MAILGUN_KEY")
    found = call.json() if _is_json(call) else call.form()
    if not isinstance(found, dict):
        raise UnreadableCallError("The body is no JSON object.")
    signature = found.get("signature") if _is_json(call) else found
    token, timestamp = text(signature, "token") or "", text(signature, "timestamp") or ""
    signed = f"{timestamp}{token}".encode()
    wanted = [macs.sha256(key.encode(), signed).hex() for key in keys]
    if not token or not macs.is_one_of(text(signature, "signature") or "", wanted):
        raise ForgedCallError("The signature is not Mailgun's: see MARKETING_HOOK_MAILGUN_KEY.")
    element = found.get("event-data") if _is_json(call) else found
    return [replace(event, token=token) for event in read_each("mailgun", [element], _event)]


def _is_json(call: HookCall) -> bool:
    return call.header("content-type").lower().startswith("application/json")


def _event(element: Mapping[str, Any]) -> HookEvent:
    verdict = _verdict(element)
    if verdict is None:
        return unread("mailgun", element, f"Its event is '{text(element, 'event') or ''}'.")
    header = text(element, "message", "headers", "message-id") or text(element, "Message-Id")
    at = instant_of(element.get("timestamp"))
    own_id = text(element, "id")
    return HookEvent(
        provider="mailgun",
        verdict=verdict,
        payload=element,
        recipient=text(element, "recipient"),
        message_id=_own_number(element),
        header_message_id=number_in(header),
        provider_message_id=header and header.strip("<>"),
        occurred_at=at,
        # Unique within a day only.
        own_id=f"{own_id} {at.astimezone(dt.UTC):%Y-%m-%d}" if own_id and at else None,
        reason=sentence(
            text(element, "delivery-status", "code") or text(element, "code"),
            text(element, "delivery-status", "message")
            or text(element, "delivery-status", "description")
            or text(element, "error")
            or text(element, "description"),
        ),
        url=text(element, "url"),
        is_machine=text(element, "client-info", "bot") is not None,
    )


def _own_number(element: Mapping[str, Any]) -> int | None:
    """Our number from the variables of a message, which the former forms had in a text."""
    variables = element.get("user-variables")
    if isinstance(variables, str):
        try:
            variables = read_json(variables)
        except ValueError:
            return None
    return number(variables, "message_id") or number(element, "message_id")


def _verdict(element: Mapping[str, Any]) -> HookVerdict | None:
    event, reason = text(element, "event") or "", text(element, "reason") or ""
    if event not in ("failed", "dropped"):
        return verdicts.MAILGUN.get(event)
    if reason in verdicts.MAILGUN_LISTED:
        return verdicts.MAILGUN_LISTED[reason]
    if event == "dropped" and (code := text(element, "code")) in verdicts.MAILGUN_DROPS:
        return verdicts.MAILGUN_DROPS[code or ""]
    # It was tried for hours and never refused for good.
    if reason == "old":
        return verdicts.SOFT
    if event == "dropped":
        return verdicts.FAILED
    return verdicts.HARD if text(element, "severity") == "permanent" else verdicts.NOTED
