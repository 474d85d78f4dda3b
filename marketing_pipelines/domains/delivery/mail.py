"""A mail as bytes: the same ones each time the same message is written."""

import hashlib
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered

_SEVEN_BITS = SMTP.clone(cte_type="7bit")
_ADDRESS = re.compile(r'[^\s@<>()\[\],;:"\\\x00-\x20\x7f]+@[^\s@<>()\[\],;:"\\\x00-\x20\x7f]+')


def write(message: Rendered) -> bytes:
    """The mail by RFC 5322.

    Raises:
        MessageError: the contact's address is none.
    """
    local, domain = _parts(message.recipient)
    # An address beyond ASCII needs a server that takes such; all others get what every server does.
    mail = EmailMessage(policy=_SEVEN_BITS if local.isascii() else SMTPUTF8)
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
        raise MessageError("The contact's e-mail address is none.")
    local, _, domain = address.partition("@")
    try:
        return local, domain.encode("idna").decode()
    except UnicodeError as error:
        raise MessageError("The contact's e-mail address is none: its domain is none.") from error
