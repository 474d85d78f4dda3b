"""Webhooks go to checked addresses alone, once, within their time and size."""

import contextlib
import gzip
import ipaddress
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from marketing_pipelines.domains.integrations.http import retry_after
from marketing_pipelines.domains.webhooks.addresses import (
    RefusedAddressError,
    UnknownHostError,
    check_url,
    checked_addresses,
    is_public,
)
from marketing_pipelines.domains.webhooks.transport import (
    MAX_KEPT,
    ReceiverAnswer,
    UnreachedError,
    WebhookTransport,
)
from marketing_pipelines.webhook_settings import AllowedHosts

NOBODY = AllowedHosts()
LOOPBACK = AllowedHosts.of("127.0.0.0/8")
TLS_HANDSHAKE = 22
# A port that public receivers may have.
PORT = 8443
BODY = b"{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


class Listener:
    """A listener on loopback; `answering` talks to each connection in a thread."""

    def __init__(
        self, answering: Callable[[socket.socket], None], address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._socket = socket.create_server((address, port))
        self.port: int = self._socket.getsockname()[1]
        self.requests: list[bytes] = []
        self.connections = 0
        self._answering = answering
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while not request.endswith(BODY):
                received = connection.recv(65536)
                if not received or received[0] == TLS_HANDSHAKE:
                    return
                request += received
            self.requests.append(request)
            self._answering(connection)

    def close(self) -> None:
        self._socket.close()


def of_loopback() -> str:
    """An address of loopback that no other test listens on."""
    return "127." + ".".join(str(random.randint(2, 250)) for _ in range(3))


@pytest.fixture
def listening() -> Iterator[Callable[..., Listener]]:
    opened: list[Listener] = []

    def listen(
        answer: bytes | Callable[[socket.socket], None] = OK,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> Listener:
        def answering(connection: socket.socket) -> None:
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)

        opened.append(Listener(answering, address, port))
        return opened[-1]

    yield listen
    for one in opened:
        one.close()


def _post(url: str, allowed: AllowedHosts = LOOPBACK, timeout: float = 5.0) -> ReceiverAnswer:
    return WebhookTransport(allowed, timeout=timeout).post(url, BODY, {"webhook-id": "e1"})


def test_a_webhook_is_one_post_with_its_headers_and_without_proxy(
    listening: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = listening()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    receiver = listening()
    answer = _post(f"http://127.0.0.1:{receiver.port}/hooks?a=1")
    assert (answer.status, answer.text) == (200, "fine")
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    assert first == b"POST /hooks?a=1 HTTP/1.1"
    assert sorted(header.lower() for header in headers) == [
        b"accept-encoding: identity",
        b"connection: close",
        b"content-length: 2",
        b"host: 127.0.0.1:%d" % receiver.port,
        b"user-agent: marketing-pipelines",
        b"webhook-id: e1",
    ]
    assert body == BODY
    assert proxy.connections == 0


def test_a_name_that_moves_after_its_check_reaches_nothing_inside(
    listening: Callable[..., Listener],
) -> None:
    outside, private = of_loopback(), of_loopback()
    checked = listening(address=outside, port=PORT)
    inside = listening(address=private, port=PORT)
    answers = iter([outside, private])
    transport = WebhookTransport(
        AllowedHosts.of(outside), resolve=lambda _host: [next(answers)], timeout=5.0
    )
    url = f"https://moving.example:{PORT}/"
    with pytest.raises(UnreachedError, match=r"moving.example cannot be reached"):
        transport.post(url, BODY, {})
    assert (checked.connections, inside.connections) == (1, 0)
    with pytest.raises(RefusedAddressError, match=f"moving.example leads to {private}"):
        transport.post(url, BODY, {})
    assert (checked.connections, inside.connections) == (1, 0)


def test_the_peer_of_the_connection_is_the_checked_address_and_tls_checks_the_name() -> None:
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example").configure_cert(served)
    names: list[str | None] = []
    served.sni_callback = lambda _socket, name, _context: names.append(name)
    peers: list[str] = []
    address = of_loopback()
    server = socket.create_server((address, PORT))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            peers.append(connection.getsockname()[0])
            with contextlib.suppress(OSError), served.wrap_socket(connection, True) as secured:
                while not secured.recv(65536).endswith(BODY):
                    pass
                secured.sendall(OK)

    threading.Thread(target=serve, daemon=True).start()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    transport = WebhookTransport(
        LOOPBACK, resolve=lambda _host: [address], tls=trusting, timeout=5.0
    )
    with server:
        assert transport.post(f"https://hooks.example:{PORT}/", BODY, {}).status == 200
        with pytest.raises(UnreachedError, match="CERTIFICATE_VERIFY_FAILED"):
            transport.post(f"https://other.example:{PORT}/", BODY, {})
    assert peers == [address, address]
    assert names == ["hooks.example", "other.example"]


def test_a_redirect_is_an_answer_and_is_not_followed(listening: Callable[..., Listener]) -> None:
    inside = listening()
    location = f"Location: http://127.0.0.1:{inside.port}/".encode()
    receiver = listening(b"HTTP/1.1 302 Found\r\n" + location + b"\r\nContent-Length: 0\r\n\r\n")
    assert _post(f"http://127.0.0.1:{receiver.port}/").status == 302
    assert inside.connections == 0


def test_an_answer_of_one_byte_at_a_time_ends_with_the_time_of_the_attempt(
    listening: Callable[..., Listener],
) -> None:
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(drips.pop(0))
        while not ended.wait(0.02):
            connection.sendall(b".")

    drips = [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"]
    receiver = listening(drip)
    began = time.monotonic()
    with pytest.raises(UnreachedError, match=r"did not answer within 0.4 s"):
        _post(f"http://127.0.0.1:{receiver.port}/", timeout=0.4)
    answer = _post(f"http://127.0.0.1:{receiver.port}/", timeout=0.4)
    ended.set()
    assert time.monotonic() - began < 3
    assert (answer.status, set(answer.text)) == (200, {"."})


def test_a_receiver_that_reads_nothing_ends_with_the_time_of_the_attempt() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for url in ("http", "https"):
            began = time.monotonic()
            with pytest.raises(UnreachedError, match=r"did not answer within 0.3 s"):
                WebhookTransport(LOOPBACK, timeout=0.3).post(
                    f"{url}://127.0.0.1:{silent.getsockname()[1]}/", b"x" * (16 << 20), {}
                )
            assert time.monotonic() - began < 3


def test_a_receiver_that_reads_slowly_ends_with_the_time_of_the_attempt() -> None:
    ended = threading.Event()

    def sip() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            while not ended.wait(0.1):
                connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=sip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(UnreachedError, match=r"did not answer within 0.4 s"):
            WebhookTransport(LOOPBACK, timeout=0.4).post(
                f"http://127.0.0.1:{server.getsockname()[1]}/", b"x" * (32 << 20), {}
            )
        assert time.monotonic() - began < 3
        ended.set()


def test_an_address_that_refuses_leaves_the_next_one(listening: Callable[..., Listener]) -> None:
    receiver = listening(address="127.0.0.3")
    transport = WebhookTransport(
        AllowedHosts.of("two.example"), resolve=lambda _host: ["127.0.0.4", "127.0.0.3"]
    )
    assert transport.post(f"http://two.example.:{receiver.port}/", BODY, {}).status == 200
    assert b"two.example:%d\r\n" % receiver.port in receiver.requests[0]


def test_an_answer_without_end_is_read_no_further_than_the_limit(
    listening: Callable[..., Listener],
) -> None:
    sent = 0

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent += connection.send(b"x" * 65536)

    receiver = listening(pour)
    answer = _post(f"http://127.0.0.1:{receiver.port}/")
    assert answer == ReceiverAnswer(200, answer.headers, "x" * MAX_KEPT)
    assert sent < 16 << 20


def test_a_compressed_answer_is_not_unpacked(listening: Callable[..., Listener]) -> None:
    packed = gzip.compress(b"\0" * (10 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    receiver = listening(head + packed)
    answer = _post(f"http://127.0.0.1:{receiver.port}/")
    assert answer.status == 200
    assert len(answer.text) <= MAX_KEPT
    assert "\x00" not in answer.text


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000, id="headers without end"),
        pytest.param(b"HTTP/1.1 103 Early\r\n\r\n" * 100_000, id="early answers without end"),
        pytest.param(b"220 mail.example ESMTP\r\n", id="another protocol"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_answers_that_are_not_http_are_one_sentence(
    listening: Callable[..., Listener], answer: bytes
) -> None:
    receiver = listening(answer)
    with pytest.raises(UnreachedError, match=r"^127.0.0.1 "):
        _post(f"http://127.0.0.1:{receiver.port}/")


def test_a_closed_port_and_an_unknown_name_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachedError, match=r"127.0.0.1 cannot be reached"):
        _post(f"http://127.0.0.1:{port}/")
    with pytest.raises(UnknownHostError, match=r"nowhere.invalid cannot be resolved"):
        _post("https://nowhere.invalid/")


def test_a_resolver_that_hangs_costs_no_more_than_the_time_of_the_attempt() -> None:
    answered = threading.Event()

    def resolve(_host: str) -> list[str]:
        answered.wait()
        return []

    with pytest.raises(UnknownHostError, match=r"hooks.example was not resolved in time"):
        WebhookTransport(NOBODY, resolve=resolve, timeout=0.1).post(
            "https://hooks.example/", BODY, {}
        )
    answered.set()


def test_the_pause_of_an_answer_is_read_from_its_headers(
    listening: Callable[..., Listener],
) -> None:
    receiver = listening(b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n")
    found = retry_after(_post(f"http://127.0.0.1:{receiver.port}/").headers)
    assert found is not None
    assert found.total_seconds() == 7


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1",  # noqa: S104
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "3fff::1", "4000::1", "::ffff:0:7f00:1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(RefusedAddressError, match=r"hooks.example leads to"):
        checked_addresses("hooks.example", NOBODY, lambda _host: ["93.184.216.34", address])


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_public_addresses_are_taken(address: str) -> None:
    assert checked_addresses("hooks.example", NOBODY, lambda _host: [address]) == [address]


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_as_public_inside_ipv6_as_alone(
    address: ipaddress.IPv4Address,
) -> None:
    number = int(address)
    inside = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ]
    assert {is_public(one) for one in inside} == {is_public(address)}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.org/", "does not begin with https://"),
        ("ftp://example.org/", "does not look like"),
        ("https:///path", "does not look like"),
        ("example.org", "does not look like"),
        ("https://user:secret@example.org/", "has a user name or a password"),
        ("https://example.org/#a", "has a part after '#'"),
        ("https://example.org:22/", "names port 22"),
        ("https://example.org:0/", "names port 0"),
        ("https://localhost/", "localhost is no name of the public internet"),
        ("https://2130706433/", "2130706433 is no name of the public internet"),
        ("https://127.1/", "127.1 is no name of the public internet"),
        ("https://a..b/", "a..b is no name of the public internet"),
        ("https://127.0.0.1/", "127.0.0.1 is not an address of the public internet"),
        ("https://[::1]/", "::1 is not an address of the public internet"),
        ("https://[::ffff:10.0.0.1]/", "is not an address of the public internet"),
        ("https://" + "a" * 2_000, "longer than 2,000"),
        ("https://exa mple.org/", "does not look like"),
        ("https://example.org/\r\nX: y", "not valid"),
    ],
)
def test_urls_that_no_webhook_may_go_to_are_refused_in_a_sentence(url: str, problem: str) -> None:
    with pytest.raises(RefusedAddressError, match=problem.replace("[", r"\[")):
        check_url(url, NOBODY)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.org/a?b=c", ""),
        ("https://example.org:8443/", ""),
        ("https://bücher.example/", ""),
        ("http://CRM.internal:8080/", "crm.internal"),
        ("http://10.1.2.3:9000/", "10.1.0.0/16"),
        ("http://[fd00::1]/", "fd00::/8"),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example"),
    ],
)
def test_public_and_allowed_urls_are_taken(url: str, allowed: str) -> None:
    check_url(url, AllowedHosts.of(allowed))


@pytest.mark.parametrize("entry", ["10.1.2.3/8", "http://crm.internal", "crm internal", "1.2.3"])
def test_an_entry_that_is_neither_host_nor_network_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        AllowedHosts.of(f"crm.internal, {entry}")
