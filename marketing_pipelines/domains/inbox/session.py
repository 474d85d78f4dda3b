"""One IMAP session: login, folders, and mails as bytes, with every failure as one of ours.

Commands change nothing on the server: folders are opened by EXAMINE and mails are read by
BODY.PEEK. imap-tools makes the connection, logs in and reads names of folders; bodies come from
`imaplib` underneath, a bounded number at once, so that the memory is bounded too.
"""

import contextlib
import datetime as dt
import imaplib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import imap_tools

from marketing_pipelines.domains.inbox.fetched import MONTHS, Listed, bodies_of, listed_of
from marketing_pipelines.domains.integrations.http import (
    LoginRefusedError,
    ServiceUnavailableError,
    TimeUsedUpError,
    WrongAnswerError,
)
from marketing_pipelines.domains.integrations.providers import ImapFields
from marketing_pipelines.failures import RetryableError

TIMEOUT = 30.0
LEAST_TIMEOUT = 1.0
MAX_HEADER_BYTES = 256 << 10
# A search answers with the numbers of at most so many mails.
SEARCHED_AT_ONCE = 50_000
GMAIL = "X-GM-EXT-1"
_LISTED = f"UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER]<0.{MAX_HEADER_BYTES}>"
_CODE = re.compile(r"\[([A-Z-]+)[^\]]*\]")
# Answers to a login after which only a person can help.
_REFUSALS = frozenset({"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED"})
# Asks for a login on the web; it may come for a login that is right.
_WEB = "WEBALERT"
# Answers to any command after which the server is tried at the next tick.
_TEMPORARY = frozenset({"UNAVAILABLE", "LIMIT", "INUSE"})
_MAX_SAID = 200
# Takes the token that was refused, if one was.
TokenOf = Callable[[str | None], str]


class ConnectionLostError(ServiceUnavailableError):
    """The server ended the connection, or did not answer in time."""


class ServerBusyError(ServiceUnavailableError):
    """The server refuses a command for now, as its code says."""


class DoubtfulLoginError(ServiceUnavailableError):
    """The server refuses a login, and does not say that it is wrong."""


class UnreadableError(RetryableError):
    """The server refuses to give mails or a folder; the connection goes on."""


@dataclass(frozen=True)
class Folder:
    """A folder of a mailbox; its flags are in lower case."""

    name: str
    flags: frozenset[str]


@dataclass(frozen=True)
class Examined:
    """An open folder.

    Attributes:
        mails: Number of mails in it.
        next_uid: The number that the next mail gets; None: the server does not say it.
    """

    uidvalidity: int
    mails: int
    next_uid: int | None


class Session:
    """A session of one account, open until the end of `with`.

    Args:
        fields: The connection's; their `password` is used unless there is a token.
        token_of: Returns an access token, another one than that which was refused; None: the
            connection has a password.
        ends_at: The instant of the monotonic clock that ends the session, even within an answer.
    """

    def __init__(
        self,
        fields: ImapFields,
        token_of: TokenOf | None = None,
        ends_at: float | None = None,
    ) -> None:
        self._fields = fields
        self._token_of = token_of
        self._ends_at = ends_at
        self._box: Any = None
        self._watch: threading.Timer | None = None
        self.is_gmail = False

    @property
    def server(self) -> str:
        """Host and port, for sentences."""
        return f"{self._fields.host}:{self._port}"

    def __enter__(self) -> "Session":
        try:
            self._connect()
            if self._token_of is None:
                self._login()
            else:
                self._login_by_token(self._token_of)
            self.is_gmail = GMAIL in self._capabilities()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, ConnectionLostError | TimeUsedUpError):
            with contextlib.suppress(imaplib.IMAP4.error, imap_tools.ImapToolsError, OSError):
                self._box.client.logout()
        self._close()

    def folders(self) -> list[Folder]:
        """Returns the folders that can be opened, as the server lists them."""
        with self._failures_named("list its folders"):
            listed = self._box.folder.list()
        found = [Folder(one.name, frozenset(map(str.lower, one.flags))) for one in listed]
        return [one for one in found if not one.flags & {"\\noselect", "\\nonexistent"}]

    def examine(self, folder: str) -> Examined:
        """Opens a folder for reading.

        Raises:
            UnreadableError: the server refuses that.
            ServerBusyError: the server refuses it for now.
        """
        with self._failures_named(f"open the folder '{folder}'"):
            _, counted = self._box.folder.set(folder, readonly=True)
            uidvalidity = self._number("UIDVALIDITY")
            mails = int(counted[0])
        if uidvalidity is None:
            raise WrongAnswerError(f"{self.server} names no UIDVALIDITY of the folder '{folder}'.")
        return Examined(uidvalidity, mails, self._number("UIDNEXT"))

    def search(self, examined: Examined, first: int, last: int | None, since: dt.date) -> list[int]:
        """Returns numbers of mails in the open folder that arrived on a day or later, ascending.

        Args:
            first: The lowest number.
            last: The highest number; None: the highest that there is.
        """
        found: set[int] = set()
        # From the top: mails that others remove meanwhile move those that are still to be searched
        # down, and none out of the rest.
        ends = range(max(examined.mails, 1), 0, -SEARCHED_AT_ONCE)
        day = f"{since.day}-{MONTHS[since.month - 1]}-{since.year}"
        criterion = f"UID {first}:{last or '*'} SINCE {day}"
        for end in ends:
            pages = f"{max(end - SEARCHED_AT_ONCE + 1, 1)}:{end} " if len(ends) > 1 else ""
            data = self._uid("search", "SEARCH", f"({pages}{criterion})")
            for line in data:
                found.update(int(one) for one in (line or b"").split() if one.isdigit())
        # `n:*` names the highest number even if it is lower than n.
        return sorted(uid for uid in found if first <= uid and (last is None or uid <= last))

    def headers(self, uids: Sequence[int]) -> list[Listed]:
        """Returns number, time, size, labels of Gmail and header of mails that are still there.

        Raises:
            UnreadableError: the server refuses to give some of them.
        """
        items = f"(X-GM-LABELS {_LISTED})" if self.is_gmail else f"({_LISTED})"
        return list(listed_of(self._fetch(uids, items)))

    def bodies(self, uids: Sequence[int]) -> dict[int, bytes]:
        """Returns mails as they are, of those that are still there.

        Raises:
            UnreadableError: the server refuses to give some of them.
        """
        return dict(bodies_of(self._fetch(uids, "(UID BODY.PEEK[])")))

    @property
    def _port(self) -> int:
        return self._fields.port or (993 if self._fields.tls == "implicit" else 143)

    @property
    def _timeout(self) -> float:
        if self._ends_at is None:
            return TIMEOUT
        return max(min(TIMEOUT, self._ends_at - time.monotonic()), LEAST_TIMEOUT)

    def _connect(self) -> None:
        host, port, timeout = self._fields.host, self._port, self._timeout
        try:
            if self._fields.tls == "implicit":
                context = ssl.create_default_context()
                self._box = imap_tools.MailBox(host, port, timeout, ssl_context=context)
            else:
                self._box = imap_tools.MailBoxUnencrypted(host, port, timeout)
        except imaplib.IMAP4.error as error:
            raise ServiceUnavailableError(
                f"{self.server} does not greet as a mail server does: {_said(error)}."
            ) from error
        except (OSError, ValueError) as error:
            raise ServiceUnavailableError(
                f"{self.server} cannot be reached: {_said(error)}."
            ) from error
        if self._fields.tls == "starttls":
            try:
                self._box.client.starttls(ssl.create_default_context())
            except (imaplib.IMAP4.error, OSError) as error:
                raise ServiceUnavailableError(
                    f"{self.server} does not begin TLS: {_said(error)}."
                ) from error
        if self._ends_at is not None:
            pause = max(self._ends_at - time.monotonic(), LEAST_TIMEOUT)
            self._watch = threading.Timer(pause, _hang_up, [self._box.client.sock])
            self._watch.daemon = True
            self._watch.start()

    def _login(self) -> None:
        assert self._fields.password is not None
        password = self._fields.password.get_secret_value()
        with self._login_failures_named():
            if password.isascii():
                self._box.login(self._user, password, initial_folder=None)
            else:
                self._box.login_utf8(self._user, password, initial_folder=None)

    def _login_by_token(self, token_of: TokenOf) -> None:
        """Logs in by XOAUTH2; a token that is refused is replaced by a fresh one, once."""
        token = token_of(None)
        try:
            self._authenticate(token)
        except (LoginRefusedError, DoubtfulLoginError):
            self._close()
            self._connect()
            self._authenticate(token_of(token))

    def _authenticate(self, token: str) -> None:
        answers = [f"user={self._user}\1auth=Bearer {token}\1\1".encode(), b""]
        with self._login_failures_named():
            # A refusal comes as a second challenge first, with an empty answer.
            self._box.client.authenticate("XOAUTH2", lambda _: answers.pop(0) if answers else b"")

    @property
    def _user(self) -> str:
        return self._fields.user or self._fields.address

    def _capabilities(self) -> set[str]:
        with self._failures_named("name its capabilities"):
            _, data = self._box.client.capability()
        return {one.upper() for line in data if line for one in line.decode().split()}

    def _number(self, name: str) -> int | None:
        values = self._box.client.untagged_responses.get(name) or [None]
        return int(values[0]) if values[0] and values[0].isdigit() else None

    def _fetch(self, uids: Sequence[int], what: str) -> list[Any]:
        return self._uid("give mails", "FETCH", ",".join(map(str, uids)), what)

    def _uid(self, action: str, *arguments: str) -> list[Any]:
        with self._failures_named(action):
            kind, data = self._box.client.uid(*arguments)
            if kind != "OK":
                raise self._refusal(action, data)
        return list(data)

    def _refusal(self, action: str, problem: Any) -> UnreadableError | ServerBusyError:
        said = _said(problem)
        is_temporary = not _TEMPORARY.isdisjoint(_CODE.findall(said))
        kind = ServerBusyError if is_temporary else UnreadableError
        return kind(f"{self.server} refuses to {action}: {said}.")

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._box is not None:
            with contextlib.suppress(OSError):
                self._box.client.shutdown()

    def _require_time(self) -> None:
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            raise TimeUsedUpError(f"The time for calls to {self.server} is used up.")

    @contextlib.contextmanager
    def _failures_named(self, action: str) -> Iterator[None]:
        self._require_time()
        try:
            yield
        except (imaplib.IMAP4.abort, OSError) as error:
            self._require_time()
            raise ConnectionLostError(
                f"{self.server} ended the connection: {_said(error)}."
            ) from error
        except (imaplib.IMAP4.error, imap_tools.ImapToolsError) as error:
            raise self._refusal(action, error) from error
        except (ValueError, IndexError, TypeError, UnicodeError) as error:
            raise WrongAnswerError(
                f"{self.server} does not {action} as a mail server does."
            ) from error

    @contextlib.contextmanager
    def _login_failures_named(self) -> Iterator[None]:
        try:
            with self._failures_named("log in"):
                yield
        except (UnreadableError, ServerBusyError) as error:
            said = _said(error.__cause__ or error)
            codes = set(_CODE.findall(said))
            text = f"{self.server} refuses the login of {self._user}: {said}."
            if codes & _REFUSALS:
                raise LoginRefusedError(text) from None
            if not codes or _WEB in codes:
                raise DoubtfulLoginError(text) from None
            raise ServiceUnavailableError(text) from None


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _said(problem: Any) -> str:
    """The words of an error or an answer on one line, without their frame."""
    if isinstance(problem, imap_tools.errors.UnexpectedCommandStatusError):
        problem = problem.command_result[1]
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    if isinstance(problem, list):
        problem = " ".join(
            one.decode("utf-8", "replace") for one in problem if isinstance(one, bytes)
        )
    text = " ".join(str(problem).split())
    return text.removesuffix(".")[:_MAX_SAID]
