"""SendGrid's signed event webhook."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from marketing_pipelines.domains.delivery.hooks import verdicts
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
from marketing_pipelines.domains.delivery.message_ids import number_in
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


def read(call: HookCall, settings: Settings) -> list[HookEvent]:
    """Its events; see `hooks.receiving.PROVIDERS`."""
    keys = [
        _public_key(key)
        for key in require_key(settings.hook_sendgrid_key, "MARKETING_HOOK_SENDGRID_KEY")
    ]
    signed = call.header(TIMESTAMP).encode() + call.body
    if not any(_is_by(key, call.header(SIGNATURE), signed) for key in keys):
        raise ForgedCallError("The signature is not SendGrid's: see MARKETING_HOOK_SENDGRID_KEY.")
    return read_each("sendgrid", require_objects(call.json()), _event)


def _public_key(key: str) -> ec.EllipticCurvePublicKey:
    try:
        found = load_der_public_key(base64.b64decode(key, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, ec.EllipticCurvePublicKey):
        raise ConfigurationError(
            "MARKETING_HOOK_SENDGRID_KEY is no public key: copy the verification key of SendGrid's "
            "signed event webhook."
        )
    return found


def _is_by(key: ec.EllipticCurvePublicKey, signature: str, signed: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature), signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _event(element: Mapping[str, Any]) -> HookEvent:
    verdict = _verdict(element)
    if verdict is None:
        return unread("sendgrid", element, f"Its event is '{text(element, 'event') or ''}'.")
    sent_as = text(element, "sg_message_id")
    return HookEvent(
        provider="sendgrid",
        verdict=verdict,
        payload=element,
        recipient=text(element, "email"),
        message_id=number(element, "message_id"),
        header_message_id=number_in(text(element, "smtp-id")),
        # The server's answer to a mail has the part before the first dot.
        provider_message_id=sent_as and sent_as.partition(".")[0],
        occurred_at=instant_of(element.get("timestamp")),
        own_id=text(element, "sg_event_id"),
        reason=sentence(text(element, "reason")),
        url=text(element, "url"),
        is_machine=element.get("sg_machine_open") is True,
        category=text(element, "asm_group_id"),
    )


def _verdict(element: Mapping[str, Any]) -> HookVerdict | None:
    match text(element, "event"):
        case "bounce":
            kind = text(element, "type") or "bounce"
            return verdicts.SENDGRID_BOUNCES.get(kind, verdicts.FAILED)
        case "dropped":
            reason = (text(element, "reason") or "").lower()
            return verdicts.SENDGRID_DROPS.get(reason, verdicts.FAILED)
        case event:
            return verdicts.SENDGRID.get(event or "")
