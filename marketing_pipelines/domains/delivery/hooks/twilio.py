"""Twilio's status callbacks: a form about one message, whose number is in the address."""

from collections.abc import Mapping
from typing import Any

from marketing_pipelines.domains.delivery.hooks import macs, verdicts
from marketing_pipelines.domains.delivery.hooks.calls import (
    ForgedCallError,
    HookCall,
    require_key,
)
from marketing_pipelines.domains.delivery.hooks.events import (
    HookEvent,
    number,
    read_each,
    sentence,
    text,
    unread,
)
from marketing_pipelines.domains.delivery.hooks.verdicts import HookVerdict
from marketing_pipelines.settings import Settings

PARAMETER = "message"


def read(call: HookCall, settings: Settings) -> list[HookEvent]:
    """Its one event; see `hooks.receiving.PROVIDERS`."""
    keys = require_key(settings.hook_twilio_token, "MARKETING_HOOK_TWILIO_TOKEN")
    fields = call.form()
    wanted = [macs.of_form(key, call.known_url(), fields) for key in keys]
    if not macs.is_one_of(call.header("x-twilio-signature"), wanted):
        raise ForgedCallError(
            "The signature is not Twilio's: see MARKETING_HOOK_TWILIO_TOKEN and "
            "MARKETING_PUBLIC_URL."
        )
    element = {**fields, PARAMETER: call.parameters.get(PARAMETER, "")}
    return read_each("twilio", [element], _event)


def _event(element: Mapping[str, Any]) -> HookEvent:
    verdict = _verdict(element)
    status = text(element, "MessageStatus") or text(element, "SmsStatus") or ""
    if verdict is None:
        return unread("twilio", element, f"Its MessageStatus is '{status}'.")
    number_there = text(element, "MessageSid") or text(element, "SmsSid")
    code = text(element, "ErrorCode")
    return HookEvent(
        provider="twilio",
        verdict=verdict,
        payload=element,
        channel="sms",
        recipient=text(element, "To"),
        message_id=number(element, PARAMETER),
        provider_message_id=number_there,
        own_id=f"{number_there}:{status}" if number_there else None,
        reason=sentence(f"Error {code}" if code else None, text(element, "ErrorMessage")),
    )


def _verdict(element: Mapping[str, Any]) -> HookVerdict | None:
    status = text(element, "MessageStatus") or text(element, "SmsStatus") or ""
    verdict = verdicts.TWILIO.get(status)
    if status in ("undelivered", "failed"):
        return verdicts.TWILIO_ERRORS.get(
            text(element, "ErrorCode") or "", verdict or verdicts.FAILED
        )
    return verdict
