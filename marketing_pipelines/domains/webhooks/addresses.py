"""The addresses that webhooks may go to: public ones, and those that the operator allows.

An endpoint's URL comes from a stranger to the installation's network. Names are resolved at each
attempt, and every answer is checked, so that no name leads to a machine behind the firewall.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence

import httpx2

from marketing_pipelines.failures import BadInputError, RetryableError
from marketing_pipelines.webhook_settings import AllowedHosts, IPAddress, address_in

Resolve = Callable[[str], Sequence[str]]

MAX_URL = 2_000
PORTS = frozenset({443, 8443})
_PORT_OF = {"http": 80, "https": 443}
# A name as IDNA writes it, or an address.
_HOST = re.compile(r"[a-z0-9._:-]{1,253}", re.IGNORECASE)
_PUBLIC_NAME = re.compile(r"([a-z0-9_-]+\.)+[a-z][a-z0-9-]*", re.IGNORECASE)
# IPv4 in the last 32 bits: mapped, compatible, and translated by SIIT and NAT64.
_WITH_IPV4_AT_THE_END = (
    ipaddress.IPv6Network("::ffff:0:0/96"),
    ipaddress.IPv6Network("::/96"),
    ipaddress.IPv6Network("::ffff:0:0:0/96"),
    ipaddress.IPv6Network("64:ff9b::/96"),
)
# Of IPv6, only these addresses are given out to the internet: not NAT64 of a network of its own
# (64:ff9b:1::/48), whose translator leads to machines inside, and not examples.
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
_EXAMPLES = ipaddress.IPv6Network("3fff::/20")


class RefusedAddressError(BadInputError):
    """The URL leads to an address that webhooks may not go to."""


class UnknownHostError(RetryableError):
    """The name of a URL cannot be resolved."""


def check_url(url: str, allowed: AllowedHosts) -> httpx2.URL:
    """The URL of an endpoint, parsed; its host is not resolved.

    Raises:
        RefusedAddressError: no webhook may ever go there; the text says why.
    """
    if len(url) > MAX_URL:
        raise RefusedAddressError(f"The URL is longer than {MAX_URL:,} characters.")
    try:
        parsed = httpx2.URL(url)
        # The dot of the root belongs neither into a certificate nor into `Host`.
        parsed = parsed.copy_with(host=parsed.host.removesuffix("."))
    except (httpx2.InvalidURL, ValueError) as error:
        raise RefusedAddressError("The URL is not valid.") from error
    host = parsed.raw_host.decode("ascii")
    if parsed.scheme not in _PORT_OF or not _HOST.fullmatch(host):
        raise RefusedAddressError("The URL does not look like https://example.org/path.")
    if parsed.userinfo:
        raise RefusedAddressError("The URL has a user name or a password in it: remove both.")
    if parsed.fragment:
        raise RefusedAddressError("The URL has a part after '#': leave it out.")
    if parsed.port == 0:
        raise RefusedAddressError("The URL names port 0, which no server has.")
    if allowed.has_host(host):
        return parsed
    if parsed.scheme != "https":
        raise RefusedAddressError(
            "The URL does not begin with https://; http is for hosts in MARKETING_WEBHOOK_ALLOW."
        )
    if port_of(parsed) not in PORTS:
        raise RefusedAddressError(
            f"The URL names port {port_of(parsed)}: use 443 or 8443, or a host in "
            "MARKETING_WEBHOOK_ALLOW."
        )
    address = address_in(host)
    if address is not None:
        _require_public(address, host, allowed)
    elif not _PUBLIC_NAME.fullmatch(host):
        raise RefusedAddressError(
            f"{host} is no name of the public internet such as example.org: webhooks go there only "
            "if MARKETING_WEBHOOK_ALLOW names it."
        )
    return parsed


def port_of(url: httpx2.URL) -> int:
    """The port of a URL, with the default of its scheme."""
    return _PORT_OF[url.scheme] if url.port is None else url.port


def checked_addresses(host: str, allowed: AllowedHosts, resolve: Resolve) -> list[str]:
    """The addresses of a host, all of which may get webhooks.

    Raises:
        RefusedAddressError: an address of the host is not public and not allowed.
        UnknownHostError: it has no address.
    """
    found = list(resolve(host))
    if not found:
        raise UnknownHostError(f"{host} has no address.")
    if host.lower().rstrip(".") not in allowed.hosts:
        for address in found:
            _require_public(ipaddress.ip_address(address), host, allowed)
    return found


def is_public(address: IPAddress) -> bool:
    """Returns true if the address is of the public internet, and so is an IPv4 one inside it."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = _ipv4_inside(address)
        if inside is not None:
            return is_public(inside)
        if address not in _GIVEN_OUT or address in _EXAMPLES:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve_by_system(host: str) -> list[str]:
    """The addresses of a host as the operating system resolves it.

    Raises:
        UnknownHostError: it cannot be resolved.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownHostError(f"{host} cannot be resolved: {error}.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _require_public(address: IPAddress, host: str, allowed: AllowedHosts) -> None:
    if not is_public(address) and not allowed.has_address(address):
        leads = "" if str(address) == host else f" leads to {address}, which"
        raise RefusedAddressError(
            f"{host}{leads} is not an address of the public internet: webhooks go there only if "
            "MARKETING_WEBHOOK_ALLOW names it."
        )


def _ipv4_inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _WITH_IPV4_AT_THE_END):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
