"""Addresses to which bounces come back, one for each message, so that a bounce names its message.

This is VERP (variable envelope return path): `bounces@example.org` becomes
`bounces+17.9f86d081884c7d65@example.org` for message 17. The part after the dot is a signature: a
bounce that anybody could write proves nothing.
"""

import hashlib
import hmac

_DIGITS = 16


def bounce_address(base: str, message_id: int, key: str) -> str:
    """The envelope sender of a message.

    Args:
        base: Setting `delivery.bounce_address` of the organization.
        key: Key that signs.
    """
    local, _, domain = base.rpartition("@")
    signature = hmac.new(key.encode(), f"bounce:{message_id}".encode(), hashlib.sha256).hexdigest()
    return f"{local}+{message_id}.{signature[:_DIGITS]}@{domain}"
