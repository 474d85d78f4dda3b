"""Settings of webhooks: the hosts that may get them although they are not public."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class AllowedHosts:
    """Hosts and networks that may get webhooks although they are not public.

    Attributes:
        hosts: Names, in lower case; all their addresses, ports and http are allowed.
        networks: Their addresses are allowed; a URL with one of these also by http and any port.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPNetwork, ...] = ()

    @classmethod
    def of(cls, text: str | None) -> Self:
        """Reads a comma-separated list, as in `MARKETING_WEBHOOK_ALLOW`.

        Raises:
            ValueError: an entry is neither a host nor a network.
        """
        hosts: set[str] = set()
        networks: list[IPNetwork] = []
        for entry in filter(None, (one.strip() for one in (text or "").split(","))):
            try:
                networks.append(ipaddress.ip_network(entry))
                continue
            except ValueError:
                pass
            name = entry.lower().rstrip(".")
            if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", name) or (
                re.fullmatch(r"[\d.]+", name)
            ):
                raise ValueError(f"'{entry}' is no host such as crm.internal and no network")
            hosts.add(name)
        return cls(frozenset(hosts), tuple(networks))

    def has_host(self, host: str) -> bool:
        """Returns true if the host of a URL is named here, or is an address of a network."""
        if host.lower().rstrip(".") in self.hosts:
            return True
        address = address_in(host)
        return address is not None and self.has_address(address)

    def has_address(self, address: IPAddress) -> bool:
        """Returns true if the address is in a network."""
        return any(address in network for network in self.networks)


def address_in(host: str) -> IPAddress | None:
    """The address that the host of a URL is; None: it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class WebhookSettings(BaseSettings):
    """The receivers of webhooks."""

    webhook_allow: str | None = Field(
        default=None,
        description="Hosts and networks, comma separated, that may get webhooks although they are "
        "not of the public internet, also by http and on any port, as `crm.internal,10.1.0.0/16`. "
        "Unset: none.",
    )

    @field_validator("webhook_allow")
    @classmethod
    def _names_hosts_and_networks(cls, value: str | None) -> str | None:
        AllowedHosts.of(value)
        return value

    @property
    def webhook_hosts(self) -> AllowedHosts:
        """The hosts and networks of `webhook_allow`."""
        return AllowedHosts.of(self.webhook_allow)
