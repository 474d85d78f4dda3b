"""`api`: it listens on loopback, answers, and stops in time with nothing left behind."""

import contextlib
import http.client
import signal
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import pytest
import uvicorn

from marketing_pipelines.api import limits, tokens
from marketing_pipelines.api import serving as serving_module
from marketing_pipelines.api.app import build_app
from marketing_pipelines_tests.api.serving import serving
from marketing_pipelines_tests.cli.console import refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.waiting import until


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


def test_headers_and_bodies_that_come_too_slowly_are_given_up(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_here(installation, monkeypatch) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as idle:
            assert idle.recv(100) == b"", "closed without an answer"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            begun = time.monotonic()
            slow.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            with contextlib.suppress(ConnectionError):
                while time.monotonic() - begun < 20:
                    slow.sendall(b"X: y\r\n")
                    time.sleep(0.05)
            assert time.monotonic() - begun < 10, "a header each moment does not keep it open"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            request = b"POST /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n1"
            slow.sendall(request)
            answer = slow.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"send it at once" in answer
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as steady:
                for _ in range(3):
                    steady.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                    assert steady.recv(10_000).startswith(b"HTTP/1.1 200")
                    time.sleep(0.2)


def test_headers_of_any_size_are_refused(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serving_here(installation, monkeypatch) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as large,
    ):
        large.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 200_000)
        assert large.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("proxies", "address", "is_secure"),
    [
        (None, "127.0.0.1", False),
        ("10.0.0.0/8", "127.0.0.1", False),
        ("10.0.0.0/8, 127.0.0.1", "203.0.113.9", True),
    ],
)
def test_forwarded_headers_are_believed_from_configured_proxies_only(
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    proxies: str | None,
    address: str,
    is_secure: bool,
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with installation.engine.begin() as connection:
        token = tokens.create(connection, "t", ["read"])
    with serving_here(installation, monkeypatch, trusted_proxies=proxies) as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        client.request("POST", "/admin/pages/sign-in", urlencode({"token": token}), headers)
        answer = client.getresponse()
        cookie = answer.getheader("set-cookie") or ""
        client.close()
    assert answer.status == 303
    assert ("Secure" in cookie) is is_secure
    assert installation.rows("select address from ops.audit_log") == [(address,)]


@contextlib.contextmanager
def serving_here(
    installation: Installation, patch: pytest.MonkeyPatch, **update: str | None
) -> Iterator[int]:
    """The API over HTTP on a free port, its time limits short."""
    patch.setattr(serving_module, "SECONDS_FOR_HEADERS", 0.5)
    patch.setattr(limits, "SECONDS_FOR_BODY", 0.5)
    settings = installation.settings.model_copy(update=update)
    app = build_app(settings=settings, engine=installation.engine, instance=installation.instance)
    config = serving_module.config(app, settings, host="127.0.0.1", port=0)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, what="the server to listen")
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


def test_a_port_that_is_taken_is_one_sentence(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = refusal_here(capsys, "api", "--port", port)
    assert sentence.startswith(f"Port {port} on 127.0.0.1 cannot be used")
