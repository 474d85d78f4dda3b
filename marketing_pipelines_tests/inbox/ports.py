"""Ports of servers that are processes of their own."""

import contextlib
import socket

from marketing_pipelines_tests.waiting import until


def free_port() -> int:
    """Returns a port of loopback that nothing uses."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def wait_for_server(port: int) -> None:
    """Waits until a server takes connections."""
    until(lambda: _takes_connections(port), seconds=60, what=f"a server on port {port}")


def _takes_connections(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
