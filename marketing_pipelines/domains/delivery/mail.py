"""A mail as bytes: the same ones each time the same message is written."""

import hashlib
import re
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8, EmailPolicy
from typing import Any

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered

_PLAIN_NAME = re.compile(r"[A-Za-z0-9 '-]*")
_ADDRESS = re.compile(r'[^\s@<>()\[\],;:"\\\x00-\x20\x7f]+@[^\s@<>()\[\],;:"\\\x00-\x20\x7f]+')


class _SevenBits(EmailPolicy):
    """The policy of mails in seven bits, which every server accepts.

    Python 3.11 folds long subjects and names so that spaces or quotes are lost: here `Header` does.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        """A header as it is written."""
        if name in ("From", "To"):
            [address] = value.addresses
            text, rest = address.display_name, f"{self.linesep} <{address.addr_spec}>"
            is_plain = _PLAIN_NAME.fullmatch(text) is not None
        else:
            text, rest = str(value), ""
            is_plain = text.isascii()
        if is_plain and name != "Subject":
            return super().fold_binary(name, value)
        words = Header(text, "us-ascii" if is_plain else "utf-8", header_name=name)
        return f"{name}: {words.encode(linesep=self.linesep)}{rest}{self.linesep}".encode()


_SEVEN_BITS = _SevenBits(linesep="\r\n", cte_type="7bit")
_EIGHT_BITS = SMTPUTF8.clone(max_line_length=998)


def write(message: Rendered) -> bytes:
    """The mail by RFC 5322.

    Raises:
        MessageError: the contact's address is not valid.
    """
    local, domain = _parts(message.recipient)
    # An address beyond ASCII needs a server that takes such; all others get what every server does.
    mail = EmailMessage(policy=_SEVEN_BITS if local.isascii() else _EIGHT_BITS)
    own = f"organization-{message.organization_id}.invalid"
    mail["From"] = Address(one_line(message.organization), "messages", own)
    mail["To"] = Address(one_line(message.name), local, domain)
    mail["Subject"] = one_line(message.content["subject"])
    mail["Date"] = message.queued_at
    mail["Message-ID"] = f"<message.{message.id}@{own}>"
    text, html = message.content["text"], message.content.get("html")
    mail.set_content(text)
    if html is not None:
        mail.add_alternative(html, subtype="html")
        mail.set_boundary("=_" + hashlib.sha256(f"{text}\0{html}".encode()).hexdigest()[:40])
    return mail.as_bytes()


def one_line(text: str) -> str:
    """Text that can stand in a header: no line ends, nothing that reads as an encoded word."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split()).replace(
        "=?", "= ?"
    )


def _parts(address: str) -> tuple[str, str]:
    if not _ADDRESS.fullmatch(address):
        raise MessageError("The contact's e-mail address is not valid.")
    local, _, domain = address.partition("@")
    try:
        return local, domain.encode("idna").decode()
    except UnicodeError as error:
        raise MessageError(
            "The contact's e-mail address is not valid: its domain is not valid."
        ) from error
