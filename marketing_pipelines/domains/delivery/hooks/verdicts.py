"""The meaning of the providers' words, as data.

A word that is not here is unread, or, of a failure, `failed` with the provider's sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Type = Literal[
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "unsubscribed",
    "resubscribed",
    "failed",
    "noted",
    "unread",
]


@dataclass(frozen=True)
class HookVerdict:
    """The meaning of an element.

    Attributes:
        bounce_type: hard or soft, of a bounce.
        suppression: Reason of the suppression that a provider's own list amounts to.
        has_category: True if it is about a group or category and not about the channel.
        reason: Reason of a failure, where it is a word of ours.
    """

    type: Type
    bounce_type: Literal["hard", "soft"] | None = None
    suppression: str | None = None
    has_category: bool = False
    reason: str | None = None


DELIVERED = HookVerdict("delivered")
OPENED = HookVerdict("opened")
CLICKED = HookVerdict("clicked")
COMPLAINED = HookVerdict("complained")
UNSUBSCRIBED = HookVerdict("unsubscribed")
RESUBSCRIBED = HookVerdict("resubscribed")
LEFT_CATEGORY = HookVerdict("unsubscribed", has_category=True)
JOINED_CATEGORY = HookVerdict("resubscribed", has_category=True)
HARD = HookVerdict("bounced", "hard")
SOFT = HookVerdict("bounced", "soft")
FAILED = HookVerdict("failed")
NOTED = HookVerdict("noted")
UNREAD = HookVerdict("unread")
LISTED_BOUNCE = HookVerdict("failed", suppression="hard_bounce")
LISTED_COMPLAINT = HookVerdict("failed", suppression="complaint")
LISTED_UNSUBSCRIBE = HookVerdict("failed", suppression="unsubscribed")
LISTED_BY_HAND = HookVerdict("failed", suppression="do_not_contact")
INVALID_NUMBER = HookVerdict("failed", reason="invalid_number")
Table = Mapping[str, HookVerdict]

# https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
SENDGRID: Table = {
    "processed": NOTED,
    "deferred": NOTED,
    "delivered": DELIVERED,
    "open": OPENED,
    "click": CLICKED,
    "spamreport": COMPLAINED,
    "unsubscribe": UNSUBSCRIBED,
    "resubscribe": RESUBSCRIBED,
    "group_unsubscribe": LEFT_CATEGORY,
    "group_resubscribe": JOINED_CATEGORY,
}
SENDGRID_BOUNCES: Table = {"bounce": HARD, "blocked": SOFT}
# By `reason`, in small letters.
SENDGRID_DROPS: Table = {
    "bounced address": LISTED_BOUNCE,
    "spam reporting address": LISTED_COMPLAINT,
    "unsubscribed address": LISTED_UNSUBSCRIBE,
}

# https://documentation.mailgun.com/docs/mailgun/user-manual/events/events
MAILGUN: Table = {
    "accepted": NOTED,
    "delivered": DELIVERED,
    "opened": OPENED,
    "clicked": CLICKED,
    "complained": COMPLAINED,
    "unsubscribed": UNSUBSCRIBED,
    "bounced": HARD,  # of the former webhooks
}
MAILGUN_LISTED: Table = {
    "suppress-bounce": LISTED_BOUNCE,
    "suppress-complaint": LISTED_COMPLAINT,
    "suppress-unsubscribe": LISTED_UNSUBSCRIBE,
}
# Codes of `dropped`, of the former webhooks.
MAILGUN_DROPS: Table = {
    "605": LISTED_BOUNCE,
    "606": LISTED_UNSUBSCRIBE,
    "607": LISTED_COMPLAINT,
}

# https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
SES: Table = {
    "send": NOTED,
    "deliverydelay": NOTED,
    "delivery": DELIVERED,
    "open": OPENED,
    "click": CLICKED,
    "reject": FAILED,
    "rendering failure": FAILED,
}
SES_BOUNCES: Table = {"permanent": HARD, "transient": SOFT, "undetermined": SOFT}
# By the subtype of a bounce.
SES_LISTED: Table = {"suppressed": LISTED_BOUNCE, "onaccountsuppressionlist": LISTED_BOUNCE}
# By the type of a complaint's feedback, then by its subtype.
SES_COMPLAINTS: Table = {"not-spam": NOTED, "onaccountsuppressionlist": LISTED_COMPLAINT}

# https://postmarkapp.com/developer/webhooks/webhooks-overview
POSTMARK: Table = {"delivery": DELIVERED, "open": OPENED, "click": CLICKED}
# https://postmarkapp.com/developer/api/bounce-api: any other type is noted.
POSTMARK_BOUNCES: Table = {
    "HardBounce": HARD,
    "BadEmailAddress": HARD,
    "ManuallyDeactivated": HARD,
    "SoftBounce": SOFT,
    "DnsError": SOFT,
    "Blocked": SOFT,
    "SpamNotification": SOFT,
    "DMARCPolicy": SOFT,
    "Unknown": SOFT,
    "InactiveRecipient": LISTED_BOUNCE,
    "SpamComplaint": COMPLAINED,
    "Unsubscribe": UNSUBSCRIBED,
}
# By the reason of a change of a list.
POSTMARK_LISTED: Table = {
    "HardBounce": LISTED_BOUNCE,
    "SpamComplaint": LISTED_COMPLAINT,
    "ManualSuppression": LISTED_UNSUBSCRIBE,
}

# https://mailchimp.com/developer/transactional/docs/webhooks/
MANDRILL: Table = {
    "send": NOTED,
    "deferral": NOTED,
    "delivered": DELIVERED,
    "open": OPENED,
    "click": CLICKED,
    "spam": COMPLAINED,
    "unsub": UNSUBSCRIBED,
    "hard_bounce": HARD,
    "soft_bounce": SOFT,
}
# By the reason of a rejection, or of an address on Mandrill's list.
MANDRILL_LISTED: Table = {
    "hard-bounce": LISTED_BOUNCE,
    "spam": LISTED_COMPLAINT,
    "unsub": LISTED_UNSUBSCRIBE,
    "custom": LISTED_BY_HAND,
}

# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
TWILIO: Table = {
    "accepted": NOTED,
    "scheduled": NOTED,
    "queued": NOTED,
    "sending": NOTED,
    "sent": NOTED,
    "delivered": DELIVERED,
    "read": OPENED,
    "undelivered": SOFT,
    "failed": FAILED,
}
# https://www.twilio.com/docs/api/errors: of `undelivered` and `failed`.
TWILIO_ERRORS: Table = {
    "30003": SOFT,
    "30005": HARD,
    "30006": HARD,
    "21610": LISTED_UNSUBSCRIBE,
    "21211": INVALID_NUMBER,
    "21614": INVALID_NUMBER,
}

GENERIC: Table = {
    "delivered": DELIVERED,
    "opened": OPENED,
    "clicked": CLICKED,
    "complained": COMPLAINED,
    "unsubscribed": UNSUBSCRIBED,
}
GENERIC_BOUNCES: Table = {"hard": HARD, "soft": SOFT}
