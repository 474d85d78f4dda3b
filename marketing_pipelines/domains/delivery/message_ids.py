"""Message-IDs of our mails: they name the message, and a signature proves that the mail was ours.

`<message.17.9f86d081884c7d65@example.org>` is that of message 17, signed like its bounce address.
Mails of former releases have no signature: `<message.17@example.org>` names its message and proves
nothing.
"""

import hmac
import re
from collections.abc import Iterable

from marketing_pipelines.domains.delivery.bounce_addresses import signature_of

_OURS = re.compile(r"<?message\.([0-9]{1,18})(?:\.([0-9a-f]{16}))?@[^@\s]+")


def message_id_of(number: int, signature: str, domain: str) -> str:
    """Returns the header of a message, with angle brackets."""
    return f"<message.{number}.{signature}@{domain}>"


def number_in(message_id: str | None) -> int | None:
    """Returns the number of the message that a Message-ID names; None: it is not ours."""
    found = _OURS.match(message_id or "")
    return int(found[1]) if found else None


def proven_number(message_id: str, keys: Iterable[str]) -> int | None:
    """Returns the number of the message that only a copy of its mail can name.

    None: the Message-ID is not ours, or its signature is by none of the keys.
    """
    found = _OURS.match(message_id)
    if found is None or found[2] is None:
        return None
    number, given = int(found[1]), found[2]
    is_proven = any(hmac.compare_digest(given, signature_of(number, key)) for key in keys)
    return number if is_proven else None
