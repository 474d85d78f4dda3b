"""A real SMTP server on loopback whose answers a test decides."""

import asyncio
import contextlib
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

# An answer; None: the server closes the connection instead.
Answer = str | None


@dataclass(frozen=True)
class Taken:
    """A mail that the server took."""

    sender: str
    recipient: str
    data: bytes
    options: tuple[str, ...] = ()

    @property
    def mail(self) -> EmailMessage:
        """As a reader sees it."""
        read = message_from_bytes(self.data.replace(b"\r\n", b"\n"), policy=policy.default)
        assert isinstance(read, EmailMessage)
        return read


@dataclass
class Sink:
    """The server's rules and what it took.

    Attributes:
        on_mail, on_rcpt, on_data: Answers, given the sender, the recipient, the mail.
        closes_after: Mails of one connection after which it closes; None: never.
        says_421: Whether it answers 421 to the next mail before it closes.
        connections: How many were made.
        url: Address as `MARKETING_SMTP_URL` has it.
    """

    on_mail: Callable[[str], Answer] = lambda sender: "250 Ok"
    on_rcpt: Callable[[str], Answer] = lambda recipient: "250 Ok"
    on_data: Callable[[Taken], Answer] = lambda taken: "250 Ok: queued as A1B2"
    closes_after: int | None = None
    says_421: bool = False
    url: str = ""
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def recipients(self) -> list[str]:
        """The recipients of the mails that it took."""
        return [taken.recipient for taken in self.taken]

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answers MAIL FROM."""
        done = getattr(session, "mails", 0)
        if self.closes_after is not None and done >= self.closes_after:
            if self.says_421:
                asyncio.get_running_loop().call_later(0.01, server.transport.close)
                return "421 4.7.0 Too many mails on this connection"
            return await _hang_up(server)
        answer = self.on_mail(address)
        if answer is None:
            return await _hang_up(server)
        if answer.startswith("2"):
            envelope.mail_from, envelope.mail_options = address, options
        return answer

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answers RCPT TO."""
        answer = self.on_rcpt(address)
        if answer is None:
            return await _hang_up(server)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answers the end of the data."""
        [recipient] = envelope.rcpt_tos
        assert isinstance(envelope.content, bytes)
        assert envelope.mail_from is not None
        options = tuple(envelope.mail_options)
        taken = Taken(envelope.mail_from, recipient, envelope.content, options)
        answer = self.on_data(taken)
        if answer is None:
            return await _hang_up(server)
        if answer.startswith("2"):
            session.mails = getattr(session, "mails", 0) + 1  # type: ignore[attr-defined]
            with self._lock:
                self.taken.append(taken)
        return answer


async def _hang_up(server: SMTP) -> str:
    server.transport.abort()
    await asyncio.sleep(60)
    raise AssertionError("the connection is gone by now")


class _Controller(Controller):
    """A controller on a free port."""

    counting: Sink

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    def factory(self) -> SMTP:
        self.counting.connections += 1
        with warnings.catch_warnings():
            # A login without TLS is for this machine only.
            warnings.simplefilter("ignore")
            return super().factory()


@contextlib.contextmanager
def smtp_sink(
    *,
    password: str | None = None,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
    **options: Any,
) -> Iterator[Sink]:
    """Serves until the end of the block.

    Args:
        port: Where it listens; 0: on a free port.
        password: Of the user `ann`; None: no login.
        starttls, tls: The server's certificate, by STARTTLS or from the first byte.
        options: Further ones of aiosmtpd.
    """
    sink = Sink()
    options = {"enable_SMTPUTF8": False} | options
    if password is not None:

        def check(_s: Any, _e: Any, _v: Any, _m: Any, given: Any) -> AuthResult:
            assert isinstance(given, LoginPassword)
            expected = LoginPassword(b"ann", password.encode())
            return AuthResult(success=given == expected, handled=False)

        options |= {"authenticator": check, "auth_required": True, "auth_require_tls": False}
    if starttls is not None:
        options |= {"tls_context": starttls, "require_starttls": True}
    controller = _Controller(sink, hostname="127.0.0.1", port=port, ssl_context=tls, **options)
    controller.counting = sink
    controller.start()
    sink.connections = 0
    user = "" if password is None else f"ann:{password}@"
    scheme = "smtp" if tls is None else "smtps"
    plain = "" if starttls or tls else "?tls=off"
    sink.url = f"{scheme}://{user}127.0.0.1:{controller.port}{plain}"
    try:
        yield sink
    finally:
        controller.stop()
