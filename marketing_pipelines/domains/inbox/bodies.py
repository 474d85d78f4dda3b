"""The text of a mail, of whichever parts it is made."""

import re
from collections.abc import Sequence
from email.message import Message

from marketing_pipelines.domains.inbox import mime

MAX_TEXT_LENGTH = 200_000
MAX_HTML_LENGTH = 300_000
MAX_NAME_LENGTH = 255
_TAG = re.compile(r"<[^<>]{0,2000}>")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")


def text_of(parts: Sequence[tuple["Message[str, str]", bool]]) -> str:
    """Returns the text that the mail shows: its plain parts, else those in HTML as text."""
    shown = [
        part
        for part, is_inner in parts
        if not is_inner and not part.is_multipart() and not is_attachment(part)
    ]
    plain = [mime.text_of(part) for part in shown if mime.type_of(part) == "text/plain"]
    text = _tidy("\n\n".join(one for one in plain if one.strip()))
    if text:
        return text
    pages = [mime.text_of(part) for part in shown if mime.type_of(part) == "text/html"]
    return _tidy("\n\n".join(text_of_html(page) for page in pages))


def text_of_html(page: str) -> str:
    """Returns the text of a page; of one that cannot be parsed, the text between its tags."""
    page = page[:MAX_HTML_LENGTH]
    if not page.strip():
        return ""
    # Most mails have a plain part, and the library takes a while to load.
    from inscriptis import get_text
    from lxml.etree import LxmlError

    try:
        return str(get_text(page))
    except (LxmlError, ValueError, RecursionError, AssertionError, IndexError, TypeError):
        return _TAG.sub(" ", page)


def is_attachment(part: "Message[str, str]") -> bool:
    """Returns True if a part is a file, and not text or a frame of others."""
    if mime.type_of(part) == "message/rfc822":
        return True
    if part.is_multipart():
        return False
    if mime.raw_header(part, "Content-Disposition").lower().startswith("attachment"):
        return True
    return mime.type_of(part) not in ("text/plain", "text/html") or bool(name_of(part))


def name_of(part: "Message[str, str]") -> str:
    """Returns the name of a file; empty where it has none."""
    name = mime.parameter_of(part, "filename", "content-disposition")
    return (name or mime.parameter_of(part, "name"))[:MAX_NAME_LENGTH]


def _tidy(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")[:MAX_TEXT_LENGTH]
    # A pattern for spaces before the end of a line takes quadratic time.
    text = "\n".join(line.rstrip(" \t") for line in mime.storable(text).split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip()
