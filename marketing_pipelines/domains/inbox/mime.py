"""The raw bytes of a mail as headers and parts, within bounds of time and size.

Bytes come from strangers: each bound below stands against a mail that is made to cost much, and
lies far above what mail programs write. Nothing here raises on any bytes.
"""

import binascii
import codecs
import io
import re
from collections.abc import Iterator
from email import errors, header
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import Compat32

# A mail of 30 MB in lines of 76 characters has fewer lines.
MAX_BYTES = 30_000_000
MAX_LINES = 400_000
# The parser compares each line with the boundary of each open part: lines times depth is its work.
MAX_COMPARISONS = 4_000_000
MIN_LINES = 2_000
MAX_PARTS = 1_000
# Of one name, in all its headers.
MAX_HEADER_LENGTH = 100_000
MAX_HEADERS = 100
# Python takes quadratic time for parameters and encoded words.
MAX_PARAMETERS_LENGTH = 5_000
MAX_PARAMETERS = 50
MAX_ENCODED_LENGTH = 10_000
_CONTAINER = re.compile(rb"(?:multipart|message)/", re.IGNORECASE)
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]+")
_CHARSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "iso-8859-8-i": "iso-8859-8",
    "unicode-1-1-utf-7": "utf-7",
    # As browsers read it: bytes 0x80 to 0x9f are letters and quotation marks there.
    "iso-8859-1": "cp1252",
}
# Codecs of Python that are no charsets of mail; some take quadratic time.
_NO_CHARSETS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"}


class _AsWritten(Compat32):
    """The policy that gives headers as they were written, bytes beyond ASCII as surrogates."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        """Returns the value, or the beginning of a long one."""
        if not name.lower().startswith("content-"):
            return value[:MAX_HEADER_LENGTH]
        return ";".join(value[:MAX_PARAMETERS_LENGTH].split(";", MAX_PARAMETERS)[:MAX_PARAMETERS])


_POLICY = _AsWritten()


def parse(raw: bytes) -> "Message[str, str]":
    """Returns the mail as a tree of parts; of one beyond the bounds, its beginning."""
    head = raw[:MAX_BYTES]
    lines = max(MIN_LINES, min(MAX_LINES, MAX_COMPARISONS // (1 + len(_CONTAINER.findall(head)))))
    if head.count(b"\n") + head.count(b"\r") > lines:
        head = b"".join(head.splitlines(keepends=True)[:lines])
    try:
        # From a file: from bytes it would make a copy of four bytes a character.
        return BytesParser(policy=_POLICY).parse(io.BytesIO(head))
    except (RecursionError, ValueError, LookupError):
        return BytesHeaderParser(policy=_POLICY).parsebytes(head)


def parts_of(message: "Message[str, str]") -> "Iterator[tuple[Message[str, str], bool]]":
    """Yields the parts in their order, each with true if it belongs to an attached mail.

    Parts of attached mails are parts too, after the part that holds them.
    """
    waiting = [(message, False)]
    for _ in range(MAX_PARTS):
        if not waiting:
            return
        part, is_inner = waiting.pop()
        yield part, is_inner
        below = part.get_payload()
        if isinstance(below, list):
            is_inner = is_inner or type_of(part).startswith("message/")
            waiting += [(one, is_inner) for one in reversed(below) if isinstance(one, Message)]


def type_of(part: "Message[str, str]") -> str:
    """Returns the content type in small letters; that of text, of a frame without parts."""
    try:
        found = part.get_content_type()
    except (ValueError, LookupError, RecursionError):
        return "text/plain"
    is_empty_frame = found.startswith("multipart/") and not part.is_multipart()
    return "text/plain" if is_empty_frame else clean(found)


def parameter_of(part: "Message[str, str]", name: str, header_name: str = "content-type") -> str:
    """Returns a parameter of a header; empty where it is missing or cannot be read."""
    try:
        found = part.get_param(name, header=header_name)
        if isinstance(found, tuple):
            charset, _, text = found
            data = text.encode("latin-1", "surrogateescape")
            return clean(decoded(data, charset or "utf-8"))
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return decoded_header(found) if isinstance(found, str) else ""


def text_of(part: "Message[str, str]") -> str:
    """Returns the content of a part as text, for any charset."""
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, RecursionError, AssertionError):
        content = None
    if not isinstance(content, bytes):
        return ""
    return decoded(content, parameter_of(part, "charset"))


def size_of(part: "Message[str, str]") -> int:
    """Returns the bytes of a part's content, without decoding it."""
    content = part.get_payload()
    if isinstance(content, list):
        return sum(
            size_of(one)
            for one in content[:MAX_PARTS]
            if isinstance(one, Message) and not one.is_multipart()
        )
    if not isinstance(content, str):
        return 0
    if "base64" not in raw_header(part, "content-transfer-encoding").lower():
        return len(content)
    letters = len(content) - content.count("\n") - content.count("\r")
    return max(letters * 3 // 4 - content[-6:].count("="), 0)


def header_of(message: "Message[str, str]", name: str) -> str:
    """Returns the first header of that name as one line of text; empty where it is missing."""
    return decoded_header(raw_header(message, name))


def raw_header(message: "Message[str, str]", name: str) -> str:
    """Returns the first header of that name on one line, its encoded words as they are."""
    found = message.get(name)
    return _one_line(found) if isinstance(found, str) else ""


def raw_headers(message: "Message[str, str]", name: str) -> list[str]:
    """Returns all headers of that name, each on one line, their encoded words as they are.

    Of too many, or too long ones, the first.
    """
    headers: list[str] = []
    left = MAX_HEADER_LENGTH
    for found in message.get_all(name, [])[:MAX_HEADERS]:
        if isinstance(found, str) and left > 0:
            headers.append(_one_line(found[:left]))
            left -= len(found)
    return headers


def decoded_header(text: str) -> str:
    """Returns a header with its encoded words decoded."""
    if "=?" not in text:
        return clean(text)
    text = text[:MAX_ENCODED_LENGTH]
    try:
        return clean(
            "".join(
                chunk
                if isinstance(chunk, str)
                else decoded(chunk, charset)
                if charset
                # As the library gives back text around encoded words.
                else chunk.decode("raw-unicode-escape")
                for chunk, charset in header.decode_header(text)
            )
        )
    except (errors.HeaderParseError, binascii.Error, ValueError):
        return clean(text)


def decoded(data: bytes, charset: str) -> str:
    """Returns bytes as text: by the charset, else as UTF-8, else as Windows' Latin letters."""
    name = charset.strip().strip("'\"").lower()
    for one in (_CHARSETS.get(name, name), "utf-8", "cp1252"):
        try:
            if codecs.lookup(one).name not in _NO_CHARSETS:
                return storable(data.decode(one))
        except (LookupError, ValueError, TypeError):
            continue
    return storable(data.decode("cp1252", "replace"))


def storable(text: str) -> str:
    """Returns text without characters that PostgreSQL refuses: NUL and halves of characters."""
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean(text: str) -> str:
    """Returns text on one line, without control characters at its ends."""
    return _BLANK.sub(" ", storable(text)).strip()


def _one_line(found: str) -> str:
    if not found.isascii():
        # Bytes beyond ASCII, which the parser keeps as surrogates: UTF-8 in most mails.
        found = decoded(found.encode("ascii", "surrogateescape"), "")
    return " ".join(found.split())
