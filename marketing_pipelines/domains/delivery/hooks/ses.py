"""Events of Amazon SES, which arrive as notifications of SNS."""

from collections.abc import Iterator, Mapping
from typing import Any

from marketing_pipelines.domains.delivery.hooks import sns, verdicts
from marketing_pipelines.domains.delivery.hooks.calls import (
    HookCall,
    UnreadableCallError,
    read_json,
    require_key,
)
from marketing_pipelines.domains.delivery.hooks.events import (
    HookEvent,
    instant_of,
    number,
    sentence,
    text,
    unread,
)
from marketing_pipelines.domains.delivery.hooks.verdicts import HookVerdict
from marketing_pipelines.domains.delivery.message_ids import number_in
from marketing_pipelines.settings import Settings

# The objects of an event that hold its recipients, with the field of the address.
_RECIPIENTS = {
    "bounce": ("bouncedRecipients", "emailAddress"),
    "complaint": ("complainedRecipients", "emailAddress"),
    "delivery": ("recipients", None),
    "deliverydelay": ("delayedRecipients", "emailAddress"),
}
# Objects whose name is not that of their type.
_OBJECTS = {"deliverydelay": "deliveryDelay", "rendering failure": "failure"}


def read(call: HookCall, settings: Settings) -> list[HookEvent]:
    """Its events, one for each recipient; a subscription of a named topic is confirmed."""
    topics = require_key(settings.hook_ses_topics, "MARKETING_HOOK_SES_TOPICS")
    notification = call.json()
    if not isinstance(notification, dict):
        raise UnreadableCallError("The body is no JSON object.")
    sns.require_signature(call, notification, topics)
    match text(notification, "Type"):
        case "SubscriptionConfirmation":
            sns.confirm(call, notification)
            return []
        case "UnsubscribeConfirmation":
            return []
    return [event.checked() for event in _events(notification)]


def _events(notification: Mapping[str, Any]) -> Iterator[HookEvent]:
    try:
        told = read_json(text(notification, "Message") or "")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        yield unread("ses", dict(notification), "Its Message is no JSON object.")
        return
    kind = (text(told, "eventType") or text(told, "notificationType") or "").lower()
    about = told.get(_OBJECTS.get(kind, kind))
    verdict = _verdict(kind, about)
    if verdict is None:
        yield unread("ses", told, f"Its eventType is '{kind}'.")
        return
    own_id = text(notification, "MessageId")
    for recipient, said in _recipients(kind, told, about):
        yield HookEvent(
            provider="ses",
            verdict=verdict,
            payload=told,
            recipient=recipient,
            message_id=_own_number(told),
            header_message_id=_header(told),
            provider_message_id=text(told, "mail", "messageId"),
            occurred_at=instant_of(text(about, "timestamp"))
            or instant_of(text(notification, "Timestamp")),
            own_id=own_id and f"{own_id} {recipient or ''}".strip(),
            reason=sentence(
                text(about, "bounceSubType") if kind == "bounce" else None,
                said or text(about, "reason") or text(about, "errorMessage"),
            ),
            url=text(about, "link"),
            category=_topic(about),
        )


def _recipients(kind: str, told: Any, about: Any) -> Iterator[tuple[str | None, str | None]]:
    """Each recipient, with its server's answer."""
    name, field = _RECIPIENTS.get(kind, ("destination", None))
    found = (about if kind in _RECIPIENTS else told.get("mail")) or {}
    listed = found.get(name) if isinstance(found, dict) else None
    for one in listed if isinstance(listed, list) and listed else [None]:
        address = text(one, field) if field else text(one)
        yield address, text(one, "diagnosticCode")


def _verdict(kind: str, about: Any) -> HookVerdict | None:
    match kind:
        case "bounce":
            subtype = (text(about, "bounceSubType") or "").lower()
            bounce = (text(about, "bounceType") or "").lower()
            return verdicts.SES_LISTED.get(subtype) or verdicts.SES_BOUNCES.get(
                bounce, verdicts.SOFT
            )
        case "complaint":
            words = (text(about, "complaintFeedbackType"), text(about, "complaintSubType"))
            found = (verdicts.SES_COMPLAINTS.get((word or "").lower()) for word in words)
            return next((verdict for verdict in found if verdict), verdicts.COMPLAINED)
        case "subscription":
            if _preferences(about).get("unsubscribeAll") is True:
                return verdicts.UNSUBSCRIBED
            return verdicts.LEFT_CATEGORY if _topic(about) else verdicts.NOTED
    return verdicts.SES.get(kind)


def _topic(about: Any) -> str | None:
    """The topic of a contact list that a recipient left."""
    listed = _preferences(about).get("topicSubscriptionStatus")
    for one in listed if isinstance(listed, list) else []:
        if text(one, "subscriptionStatus") == "OptOut":
            return text(one, "topicName")
    return None


def _preferences(about: Any) -> Mapping[str, Any]:
    found = about.get("newTopicPreferences") if isinstance(about, dict) else None
    return found if isinstance(found, dict) else {}


def _own_number(told: Any) -> int | None:
    mail = told.get("mail")
    tags = mail.get("tags") if isinstance(mail, dict) else None
    values = tags.get("message_id") if isinstance(tags, dict) else None
    return number(values[0]) if isinstance(values, list) and values else None


def _header(told: Any) -> int | None:
    return number_in(text(told, "mail", "commonHeaders", "messageId"))
