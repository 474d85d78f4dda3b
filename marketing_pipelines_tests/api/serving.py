"""The API as its users reach it: the command, over HTTP."""

import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from marketing_pipelines_tests.cli.console import start
from marketing_pipelines_tests.waiting import until


@contextmanager
def serving() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`marketing-pipelines api` on a free port: its address, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with start("api", "--port", str(port)) as process:
        until(lambda: answers(address) or process.poll() is not None, what="the API to answer")
        assert process.poll() is None, process.communicate()
        yield address, process


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health/live", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
