"""An event as any provider tells it, and the careful reading of its fields."""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from marketing_pipelines.domains.delivery.hooks.verdicts import UNREAD, HookVerdict

MAX_ID_LENGTH = 200
MAX_REASON_LENGTH = 500


@dataclass(frozen=True)
class HookEvent:
    """One element of a call.

    Attributes:
        verdict: Its meaning.
        message_id: Our number, from the header that the provider gives back.
        header_message_id: Our number, from `Message-ID`.
        occurred_at: None if the provider gives no readable one.
        own_id: Id that the provider gives the event; None: one is made of its contents.
        token: Token of the call that counts once.
        category: Name of the category that was left or joined; empty: the message's own.
        message_key: Idempotency key of the message, where the provider names it.
        organization: External id of the organization, where the provider names it.
        is_of_list: True if it is about a list of the provider's and not about a message.
    """

    provider: str
    verdict: HookVerdict
    payload: Any
    channel: str = "email"
    recipient: str | None = None
    message_id: int | None = None
    header_message_id: int | None = None
    provider_message_id: str | None = None
    occurred_at: dt.datetime | None = None
    own_id: str | None = None
    token: str | None = None
    reason: str | None = None
    url: str | None = None
    is_machine: bool = False
    category: str | None = None
    message_key: str | None = None
    organization: str | None = None
    is_of_list: bool = False

    @property
    def event_id(self) -> str:
        """The id by which the event counts once."""
        if self.own_id and len(self.own_id) <= MAX_ID_LENGTH:
            return self.own_id
        at = None if self.occurred_at is None else self.occurred_at.isoformat()
        reference = self.message_id or self.provider_message_id or self.header_message_id
        told = [self.own_id, reference, self.recipient, self.verdict.type, at, self.url]
        if self.verdict.type == "unread" or (reference is None and self.recipient is None):
            told.append(self.payload)
        text = json.dumps(told, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def checked(self) -> "HookEvent":
        """The event; unread where it names neither a message nor a recipient."""
        named = (self.recipient, self.message_id, self.header_message_id, self.provider_message_id)
        if self.verdict == UNREAD or any(one is not None for one in (*named, self.message_key)):
            return self
        return replace(self, verdict=UNREAD, reason="It names neither a message nor a recipient.")


def read_each(
    provider: str, elements: Iterable[Any], read: Callable[[Mapping[str, Any]], HookEvent]
) -> list[HookEvent]:
    """Reads each element by itself: one that cannot be read stops no other."""
    return [_read_one(provider, element, read) for element in elements]


def _read_one(
    provider: str, element: Any, read: Callable[[Mapping[str, Any]], HookEvent]
) -> HookEvent:
    if not isinstance(element, dict):
        return unread(provider, element, "It is no object.")
    return read(element).checked()


def unread(provider: str, payload: Any, reason: str) -> HookEvent:
    """An element that says nothing we know."""
    return HookEvent(provider=provider, verdict=UNREAD, payload=payload, reason=reason)


def text(value: Any, *path: str) -> str | None:
    """The text or number below the names; None where there is none, or an empty one."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def number(value: Any, *path: str) -> int | None:
    """The number of a message below the names."""
    found = text(value, *path)
    if found is None or not re.fullmatch(r"[0-9]{1,18}", found):
        return None
    return int(found)


def instant_of(value: Any) -> dt.datetime | None:
    """The instant of seconds since 1970, or of an ISO 8601 text; None: it is neither."""
    found = text(value)
    if found is None:
        return None
    try:
        if re.fullmatch(r"\d+(\.\d+)?", found):
            return dt.datetime.fromtimestamp(float(found), dt.UTC)
        at = dt.datetime.fromisoformat(found)
    except (ValueError, OverflowError, OSError):
        return None
    return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)


def sentence(*parts: str | None) -> str | None:
    """The parts that are there, as one line of bounded length."""
    line = " ".join(" ".join(part for part in parts if part).split())
    return line[:MAX_REASON_LENGTH] or None
