"""Answers to FETCH, as `imaplib` hands them over: number, time, size and bytes of each mail."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_UID = re.compile(rb"\bUID (\d+)", re.IGNORECASE)
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)", re.IGNORECASE)
_DATE = re.compile(
    rb'INTERNALDATE " ?(\d+)-([a-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"',
    re.IGNORECASE,
)
_DRAFT = re.compile(rb"FLAGS \([^)]*\\Draft\b", re.IGNORECASE)
_BODY = re.compile(rb"\bBODY\[", re.IGNORECASE)
_QUOTED = re.compile(rb'\bBODY\[[^\]]*\](?:<\d+>)? "((?:[^"\\]|\\.)*)"', re.IGNORECASE)
# As IMAP writes them, in every locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NIL = re.compile(rb"\bBODY\[[^\]]*\](?:<\d+>)? NIL\b", re.IGNORECASE)
_LABELS = re.compile(rb'X-GM-LABELS \(((?:"(?:[^"\\]|\\.)*"|[^()"])*)\)', re.IGNORECASE)
_SENT = re.compile(rb'(?:^|[\s"])\\{1,2}Sent(?:$|[\s"])', re.IGNORECASE)
_ESCAPED = re.compile(rb"\\(.)")


@dataclass(frozen=True)
class Listed:
    """A mail as its folder lists it.

    Attributes:
        received_at: When it arrived on the server; None: the server gives no time.
        size: Bytes, as the server says; a few say it wrongly.
        is_draft: True if it was not sent; Gmail has drafts among all mail.
        is_sent: True if the owner sent it, as its label of Gmail or its folder says. Anybody can
            write a mail with the owner as its sender.
        is_refused: True if the server does not give the header, and another text stands for it.
    """

    uid: int
    received_at: dt.datetime | None
    size: int
    is_draft: bool
    header: bytes
    is_sent: bool = False
    is_refused: bool = False


def listed_of(data: Sequence[Any]) -> Iterator[Listed]:
    """Yields the mails of an answer; parts that are no mail are left out."""
    for items, content in _answers(data):
        labels = _LABELS.search(items)
        if labels is not None:
            # Its owner may name a label like an item.
            items = items[: labels.start()] + items[labels.end() :]
        uid = _UID.search(items)
        if uid is not None and content is not None:
            size = _SIZE.search(items)
            yield Listed(
                uid=int(uid[1]),
                received_at=_instant(items),
                size=int(size[1]) if size else 0,
                is_draft=_DRAFT.search(items) is not None,
                header=content,
                is_sent=labels is not None and _SENT.search(labels[1]) is not None,
            )


def bodies_of(data: Sequence[Any]) -> Iterator[tuple[int, bytes]]:
    """Yields number and bytes of the mails of an answer."""
    for items, content in _answers(data):
        uid = _UID.search(items)
        if uid is not None and content is not None:
            yield int(uid[1]), content


def _answers(data: Sequence[Any]) -> Iterator[tuple[bytes, bytes | None]]:
    """The items of each mail as one text, and its literal or quoted content.

    Items may stand before and after the literal; those after it are an element of their own.
    """
    items, content = b"", None
    for part in data:
        if isinstance(part, tuple):
            if items.endswith(b")"):
                yield _whole(items, content)
                items, content = b"", None
            head, literal = part
            items += head
            if _BODY.search(head) or content is None:
                content = bytes(literal)
        elif isinstance(part, bytes):
            if content is None and items:
                yield _whole(items, None)
                items = b""
            items += b" " + part
            if content is not None:
                yield _whole(items, content)
                items, content = b"", None
    if items:
        yield _whole(items, content)


def _whole(items: bytes, content: bytes | None) -> tuple[bytes, bytes | None]:
    if content is None and _NIL.search(items):
        return items, b""
    if content is None and (quoted := _QUOTED.search(items)):
        return items[: quoted.start()] + items[quoted.end() :], _ESCAPED.sub(rb"\1", quoted[1])
    return items, content


def _instant(items: bytes) -> dt.datetime | None:
    found = _DATE.search(items)
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    offset = dt.timedelta(hours=int(hours), minutes=int(minutes))
    try:
        zone = dt.timezone(-offset if sign == b"-" else offset)
        number = MONTHS.index(month.decode().capitalize()) + 1
        local = dt.datetime(
            int(year), number, int(day), int(hour), int(minute), int(second), tzinfo=zone
        )
        return local.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
