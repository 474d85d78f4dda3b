"""E-mail by SMTP, over one connection for each thread that sends."""

import contextlib
import re
import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from marketing_pipelines.domains.delivery import mail
from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered, writing
from marketing_pipelines.domains.delivery.transports.outcomes import (
    LineError,
    UnknownOutcomeError,
)
from marketing_pipelines.domains.delivery.transports.smtp_answers import (
    CLOSING,
    refusal,
    sentence,
)
from marketing_pipelines.domains.delivery.transports.smtp_server import SmtpServer

# Shorter than the lease of a message that is being sent.
TIMEOUT = 60.0
# A server closes a silent connection some time; one that is younger is worth trying.
MAX_IDLE = 30.0
_LEADING_DOT = re.compile(rb"(?m)^\.")


class SmtpTransport:
    """Hands mails to one server.

    A connection is used for the mails of one thread until it fails. A server may close it between
    two mails, with 421 or without a word, as many do after a number of them: the mail then goes
    over a new connection, and only an error of that one is a fault of the line.
    """

    repeatable = False

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._of_thread = threading.local()
        self.line = server.line

    def send(self, message: Rendered) -> str | None:
        """Hands over a mail; see `Transport.send`."""
        return self.prepare(message)()

    def prepare(self, message: Rendered) -> Callable[[], str | None]:
        """Writes a mail; see `Preparing`."""
        with writing():
            written = mail.write(message, provider=self._server.provider)
        return partial(self._send, written)

    def _send(self, written: mail.Written) -> str | None:
        session = self._begun(written)
        with self._closing_on_error():
            session.name_recipient(written)
            text = session.give(written.data)
        return _provider_id(self._server.provider, text)

    def check(self) -> str:
        """Connects, greets and logs in; returns the server's name for itself.

        Raises:
            LineError: one of them failed.
        """
        self.close()
        session = _Session(self._server)
        session.close()
        return session.greeting

    def close(self) -> None:
        """Closes this thread's connection, if it has one."""
        session: _Session | None = getattr(self._of_thread, "session", None)
        self._of_thread.session = None
        if session is not None:
            session.close()

    def _begun(self, written: mail.Written) -> "_Session":
        session: _Session | None = getattr(self._of_thread, "session", None)
        if session is not None and session.is_fresh:
            try:
                session.name_sender(written)
                return session
            except _ConnectionClosedError:
                pass
            except LineError:
                self.close()
                raise
        self.close()
        session = _Session(self._server)
        self._of_thread.session = session
        with self._closing_on_error():
            session.name_sender(written)
        return session

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except LineError:
            self.close()
            raise


class _ConnectionClosedError(LineError):
    """The server closed the connection before the mail began."""


class _Session:
    """One connection, greeted and logged in."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        kind = smtplib.SMTP_SSL if server.security == "tls" else smtplib.SMTP
        secured: dict[str, Any] = {"context": _tls()} if server.security == "tls" else {}
        with self._stage("cannot be reached"):
            self._smtp = kind(server.host, server.port, timeout=TIMEOUT, **secured)
        try:
            self._greet()
        except BaseException:
            self._smtp.close()
            raise
        self.greeting = str((self._smtp.ehlo_resp or b"").decode(errors="replace")).split("\n")[0]
        self._is_under_way = False
        self._used_at = time.monotonic()

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self._used_at < MAX_IDLE

    def name_sender(self, written: mail.Written) -> None:
        """Begins a mail.

        Raises:
            MessageError: the server does not take such an address.
            _ConnectionClosedError: the server has closed the connection.
            LineError: it refuses the sender.
        """
        options = []
        if written.needs_utf8:
            if not self._smtp.has_extn("smtputf8"):
                raise MessageError(
                    "The contact's e-mail address is not ASCII, and the mail server does not take "
                    "such addresses (SMTPUTF8)."
                )
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        try:
            if self._is_under_way:
                self._smtp.rset()
            code, text = self._smtp.mail(written.sender, options)
        except (OSError, smtplib.SMTPException) as error:
            raise _ConnectionClosedError(self._fault("closed the connection", error)) from error
        self._is_under_way = True
        if code == CLOSING:
            raise _ConnectionClosedError(self._answered(code, text), is_slow_down=True)
        if not 200 <= code < 400:
            raise LineError(f"{self._answered(code, text)} to the sender {written.sender}")

    def name_recipient(self, written: mail.Written) -> None:
        """Names the one recipient.

        Raises:
            DeferredError, BouncedError, MessageError: the server refuses it.
            LineError: the server wants no mail, or is gone.
        """
        with self._stage("closed the connection"):
            code, text = self._smtp.rcpt(written.recipient)
        if not 200 <= code < 300:
            raise refusal(code, _decoded(text))

    def give(self, data: bytes) -> str:
        """Sends the mail itself; returns the server's answer.

        Raises:
            DeferredError, BouncedError, MessageError: the server refuses it.
            UnknownOutcomeError: the server did not answer.
            LineError: the server wants no mail, or is gone.
        """
        with self._stage("closed the connection"):
            code, text = self._smtp.docmd("DATA")
        if code != 354:
            raise refusal(code, _decoded(text))
        try:
            self._smtp.send(_LEADING_DOT.sub(b"..", data) + b".\r\n")
            code, text = self._smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise UnknownOutcomeError(self._fault("did not answer the mail", error)) from error
        self._is_under_way = False
        self._used_at = time.monotonic()
        if 200 <= code < 300:
            return _decoded(text)
        if 400 <= code < 600:
            raise refusal(code, _decoded(text))
        raise UnknownOutcomeError(self._answered(code, text))

    def close(self) -> None:
        """Ends the connection; a server that is gone already is fine."""
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if self._smtp.sock is not None:
                self._smtp.sock.settimeout(1.0)
                self._smtp.quit()
        self._smtp.close()

    def _greet(self) -> None:
        smtp = self._smtp
        with self._stage("refuses the greeting"):
            smtp.ehlo_or_helo_if_needed()
        if self._server.security == "starttls":
            with self._stage("does not take STARTTLS"):
                code, text = smtp.starttls(context=_tls())
                if code != 220:
                    raise smtplib.SMTPResponseException(code, text)
                smtp.ehlo_or_helo_if_needed()
        if self._server.user is not None and self._server.password is not None:
            with self._stage("refuses the login"):
                smtp.login(self._server.user, self._server.password)

    @contextlib.contextmanager
    def _stage(self, what: str) -> Iterator[None]:
        try:
            yield
        except smtplib.SMTPResponseException as error:
            said = sentence(error.smtp_code, _decoded(error.smtp_error))
            raise LineError(
                f"{self._server.line} {what}: {said}", is_slow_down=error.smtp_code == CLOSING
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise LineError(
                f"{self._server.line} {what}: its certificate is not trusted "
                f"({error.verify_message}); install ca-certificates, or let SSL_CERT_FILE name the "
                "authority"
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise LineError(self._fault(what, error)) from error

    def _fault(self, what: str, error: Exception) -> str:
        return f"{self._server.line} {what}: {' '.join(str(error).split()) or type(error).__name__}"

    def _answered(self, code: int, text: bytes) -> str:
        return f"{self._server.line} answers {sentence(code, _decoded(text))}"


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _decoded(text: bytes | str) -> str:
    return text if isinstance(text, str) else text.decode(errors="replace")


_IDS = {
    # 250 Ok 0102018f…-000000
    "ses": re.compile(r"\bOk (\S+)"),
    # 250 Ok: queued as ABC
    "sendgrid": re.compile(r"queued as (\S+)"),
    None: re.compile(r"queued as (\S+)"),
    # 250 Great success; 2.0.0 Ok: queued as ABC; Mailgun and Postmark name the Message-ID.
    "mandrill": re.compile(r"queued as (\S+)"),
}


def _provider_id(provider: str | None, answer: str) -> str | None:
    pattern = _IDS.get(provider)
    match = pattern.search(answer) if pattern else None
    return match[1] if match else None
