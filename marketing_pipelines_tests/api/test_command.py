"""`api`: it listens on loopback, answers, and stops in time with nothing left behind."""

import http.client
import signal
import socket
import time
from urllib.parse import urlsplit

import pytest

from marketing_pipelines_tests.api.serving import serving
from marketing_pipelines_tests.cli.console import refusal_here
from marketing_pipelines_tests.installation import Installation


def test_it_listens_on_loopback_only_and_refuses_long_bodies_while_they_come(
    installation: Installation,
) -> None:
    with serving() as (address, process):
        port = urlsplit(address).port
        assert port is not None
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        client.request("POST", "/nothing", body=(b"x" * 100_000 for _ in range(15)))
        assert client.getresponse().status == 413
        client.close()
        outside = socket.gethostbyname(socket.gethostname())
        if not outside.startswith("127."):
            with socket.socket() as probe:
                assert probe.connect_ex((outside, port)) != 0
        slow = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        slow.putrequest("POST", "/health/live")
        slow.putheader("Content-Length", "10")
        slow.endheaders()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        assert time.monotonic() - begun < 5
        slow.close()


def test_a_port_that_is_taken_is_one_sentence(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = refusal_here(capsys, "api", "--port", port)
    assert sentence.startswith(f"Port {port} on 127.0.0.1 cannot be used")
