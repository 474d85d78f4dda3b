"""Addresses to which bounces come back, one for each message, so that a bounce names its message.

This is VERP (variable envelope return path): `bounces@example.org` becomes
`bounces+17.9f86d081884c7d65@example.org` for message 17. The part after the dot is a signature: a
bounce that anybody could write proves nothing.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

_DIGITS = 16
_NUMBER = re.compile(r"\+([0-9]{1,18})\.[0-9a-f]+@")


def bounce_address(base: str, message_id: int, key: str) -> str:
    """The envelope sender of a message.

    Args:
        base: Setting `delivery.bounce_address` of the organization.
        key: Key that signs.
    """
    local, _, domain = base.rpartition("@")
    return f"{local}+{message_id}.{signature_of(message_id, key)}@{domain}"


def signature_of(message_id: int, key: str) -> str:
    """The signature that a bounce of a message gives back: 16 hexadecimal digits."""
    signature = hmac.new(key.encode(), f"bounce:{message_id}".encode(), hashlib.sha256).hexdigest()
    return signature[:_DIGITS]


def message_of(address: str, base: str, keys: Iterable[str]) -> int | None:
    """Returns the number of the message whose bounces come to an address.

    None: the address is not one of these, or its signature is by none of the keys.
    """
    found = _NUMBER.search(address)
    if found is None:
        return None
    number = int(found[1])
    given = address.lower().encode()
    for key in keys:
        if hmac.compare_digest(given, bounce_address(base, number, key).lower().encode()):
            return number
    return None
