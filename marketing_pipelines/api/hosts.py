"""Names and origins that a server is known by.

A web page reaches servers of its reader's machine under a name that its owner made point there (DNS
rebinding), so a request that arrives under an unknown name is not answered.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from marketing_pipelines.api.answers import Refusal, answer

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@\s]+)(?::\d{1,5})?")


class KnownHosts:
    """The names of a server.

    A server on loopback is known by the addresses of loopback, `localhost` and the public URLs; a
    server that listens beyond it also by its own name and by any IP address.
    """

    def __init__(self, listens_on: str, public_urls: Iterable[str | None]) -> None:
        self._beyond_loopback = not is_loopback(listens_on)
        urls = [urlsplit(url.lower()) for url in public_urls if url is not None]
        self._origins = {f"{url.scheme}://{url.netloc}" for url in urls}
        self._names = {"localhost", listens_on.lower(), *(url.hostname or "" for url in urls)}

    def knows(self, host: str) -> bool:
        """Returns true if a `Host` header names this server; its port does not matter."""
        shape = _HOST.fullmatch(host.lower())
        if shape is None:
            return False
        name = shape[1].strip("[]")
        address = _address(name)
        if address is None:
            return name in self._names
        return address.is_loopback or self._beyond_loopback

    def is_own(self, origin: str, host: str) -> bool:
        """Returns true if a page of this origin belongs to the server reached under this host."""
        return is_own_origin(origin, host, self._origins)


class OwnHosts:
    """Refuses requests under an unknown host name, for every path."""

    def __init__(self, app: ASGIApp, hosts: KnownHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            names = Headers(scope=scope).getlist("host")
            if len(names) != 1 or not self._hosts.knows(names[0]):
                refusal = unknown_host(names, "MARKETING_PUBLIC_URL")
                await answer(scope["path"], refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def unknown_host(names: list[str], setting: str) -> Refusal:
    """The answer to a request under another name."""
    name = names[0] if len(names) == 1 else "a server without one name"
    return Refusal(
        421, f"This server is not known as {name}: set {setting} to the address that browsers see."
    )


def is_own_origin(origin: str, host: str, public_origins: Iterable[str]) -> bool:
    """Returns true for an `Origin` header that equals the `Host` header's, or a public one. `null`
    is neither."""
    origin = origin.lower()
    url = urlsplit(origin)
    same = url.scheme in ("http", "https") and bool(url.netloc) and url.netloc == host.lower()
    return same or origin in public_origins


def is_loopback(host: str) -> bool:
    """Returns true if a server at this address is reachable from this machine only."""
    address = _address(host.strip("[]"))
    return host.lower() == "localhost" if address is None else address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
