"""A mail as bytes: the same ones each time the same message is written."""

import hashlib
import json
import re
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTPUTF8, EmailPolicy
from typing import Any

from marketing_pipelines.domains.delivery.message_ids import message_id_of
from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered, Sender

_PLAIN_NAME = re.compile(r"[A-Za-z0-9 '-]*")
_ADDRESS = re.compile(r'[^\s@<>()\[\],;:"\\\x00-\x20\x7f]+@[^\s@<>()\[\],;:"\\\x00-\x20\x7f]+')
_ADDRESSED = ("From", "To", "Reply-To")
_FOLDED_BY_PYTHON = ("Content-", "MIME-")
# RFC 2047: 75 characters for an encoded word, and 76 for a line with one.
_MAX_ENCODED_LINE = 75
# RFC 5322.
_MAX_LINE = 998


@dataclass(frozen=True)
class Written:
    """A mail and its envelope.

    Attributes:
        sender: Envelope sender, where bounces go.
        needs_utf8: True if only a server with SMTPUTF8 can take it.
        data: The mail, lines ended by CR LF.
    """

    sender: str
    recipient: str
    needs_utf8: bool
    data: bytes


class _Kinds(HeaderRegistry):
    """The classes of headers, each made once: Python makes a new one for every header."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, type] = {}

    def __getitem__(self, name: str) -> type:
        """The class of a header."""
        key = name.lower()
        if key not in self._made:
            self._made[key] = super().__getitem__(name)
        return self._made[key]


class _SevenBits(EmailPolicy):
    """The policy of mails in seven bits, which every server accepts.

    Python 3.11 folds long subjects and names so that spaces or quotes are lost: here `Header` does.
    It also encodes long words, such as URLs, that must stand as they are.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        """A header as it is written."""
        if name.startswith(_FOLDED_BY_PYTHON):
            return super().fold_binary(name, value)
        if name in _ADDRESSED:
            [address] = value.addresses
            text, rest = address.display_name, f"{self.linesep} <{address.addr_spec}>"
            if _PLAIN_NAME.fullmatch(text):
                return super().fold_binary(name, value)
            is_plain = False
        else:
            text, rest = str(value), ""
            is_plain = text.isascii()
            if is_plain and name != "Subject":
                if len(text) + len(name) + 2 > _MAX_LINE:
                    raise MessageError(f"Its header {name} is longer than {_MAX_LINE} characters.")
                return f"{name}: {text}{self.linesep}".encode()
        words = Header(
            text,
            "us-ascii" if is_plain else "utf-8",
            header_name=name,
            maxlinelen=_MAX_ENCODED_LINE,
        )
        return f"{name}: {words.encode(linesep=self.linesep)}{rest}{self.linesep}".encode()


_KINDS = _Kinds()
_SEVEN_BITS = _SevenBits(linesep="\r\n", cte_type="7bit", header_factory=_KINDS)
_EIGHT_BITS = SMTPUTF8.clone(max_line_length=_MAX_LINE, header_factory=_KINDS)


def write(message: Rendered, *, provider: str | None = None) -> Written:
    """The mail by RFC 5322, with its envelope.

    Args:
        provider: The service that takes it, which reads our message id from a header of its own.

    Raises:
        MessageError: an address is not valid, or a header cannot be written.
    """
    local, domain = _parts(message.recipient, "The recipient's e-mail address")
    sender = message.sender or _nobody(message)
    own_local, own_domain = _parts(sender.address, "The sender's e-mail address")
    # An address beyond ASCII needs a server that supports it; all others get plain ASCII mail.
    needs_utf8 = not local.isascii()
    mail = EmailMessage(policy=_EIGHT_BITS if needs_utf8 else _SEVEN_BITS)
    mail["From"] = Address(one_line(sender.name), own_local, own_domain)
    mail["To"] = Address(one_line(message.name), local, domain)
    if sender.reply_to:
        mail["Reply-To"] = Address("", *_parts(sender.reply_to, "The address for replies"))
    mail["Subject"] = one_line(message.content["subject"])
    mail["Date"] = message.queued_at
    mail["Message-ID"] = message_id_of(message.id, message.signature, own_domain)
    for name, value in _more_headers(message, sender, provider):
        mail[name] = one_line(value)
    text, html = message.content["text"], message.content.get("html")
    mail.set_content(text)
    if html is not None:
        mail.add_alternative(html, subtype="html")
        mail.set_boundary("=_" + hashlib.sha256(f"{text}\0{html}".encode()).hexdigest()[:40])
    return Written(
        sender=sender.bounces_to or f"{own_local}@{own_domain}",
        recipient=f"{local}@{domain}",
        needs_utf8=needs_utf8,
        data=mail.as_bytes(),
    )


def one_line(text: str) -> str:
    """Text that can stand in a header: no line ends, nothing that reads as an encoded word."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split()).replace(
        "=?", "= ?"
    )


def _more_headers(message: Rendered, sender: Sender, provider: str | None) -> list[tuple[str, str]]:
    headers = list(sender.headers.items())
    if message.unsubscribe_url is not None:
        headers += [
            ("List-Unsubscribe", f"<{message.unsubscribe_url}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
    number = str(message.id)
    match provider:
        case "sendgrid":
            arguments = json.dumps({"unique_args": {"message_id": number}})
            headers.append(("X-SMTPAPI", arguments))
        case "mailgun":
            headers.append(("X-Mailgun-Variables", json.dumps({"message_id": number})))
        case "postmark":
            headers.append(("X-PM-Metadata-message_id", number))
        case "ses":
            headers.append(("X-SES-MESSAGE-TAGS", f"message_id={number}"))
        case "mandrill":
            headers.append(("X-MC-Metadata", json.dumps({"message_id": number})))
    return headers


def _nobody(message: Rendered) -> Sender:
    """The sender where none is known: an address that no server can deliver to."""
    address = f"messages@organization-{message.organization_id}.invalid"
    return Sender(address=address, name=message.organization)


def is_address(text: str) -> bool:
    """Returns true if mail can be addressed to it."""
    try:
        _parts(text, "")
    except MessageError:
        return False
    return True


def _parts(address: str, what: str) -> tuple[str, str]:
    if not _ADDRESS.fullmatch(address):
        raise MessageError(f"{what} is not valid.")
    local, _, domain = address.partition("@")
    try:
        return local, domain.encode("idna").decode()
    except UnicodeError as error:
        raise MessageError(f"{what} is not valid: its domain is not valid.") from error
