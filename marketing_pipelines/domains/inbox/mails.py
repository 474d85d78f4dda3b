"""One mail, read from its raw bytes: addresses, text, names of other mails, identity, kind."""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import mktime_tz, parsedate_tz

from marketing_pipelines.domains.inbox import bodies, mail_addresses, mime, replies
from marketing_pipelines.domains.inbox.auto_replies import is_automatic
from marketing_pipelines.domains.inbox.bounces import Returned, read_returned

MAX_SUBJECT_LENGTH = 1_000
MAX_SNIPPET_LENGTH = 200
MAX_ID_LENGTH = 998
MAX_NAMES = 200
MAX_ATTACHMENTS = 200
_ID = re.compile(r"<\s*([^<>\s]+)\s*>")
_BARE_ID = re.compile(r"[^<>\s]+")
_FORWARDED = re.compile(r"\s*(?:fwd|fw|wg|tr|rv)\s*:", re.IGNORECASE)
# Before it, mail had no date as we know it; after it, PostgreSQL and Python disagree.
_FIRST_DATE = dt.datetime(1971, 1, 1, tzinfo=dt.UTC)
_LAST_DATE = dt.datetime(9000, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Attachment:
    """A file in a mail; its bytes stay in the raw mail.

    Attributes:
        type: Content type in small letters.
        size: Bytes.
    """

    name: str
    type: str
    size: int


@dataclass(frozen=True)
class Mail:
    """A mail as it was read.

    Texts hold nothing that PostgreSQL refuses; addresses are normalised; ids stand without angle
    brackets.

    Attributes:
        message_id: None where the mail has none.
        in_reply_to: The first id of that header.
        references: Ids of that header in its order, the eldest first.
        from_address: None where it is missing or cannot be read.
        display_names: Names by address, of sender and receivers.
        text: The text whole; of a mail in HTML alone, that of the page.
        reply: The text without quotations of earlier mails.
        snippet: The beginning of the reply on one line, at most 200 characters.
        sent_at: By the header Date; None where it is missing or no date.
        is_auto_reply: True if no person wrote it, as its headers or subject say.
        returned: What it says about the fate of another mail; None: it is about none.
        is_forward: True if it holds an attached mail, or its subject says so.
        malformed: True if it has no header, no sender, or addresses that cannot be read.
        has_list_id: True if it came by a mailing list.
        return_path: Envelope sender; empty: a mail to which nothing answers; None: not known.
        delivered_to: Addresses to which servers delivered it, the envelope's among them.
        names: Ids of the mails that it answers, continues, holds or gives back.
        identity: Equal for copies of one mail, wherever they lie.
        content_hash: SHA-256 of the raw bytes.
    """

    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    from_address: str | None
    to_addresses: tuple[str, ...]
    cc_addresses: tuple[str, ...]
    display_names: Mapping[str, str]
    subject: str
    text: str
    reply: str
    snippet: str
    sent_at: dt.datetime | None
    attachments: tuple[Attachment, ...]
    is_auto_reply: bool
    returned: Returned | None
    is_forward: bool
    malformed: bool
    has_list_id: bool
    return_path: str | None
    delivered_to: tuple[str, ...]
    names: tuple[str, ...]
    identity: str
    content_hash: str

    @property
    def is_bounce(self) -> bool:
        """True if it is about the fate of another mail: a bounce, a delay, a complaint."""
        return self.returned is not None


def read_mail(raw: bytes) -> Mail:
    """Reads a mail; never raises, for any bytes."""
    message = mime.parse(raw)
    parts = list(mime.parts_of(message))
    senders = mail_addresses.read_addresses(mime.raw_headers(message, "From"))
    receivers = mail_addresses.read_addresses(mime.raw_headers(message, "To"))
    copies = mail_addresses.read_addresses(mime.raw_headers(message, "Cc"))
    from_address = next(iter(senders), None)
    subject = mime.header_of(message, "Subject")[:MAX_SUBJECT_LENGTH]
    text = bodies.text_of(parts)
    reply = replies.cut(text)
    message_id = _first(_ids(message, "Message-ID"))
    in_reply_to = _first(_ids(message, "In-Reply-To"))
    references = _ids(message, "References")
    sent_at = _sent_at(message)
    returned = read_returned(parts, subject, text)
    attached = [_first(_ids(part, "Message-ID")) for part, is_inner in parts if is_inner]
    return Mail(
        message_id=message_id,
        in_reply_to=in_reply_to,
        references=references,
        from_address=from_address,
        to_addresses=tuple(receivers),
        cc_addresses=tuple(copies),
        display_names=copies | receivers | senders,
        subject=subject,
        text=text,
        reply=reply,
        snippet=mime.clean(reply or text)[:MAX_SNIPPET_LENGTH],
        sent_at=sent_at,
        attachments=_attachments(parts),
        is_auto_reply=is_automatic(message, subject),
        returned=returned,
        is_forward=bool(_FORWARDED.match(subject))
        or any(mime.type_of(part) == "message/rfc822" for part, _ in parts[1:]),
        malformed=_is_malformed(message, from_address),
        has_list_id=bool(mime.raw_header(message, "List-Id")),
        return_path=_return_path(message),
        delivered_to=_delivered_to(message),
        names=_names(
            [in_reply_to, *references, *attached, *(returned.message_ids if returned else ())]
        ),
        identity=_identity(message, message_id, from_address, list(receivers), subject, text),
        content_hash=hashlib.sha256(raw).hexdigest(),
    )


def _is_malformed(message: "Message[str, str]", from_address: str | None) -> bool:
    return from_address is None or any(
        mail_addresses.are_unreadable(mime.raw_headers(message, name)) for name in ("To", "Cc")
    )


def _identity(
    message: "Message[str, str]",
    message_id: str | None,
    from_address: str | None,
    receivers: Sequence[str],
    subject: str,
    text: str,
) -> str:
    date = mime.raw_header(message, "Date")
    sender = from_address or mime.raw_header(message, "From")
    if message_id is not None:
        own = ["id", message_id, date, sender]
    else:
        own = ["content", sender, ",".join(receivers), date, subject, text]
    return hashlib.sha256(json.dumps(own).encode()).hexdigest()


def _sent_at(message: "Message[str, str]") -> dt.datetime | None:
    try:
        parsed = parsedate_tz(mime.raw_header(message, "Date"))
        if parsed is None:
            return None
        at = dt.datetime.fromtimestamp(mktime_tz(parsed), dt.UTC)
    except (ValueError, OverflowError, OSError, TypeError, IndexError):
        return None
    return at if _FIRST_DATE <= at < _LAST_DATE else None


def _ids(message: "Message[str, str]", name: str) -> tuple[str, ...]:
    text = mime.raw_header(message, name)
    return _names(_ID.findall(text) or _BARE_ID.findall(text)[:1])


def _names(found: Iterable[str | None]) -> tuple[str, ...]:
    """The ids that are there, each once; of too many, the first and the last."""
    names = list(dict.fromkeys(one for one in found if one and len(one) <= MAX_ID_LENGTH))
    if len(names) > MAX_NAMES:
        names = names[: MAX_NAMES // 2] + names[-MAX_NAMES // 2 :]
    return tuple(mime.storable(name) for name in names)


def _first(found: Sequence[str]) -> str | None:
    return found[0] if found else None


def _return_path(message: "Message[str, str]") -> str | None:
    text = mime.raw_header(message, "Return-Path")
    if not text:
        return None
    return next(iter(mail_addresses.read_addresses([text])), "")


def _delivered_to(message: "Message[str, str]") -> tuple[str, ...]:
    headers = [
        one
        for name in ("Delivered-To", "X-Original-To", "Envelope-To", "X-Delivered-To")
        for one in mime.raw_headers(message, name)
    ]
    return tuple(mail_addresses.read_addresses(headers))


def _attachments(parts: Sequence[tuple["Message[str, str]", bool]]) -> tuple[Attachment, ...]:
    found: list[Attachment] = []
    for part, is_inner in parts[1:] if len(parts) > 1 else parts:
        if is_inner or len(found) == MAX_ATTACHMENTS:
            continue
        if bodies.is_attachment(part):
            found.append(Attachment(bodies.name_of(part), mime.type_of(part), mime.size_of(part)))
    return tuple(found)
