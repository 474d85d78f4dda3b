"""Mandrill's webhooks: a form with one field, a JSON list of events."""

from collections.abc import Mapping
from typing import Any

from marketing_pipelines.domains.delivery.hooks import macs, verdicts
from marketing_pipelines.domains.delivery.hooks.calls import (
    ForgedCallError,
    HookCall,
    UnreadableCallError,
    read_json,
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

FIELD = "mandrill_events"


def read(call: HookCall, settings: Settings) -> list[HookEvent]:
    """Its events; an empty list is answered before there is a key, as Mandrill asks for it."""
    fields = call.form()
    if fields.get(FIELD, "").strip() == "[]":
        return []
    keys = require_key(settings.hook_mandrill_key, "MARKETING_HOOK_MANDRILL_KEY")
    wanted = [macs.of_form(key, call.known_url(), fields) for key in keys]
    if not macs.is_one_of(call.header("x-mandrill-signature"), wanted):
        raise ForgedCallError(
            "The signature is not Mandrill's: see MARKETING_HOOK_MANDRILL_KEY and "
            "MARKETING_PUBLIC_URL."
        )
    try:
        found = read_json(fields.get(FIELD, ""))
    except ValueError:
        raise UnreadableCallError(f"The field {FIELD} is no JSON.") from None
    return read_each("mandrill", require_objects(found), _event)


def _event(element: Mapping[str, Any]) -> HookEvent:
    verdict = _verdict(element)
    if verdict is None:
        name = text(element, "event") or text(element, "type") or ""
        return unread("mandrill", element, f"Its event is '{name}'.")
    is_of_list = "event" not in element
    return HookEvent(
        provider="mandrill",
        verdict=verdict,
        payload=element,
        recipient=text(element, "reject" if is_of_list else "msg", "email"),
        message_id=number(element, "msg", "metadata", "message_id"),
        provider_message_id=text(element, "msg", "_id") or text(element, "_id"),
        occurred_at=instant_of(element.get("ts")),
        reason=sentence(
            text(element, "msg", "diag")
            or text(element, "msg", "reject", "reason")
            or text(element, "reject", "reason")
        ),
        url=text(element, "url"),
        is_of_list=is_of_list,
    )


def _verdict(element: Mapping[str, Any]) -> HookVerdict | None:
    match text(element, "event"):
        case None:
            return _verdict_of_list(element)
        case "reject":
            reason = text(element, "msg", "reject", "reason") or text(element, "reject", "reason")
            return verdicts.MANDRILL_LISTED.get(reason or "", verdicts.FAILED)
        case event:
            return verdicts.MANDRILL.get(event)


def _verdict_of_list(element: Mapping[str, Any]) -> HookVerdict | None:
    """The meaning of a change of Mandrill's own lists, which names no message."""
    if text(element, "type") not in ("blacklist", "whitelist"):
        return None
    if text(element, "type") == "whitelist" or text(element, "action") == "change":
        return verdicts.NOTED
    reason = text(element, "reject", "reason") or ""
    if text(element, "action") == "remove":
        return verdicts.RESUBSCRIBED if reason == "unsub" else verdicts.NOTED
    return verdicts.MANDRILL_LISTED.get(reason, verdicts.NOTED)
