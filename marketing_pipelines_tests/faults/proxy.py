"""TCP in front of a server's Unix socket; what passes through can fall silent or be cut."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from marketing_pipelines.stores.embedded_server import SOCKET_NAME


class _Passage:
    """One connection: both ends, and whether anything still passes."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ends = (client, server)
        self.silent = False
        for source, sink in (self.ends, self.ends[::-1]):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.silent:
                    sink.sendall(data)
            if not self.silent:
                sink.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Passes connections on until it is told otherwise."""

    def __init__(self, socket_dir: Path) -> None:
        self._server = str(socket_dir / SOCKET_NAME)
        self._passages: list[_Passage] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._refuses = False
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    @contextlib.contextmanager
    def before(cls, socket_dir: Path) -> Iterator["Proxy"]:
        """Closed with everything that passes through it."""
        proxy = cls(socket_dir)
        try:
            yield proxy
        finally:
            proxy._listener.close()
            proxy.cut()

    def url(self, database: str) -> str:
        return f"postgresql://marketing@127.0.0.1:{self.port}/{database}"

    def silence(self) -> None:
        """Nothing passes any more through what is connected; both ends stay open."""
        for passage in self._passages:
            passage.silent = True

    def cut(self, *, and_refuse: bool = False) -> None:
        """Closes what is connected, and from now on whatever connects."""
        self._refuses = and_refuse
        for passage in self._passages:
            passage.cut()
        self._passages.clear()

    def accept_again(self) -> None:
        self._refuses = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refuses:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._passages.append(_Passage(client, server))
