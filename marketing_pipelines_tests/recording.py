"""A real HTTP endpoint that remembers what it was sent."""

import contextlib
import gzip
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Endpoint:
    """Its address, and the bodies that it was sent, in order.

    Attributes:
        status: What it answers.
        answers: It answers only while this is set.
        seconds: How long it takes to answer.
    """

    port: int
    received: list[str] = field(default_factory=list)
    status: int = 200
    answers: threading.Event = field(default_factory=threading.Event)
    seconds: float = 0.0


@contextlib.contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Listens on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            opened.received.append(body.decode())
            opened.answers.wait(60)
            time.sleep(opened.seconds)
            with contextlib.suppress(OSError):
                self.send_response(opened.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Tests look at what was received."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        opened = Endpoint(server.server_address[1])
        opened.answers.set()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield opened
        finally:
            opened.answers.set()
            server.shutdown()
            thread.join()
