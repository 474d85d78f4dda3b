"""Fills in the templates of messages: `{{ first_name }}` becomes the contact's first name.

A template names fields, with a few filters, conditions and one level of loops; `templates` says
what it cannot do.
"""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketing_pipelines.domains.delivery.inlining import inline_css
from marketing_pipelines.domains.delivery.tables import TEXTS
from marketing_pipelines.domains.delivery.templates import MAX_NESTING, BoundError, Bounds, read
from marketing_pipelines.failures import PermanentError

MAX_REASON = 300


class MessageError(PermanentError):
    """This message cannot be sent, now or later; the others of its channel can."""


@dataclass(frozen=True)
class Sender:
    """The sender of a mail.

    Attributes:
        headers: Further headers of its domain's mails.
        bounces_to: Envelope sender; None: the address itself.
    """

    address: str
    name: str
    reply_to: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bounces_to: str | None = None


@dataclass(frozen=True)
class Rendered:
    """A message as it goes out.

    Attributes:
        id: The message's number: the same each time it is sent.
        organization: Name of the organization that sends it.
        recipient: E-mail address, phone number or push token.
        name: Name of the contact; empty where it is not known.
        content: Content of the step, by its own keys, filled in.
        sender: Sender of a mail; None: the organization has no domain to send from.
        signature: Of the Message-ID and the bounce address of a mail; others have none.
        unsubscribe_url: Page on which the contact leaves; None: the message has none.
        gone: Devices of the recipient that no longer exist; the transport adds them.
    """

    id: int
    organization_id: int
    organization: str
    channel: str
    queued_at: dt.datetime
    recipient: str
    name: str
    content: Mapping[str, Any]
    sender: Sender | None = None
    signature: str = ""
    unsubscribe_url: str | None = None
    gone: list[str] = field(default_factory=list, compare=False)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Makes every error of writing a message down the message's own."""
    try:
        yield
    except MessageError:
        raise
    except Exception as error:
        raise MessageError(f"It cannot be written ({type(error).__name__}: {error}).") from error


def fill_in(content: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The content for a contact.

    Args:
        content: A step's object, as `lifecycle.steps` describes it.
        fields: Fields of the contact; a missing one is empty.

    Raises:
        MessageError: a template cannot be filled in; it says which and why.
    """
    bounds = Bounds()

    def fill(part: str, source: str) -> str:
        try:
            is_html = part == "html"
            source = inline_css(source) if is_html else source
            return bounds.fill_in(source, fields, is_html=is_html)
        # A template is the organization's own text: any error in it is a failure of this message.
        except Exception as error:
            raise _failure(part, error) from error

    return {part: fill(part, source) for part in TEXTS if (source := content.get(part)) is not None}


def fill_in_body(body: Any, fields: Mapping[str, Any]) -> Any:
    """The body of a webhook for a contact.

    Args:
        body: An object whose texts are templates, at any depth.

    Raises:
        MessageError: a template cannot be filled in; it says which and why.
    """
    bounds = Bounds()

    def fill(part: str, source: str) -> str:
        try:
            return bounds.fill_in(source, fields, is_html=False)
        # A template is the organization's own text: any error in it is a failure of this message.
        except Exception as error:
            raise _failure(part, error) from error

    try:
        return _deep("body", body, fill)
    except (BoundError, RecursionError) as error:
        raise _failure("body", error) from error


def problem_of(content: Mapping[str, Any]) -> str | None:
    """The fault of a step's object that no contact could change; None: there is none."""
    part = "body"
    try:
        for part, source in _sources(content):
            read(source, is_html=part == "html")
    # The library raises errors of its own, of Python's compiler, and of the stack.
    except Exception as error:
        line = getattr(error, "lineno", None)
        return f"{part}: {_reason(error)}" + (f" (its line {line})" if line else "")
    return None


def _sources(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in (*TEXTS, "body"):
        yield from _sources_below(part, content.get(part))


def _sources_below(part: str, value: Any, depth: int = 1) -> Iterator[tuple[str, str]]:
    _check_depth(depth)
    if isinstance(value, str):
        yield part, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _sources_below(f"{part}.{key}", below, depth + 1)
    elif isinstance(value, list):
        for below in value:
            yield from _sources_below(part, below, depth + 1)


def _deep(part: str, value: Any, fill: Callable[[str, str], str], depth: int = 0) -> Any:
    _check_depth(depth)
    if isinstance(value, str):
        return fill(part, value)
    if isinstance(value, dict):
        return {key: _deep(f"{part}.{key}", one, fill, depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [_deep(part, below, fill, depth + 1) for below in value]
    return value


def _check_depth(depth: int) -> None:
    if depth > MAX_NESTING:
        raise BoundError(f"it is nested deeper than {MAX_NESTING} levels")


def _failure(part: str, error: Exception) -> MessageError:
    return MessageError(f"Its {part} cannot be filled in: {_reason(error)}.")


def _reason(error: Exception) -> str:
    reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}…"
