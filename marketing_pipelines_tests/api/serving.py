"""The API as its users reach it: the command, over HTTP."""

import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

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


@contextmanager
def in_process(app: FastAPI) -> Iterator[str]:
    """An app on a free port, served by a thread of this process: its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        until(lambda: server.started or not thread.is_alive(), what="the app to answer")
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health/live", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
