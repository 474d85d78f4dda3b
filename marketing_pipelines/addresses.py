"""Addresses of alerts: `MARKETING_ALERT_URLS`, read and routed by owner."""

import hashlib
import re
from dataclasses import dataclass

from marketing_pipelines.failures import ConfigurationError

_BETWEEN = re.compile(r"\s*,\s*(?=(?:team:[\w.-]+=)?[A-Za-z][\w+.-]*://)")
_ONE = re.compile(r"(?:(team:[\w.-]+)=)?([A-Za-z][\w+.-]*://\S+)")


@dataclass(frozen=True)
class Address:
    """One receiver.

    Attributes:
        owner: Owner whose alerts it gets; None: it gets all alerts.
        url: In apprise's form; full of secrets.
    """

    owner: str | None
    url: str

    @property
    def fingerprint(self) -> str:
        """Names the address without telling it."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


def read(text: str | None) -> list[Address]:
    """The addresses of the setting, in its order.

    Raises:
        ConfigurationError: one of them is no URL; the sentence does not repeat it.
    """
    found = []
    for number, part in enumerate(_BETWEEN.split((text or "").strip()), start=1):
        if not part:
            continue
        match = _ONE.fullmatch(part)
        if match is None:
            raise ConfigurationError(
                f"MARKETING_ALERT_URLS: address {number} is no URL such as json://host/path or "
                "team:analytics=json://host/path."
            )
        found.append(Address(match[1], match[2]))
    return found


def of_owner(addresses: list[Address], owner: str | None) -> list[Address]:
    """Returns the addresses for an owner's alerts. Alerts without an owner go to addresses without
    one."""
    owners = set((owner or "").split(", "))
    return [address for address in addresses if address.owner is None or address.owner in owners]


def require_usable(addresses: list[Address]) -> None:
    """Refuses addresses of a kind that apprise does not know.

    Raises:
        ConfigurationError: the sentence names the place in the list, not the address.
    """
    import apprise

    for number, address in enumerate(addresses, start=1):
        if apprise.Apprise.instantiate(address.url, suppress_exceptions=True) is None:
            scheme = address.url.partition("://")[0]
            raise ConfigurationError(
                f"MARKETING_ALERT_URLS: apprise cannot use address {number} ({scheme}://…): "
                "correct it."
            )
