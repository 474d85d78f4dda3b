"""Rates of public addresses: calls of one link, and refused calls of one network address.

Each API process counts for itself, a minute at a time. A forged link costs no look into the
database, so that nothing but its refusals is counted.
"""

import datetime as dt
import ipaddress
import threading
from collections import Counter
from collections.abc import Callable, Hashable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketing_pipelines.api.answers import Refusal, answer

CALLS_OF_LINK = 60
REFUSED_CALLS_OF_ADDRESS = 120
# Others beyond are not counted, so that a flood fills no memory.
MAX_COUNTED = 50_000
LINKS = ("/unsubscribe/", "/preferences/", "/confirm/", "/view/", "/o/", "/c/", "/exports/")
# Their answers stay: above the rate only the count is left out.
COUNTED_LINKS = ("/o/", "/c/")
PUBLIC = (*LINKS, "/hooks/")
OVER_RATE = "over_rate"
_REFUSED = (400, 401, 404, 408, 413, 422)


class Rates:
    """Refuses calls of public addresses beyond their rate, before they are read."""

    def __init__(self, app: ASGIApp, now: Callable[[], dt.datetime]) -> None:
        """Takes the clock of the installation."""
        self._app = app
        self._now = now
        self._lock = threading.Lock()
        self._minute: dt.datetime | None = None
        self._calls: Counter[Hashable] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(PUBLIC):
            await self._app(scope, receive, send)
            return
        address = _address(scope)
        # A hash: addresses of links are long.
        link = hash(path) if path.startswith(LINKS) else None
        over_link = self._count(("link", link)) >= CALLS_OF_LINK
        over_address = self._count(("address", address)) >= REFUSED_CALLS_OF_ADDRESS
        if over_address or (over_link and not path.startswith(COUNTED_LINKS)):
            await answer(path, self._refusal())(scope, receive, send)
            return
        scope.setdefault("state", {})[OVER_RATE] = over_link

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] in _REFUSED:
                    self._add(("address", address))
                else:
                    self._add(("link", link))
            await send(message)

        await self._app(scope, receive, counted)

    def _refusal(self) -> Refusal:
        seconds = 60 - self._now().second
        return Refusal(
            429,
            f"There are too many calls from here or of this link: wait {seconds} seconds.",
            {"Retry-After": str(seconds)},
        )

    def _count(self, key: tuple[str, Hashable]) -> int:
        with self._lock:
            self._begin()
            return self._calls[key]

    def _add(self, key: tuple[str, Hashable]) -> None:
        if key[1] is None:
            return
        with self._lock:
            self._begin()
            if key in self._calls or len(self._calls) < MAX_COUNTED:
                self._calls[key] += 1

    def _begin(self) -> None:
        minute = self._now().replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._calls.clear()


def _address(scope: Scope) -> str | None:
    """The network address that a call counts for; None: a proxy on this machine, or none is known.

    Of an IPv6 address its network of 64 bits, which one user has.
    """
    client = scope.get("client")
    if client is None:
        return None
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return str(client[0])
    if address.is_loopback:
        return None
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
