"""Events of any other sender, signed as Standard Webhooks are."""

import base64
import binascii
import datetime as dt
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
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings

MAX_AGE = dt.timedelta(minutes=5)


def read(call: HookCall, settings: Settings) -> list[HookEvent]:
    """Its events; a signature is good for five minutes."""
    secrets = [
        _secret(one)
        for one in require_key(settings.hook_generic_secret, "MARKETING_HOOK_GENERIC_SECRET")
    ]
    number_of_call, at = call.header("webhook-id"), call.header("webhook-timestamp")
    signed = f"{number_of_call}.{at}.".encode() + call.body
    wanted = [base64.b64encode(macs.sha256(secret, signed)).decode() for secret in secrets]
    given = [
        mac
        for version, _, mac in (
            one.partition(",") for one in call.header("webhook-signature").split()
        )
        if version == "v1"
    ]
    signed_at = instant_of(at)
    if signed_at is None or not any(macs.is_one_of(mac, wanted) for mac in given):
        raise ForgedCallError(
            "The signature is not valid: sign as Standard Webhooks do, with "
            "MARKETING_HOOK_GENERIC_SECRET."
        )
    if abs(call.received_at - signed_at) > MAX_AGE:
        raise ForgedCallError("The signature is older than five minutes: sign each attempt anew.")
    return read_each("generic", require_objects(call.json()), _event)


def _secret(text_of_it: str) -> bytes:
    try:
        found = base64.b64decode(text_of_it.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        found = b""
    if not found:
        raise ConfigurationError(
            "MARKETING_HOOK_GENERIC_SECRET cannot be used: write it as whsec_ and base64."
        )
    return found


def _event(element: Mapping[str, Any]) -> HookEvent:
    verdict = _verdict(element)
    if verdict is None:
        return unread("generic", element, f"Its type is '{text(element, 'type') or ''}'.")
    return HookEvent(
        provider="generic",
        verdict=verdict,
        payload=element,
        recipient=text(element, "recipient"),
        message_id=number(element, "message_id"),
        message_key=text(element, "idempotency_key"),
        organization=text(element, "organization"),
        occurred_at=instant_of(element.get("occurred_at")),
        own_id=text(element, "id"),
        reason=sentence(text(element, "reason")),
        url=text(element, "url"),
        is_machine=element.get("machine_open") is True,
    )


def _verdict(element: Mapping[str, Any]) -> HookVerdict | None:
    kind = text(element, "type") or ""
    if kind == "bounced":
        return verdicts.GENERIC_BOUNCES.get(text(element, "bounce_type") or "soft")
    return verdicts.GENERIC.get(kind)
