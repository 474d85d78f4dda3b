"""Addresses in the headers of mail, normalised as `delivery.address_of` does."""

import re
from collections.abc import Iterator, Sequence
from email.utils import getaddresses

from marketing_pipelines.domains.delivery.addresses import address_of
from marketing_pipelines.domains.inbox.mime import clean, decoded_header

MAX_ADDRESSES = 1_000
MAX_ADDRESS_LENGTH = 254
_ADDRESS = re.compile(r"[^\s@<>\"(),;:\x00-\x1f\x7f]+@[^\s@<>\"(),;:\x00-\x1f\x7f]+")
# With runs that are no address: a search that tries each of their letters takes quadratic time.
_RUN = re.compile(r"[^\s@<>\"(),;:\x00-\x1f\x7f]+(@[^\s@<>\"(),;:\x00-\x1f\x7f]+)?")
_QUOTED_LOCAL = re.compile(r"\"[^\"\x00-\x1f\x7f]+\"@[^\s@<>\"(),;:\x00-\x1f\x7f]+")
_COMMENT = re.compile(r"\([^()]*\)")
# Nothing, or a group without members, such as `undisclosed-recipients:;`.
_EMPTY_GROUP = re.compile(r"(?:[^@:]*:)?[\s;,]*|\W*undisclosed\W+recipients?\W*", re.IGNORECASE)


def read_addresses(headers: Sequence[str]) -> dict[str, str]:
    """Returns the addresses of headers in their order, each with its name (empty: it has none).

    Args:
        headers: Values on one line each, encoded words as they are.
    """
    found: dict[str, str] = {}
    for name, address in _parsed(headers):
        normalised = _normalised(address)
        if normalised is not None:
            found.setdefault(normalised, decoded_header(name)[:MAX_ADDRESS_LENGTH])
            if len(found) == MAX_ADDRESSES:
                break
    return found


def are_unreadable(headers: Sequence[str]) -> bool:
    """Returns True if the headers name receivers or senders, but not one valid address."""
    named = [one for one in headers if not _EMPTY_GROUP.fullmatch(_COMMENT.sub("", one))]
    return bool(named) and not read_addresses(named)


def addresses_in(text: str) -> list[str]:
    """Returns the addresses that stand in a text, in their order."""
    found: dict[str, None] = {}
    for match in _RUN.finditer(text):
        if match[1] is None:
            continue
        normalised = _normalised(match[0].strip(".'`[]{}"))
        if normalised is not None:
            found.setdefault(normalised)
            if len(found) == MAX_ADDRESSES:
                break
    return list(found)


def _parsed(headers: Sequence[str]) -> Iterator[tuple[str, str]]:
    for one in headers:
        try:
            yield from getaddresses([one])
        except (RecursionError, ValueError, IndexError, TypeError):
            continue
        if "=?" in one:
            # Some programs encode whole addresses.
            yield from (("", address) for address in addresses_in(decoded_header(one)))


def _normalised(given: str) -> str | None:
    address = clean(given)
    if len(address) > MAX_ADDRESS_LENGTH:
        return None
    if not (_ADDRESS.fullmatch(address) or _QUOTED_LOCAL.fullmatch(address)):
        return None
    return address_of("email", address)
