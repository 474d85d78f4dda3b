"""A call of a provider, received whole: the signature, the elements, and one transaction."""

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.hooks import (
    generic,
    mailgun,
    mandrill,
    postmark,
    recording,
    sendgrid,
    ses,
    twilio,
)
from marketing_pipelines.domains.delivery.hooks.calls import HookCall
from marketing_pipelines.domains.delivery.hooks.events import HookEvent
from marketing_pipelines.settings import Settings

# Each reads the events of a call; raises `ForgedCallError`, `UnreadableCallError` or
# `TooManyElementsError`, and `ConfigurationError` where its setting is missing or cannot be used.
PROVIDERS: Mapping[str, Callable[[HookCall, Settings], list[HookEvent]]] = {
    "sendgrid": sendgrid.read,
    "mailgun": mailgun.read,
    "postmark": postmark.read,
    "ses": ses.read,
    "mandrill": mandrill.read,
    "twilio": twilio.read,
    "generic": generic.read,
}


def receive(engine: sa.Engine, provider: str, call: HookCall, settings: Settings) -> int:
    """Stores the events of a call with their effects; returns the number of new ones.

    Raises:
        ForgedCallError: it is not from the provider.
        UnreadableCallError: its body as a whole cannot be read.
        TooManyElementsError: it has too many elements.
        ConfigurationError: the provider's setting is missing, or cannot be used.
    """
    events = PROVIDERS[provider](call, settings)
    if not events:
        return 0
    with engine.begin() as connection:
        return recording.record(connection, events, now=call.received_at)
