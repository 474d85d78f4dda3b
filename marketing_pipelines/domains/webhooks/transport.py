"""The transport of webhooks: one POST to a checked address, within a time and a size.

It follows no redirect, uses no proxy, and keeps no connection: an endpoint's URL is a stranger's,
and each attempt resolves and checks its host anew. Each read, write and handshake has only the rest
of the attempt's time, so that a receiver that answers one byte a second ends with the others. A
receiver whose status arrived has answered, even where the rest is too long or too slow.
"""

import contextlib
import functools
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

from marketing_pipelines.domains.webhooks.addresses import (
    Resolve,
    UnknownHostError,
    check_url,
    checked_addresses,
    resolve_by_system,
)
from marketing_pipelines.failures import RetryableError
from marketing_pipelines.webhook_settings import AllowedHosts

TIMEOUT = 15.0
# Of a host with several addresses, one that is silent leaves time for the next.
TIMEOUT_OF_ADDRESS = 5.0
MAX_READ = 64 << 10
MAX_KEPT = 2 << 10
# Of terminals, and those that turn the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
USER_AGENT = "marketing-pipelines"


class UnreachedError(RetryableError):
    """The receiver cannot be reached, speaks no HTTP, or did not answer in time."""


class _ReadEnoughError(Exception):
    """The receiver sends more than is read."""


@dataclass(frozen=True)
class ReceiverAnswer:
    """An answer of a receiver, of any status.

    Attributes:
        text: Its first 2 KB as text.
    """

    status: int
    headers: httpx2.Headers
    text: str


class WebhookTransport:
    """Sends webhooks; usable by several threads at once.

    Args:
        allowed: Hosts and networks that need not be public.
        resolve: The addresses of a host.
        tls: Trusted authorities; None: those of the system.
        timeout: Seconds for a whole attempt.
    """

    def __init__(
        self,
        allowed: AllowedHosts,
        *,
        resolve: Resolve = resolve_by_system,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._tls = tls
        self._timeout = timeout

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> ReceiverAnswer:
        """Sends a body once.

        Raises:
            RefusedAddressError: the URL or an address of its host may not get webhooks.
            UnknownHostError: its host has no address.
            UnreachedError: there is no answer.
        """
        parsed = check_url(url, self._allowed)
        ends_at = time.monotonic() + self._timeout
        target = httpcore2.URL(
            scheme=parsed.raw_scheme,
            host=parsed.raw_host,
            port=parsed.port,
            target=parsed.raw_path,
        )
        sent: dict[bytes | str, bytes | str] = {
            "Host": parsed.netloc.decode("ascii"),
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Length": str(len(body)),
        }
        sent.update(headers)
        network = _CheckedNetwork(self._allowed, self._resolve, ends_at)
        try:
            with (
                httpcore2.ConnectionPool(
                    ssl_context=self._tls or _system_tls(), network_backend=network
                ) as pool,
                pool.stream("POST", target, headers=sent, content=body) as response,
            ):
                return _answer(response)
        except httpcore2.TimeoutException as error:
            raise UnreachedError(
                f"{parsed.host} did not answer within {self._timeout:g} s."
            ) from error
        except _ReadEnoughError as error:
            raise UnreachedError(
                f"{parsed.host} sends headers of more than {MAX_READ:,} bytes."
            ) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise UnreachedError(f"{parsed.host} cannot be reached: {_said(error)}.") from error


def _answer(response: httpcore2.Response) -> ReceiverAnswer:
    read = bytearray()
    with contextlib.suppress(
        _ReadEnoughError,
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
    ):
        for chunk in response.iter_stream():
            read += chunk
    text = _CONTROLS.sub(" ", bytes(read[:MAX_KEPT]).decode("utf-8", errors="replace"))
    return ReceiverAnswer(response.status, httpx2.Headers(response.headers), text)


@functools.cache
def _system_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _CheckedNetwork(httpcore2.NetworkBackend):
    """Connects to the checked addresses of a host, in their order, until an instant.

    The name stays the one of the request: TLS checks the certificate for it.
    """

    def __init__(self, allowed: AllowedHosts, resolve: Resolve, ends_at: float) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._ends_at = ends_at

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        found = checked_addresses(host, self._allowed, self._resolve_in_time)
        refused: Exception | None = None
        for place, address in enumerate(found, start=1):
            left = self._left()
            wait = left if place == len(found) else min(left, TIMEOUT_OF_ADDRESS)
            try:
                return _TimedStream(socket.create_connection((address, port), wait), self._ends_at)
            except OSError as error:
                refused = httpcore2.ConnectError(_said(error))
        raise refused or httpcore2.ConnectError(f"{host} has no address")

    def _left(self) -> float:
        return _left(self._ends_at)

    def _resolve_in_time(self, host: str) -> list[str]:
        """Resolves in a thread: the system's resolver has a time of its own."""
        answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                answers.put(list(self._resolve(host)))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=resolve, daemon=True, name="resolve").start()
        try:
            found = answers.get(timeout=self._left())
        except queue.Empty as error:
            raise UnknownHostError(f"{host} was not resolved in time.") from error
        if isinstance(found, Exception):
            raise found
        return found


class _TimedStream(httpcore2.NetworkStream):
    """A connection whose operations have together the time until an instant, and a size to read."""

    def __init__(self, connected: socket.socket, ends_at: float) -> None:
        self._socket = connected
        self._ends_at = ends_at
        self._may_read = MAX_READ

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._may_read == 0:
            raise _ReadEnoughError
        with self._in_time(httpcore2.ReadError):
            read = self._socket.recv(min(max_bytes, self._may_read))
        self._may_read -= len(read)
        return read

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        while rest:
            # After an error of this class, the pool still reads an early answer such as 413.
            with self._in_time(httpcore2.WriteError):
                rest = rest[self._socket.send(rest) :]

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            with self._in_time(httpcore2.ConnectError):
                secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except BaseException:
            self.close()
            raise
        return _TimedStream(secured, self._ends_at)

    def get_extra_info(self, info: str) -> Any:
        return None

    @contextlib.contextmanager
    def _in_time(self, fault: type[httpcore2.NetworkError]) -> Iterator[None]:
        self._socket.settimeout(_left(self._ends_at))
        try:
            yield
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except OSError as error:
            raise fault(_said(error)) from error


def _said(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _left(ends_at: float) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time is up")
    return left
