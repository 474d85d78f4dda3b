"""A real HTTP server on loopback that answers as a service does, or misbehaves as a test wants."""

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request that the service got."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Said:
    """An answer.

    Attributes:
        body: A value of JSON, or bytes as they are.
        promised: Length that the header promises; None: that of the body.
        drips: Sends a byte each so many seconds; 0: all at once.
        silent: Seconds before the first byte.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    drips: float = 0.0
    silent: float = 0.0


@dataclass
class Service:
    """The rule of the service, what it got, and its next moods.

    Attributes:
        answer: Answer to a request; None: the connection is closed instead.
        moods: Answers that come before those of the rule.
    """

    answer: Callable[[Asked], Said | None] = lambda asked: Said({})
    moods: deque[Said | None] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    ends: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.port}"

    def misbehave(self, *moods: Said | None) -> None:
        """Answers the next requests so."""
        self.moods.extend(moods)


# The ways in which services misbehave, each of which every client survives.
SLOW_DOWN = Said({"error": "too many"}, status=429, headers={"Retry-After": "0"})
FOR_AN_HOUR = Said({"error": "too many"}, status=429, headers={"Retry-After": "3600"})
BROKEN = Said({"message": "out of order"}, status=500)
TRUNCATED = Said(b'{"items": [', promised=5_000)
NO_JSON = Said(b"<html>Sorry</html>")
OTHER_JSON = Said(["what", "is", "this"])
REFUSED = Said({"error": "who are you?"}, status=401)
HANGS_UP = None


@contextlib.contextmanager
def service() -> Iterator[Service]:
    """Serves until the end of the block."""
    serving = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_form = self.headers.get("Content-Type") == "application/x-www-form-urlencoded"
            body = dict(parse_qsl(text.decode())) if is_form else json.loads(text or b"null")
            asked = Asked(
                self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers), body
            )
            serving.asked.append(asked)
            said = serving.moods.popleft() if serving.moods else serving.answer(asked)
            if said is None:
                self.close_connection = True
                return
            with contextlib.suppress(ConnectionError):
                self._say(said)

        do_GET = do_POST  # noqa: N815

        def _say(self, said: Said) -> None:
            data = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            if said.status == 304:
                data = b""
            serving.ends.wait(said.silent)
            self.send_response(said.status)
            length = len(data) if said.promised is None else said.promised
            for name, value in {"Content-Length": str(length), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if said.drips:
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    if serving.ends.wait(said.drips):
                        break
            else:
                self.wfile.write(data)
            self.close_connection = said.promised is not None or bool(said.drips)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield serving
    finally:
        serving.ends.set()
        server.shutdown()
        thread.join()
        server.server_close()
