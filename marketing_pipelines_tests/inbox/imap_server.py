"""A scripted IMAP server on loopback: the commands that reading needs, and the moods of servers.

It refuses every command that changes something, so a test that passes has changed nothing.
"""

import base64
import contextlib
import datetime as dt
import re
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass
class StoredMail:
    """A mail of a folder."""

    uid: int
    received_at: dt.datetime
    raw: bytes
    flags: str = ""
    labels: str = ""


@dataclass
class ServedFolder:
    """A folder.

    Attributes:
        names_next: False for servers that do not say UIDNEXT.
        names_validity: False for those that do not say UIDVALIDITY.
    """

    flags: str = ""
    uidvalidity: int = 1
    next_uid: int = 1
    mails: list[StoredMail] = field(default_factory=list)
    names_next: bool = True
    names_validity: bool = True

    def add(self, raw: bytes, received_at: dt.datetime) -> int:
        """Appends a mail; returns its number."""
        self.mails.append(StoredMail(self.next_uid, received_at, raw))
        self.next_uid += 1
        return self.next_uid - 1

    def renumber(self) -> None:
        """Begins another generation of numbers, as a restored server does."""
        self.uidvalidity += 1
        self.next_uid = 1
        old, self.mails = self.mails, []
        for mail in old:
            self.add(mail.raw, mail.received_at)


@dataclass
class ImapServer:
    """The accounts' one mailbox, the server's moods, and what it was asked.

    Attributes:
        passwords: By user.
        tokens: Tokens that XOAUTH2 accepts.
        refusal: The answer to every login instead; None: by passwords and tokens.
        drops_after: Ends a connection after so many mails of answers; 0: never.
        unsearchable: Folders whose SEARCH is refused.
        fetch_refusal: The answer to every FETCH instead; None: mails.
        unlistable: Numbers that a FETCH of headers refuses.
        unreadable: Numbers that a FETCH of bodies refuses.
        fatal: Numbers at whose bodies the connection ends.
        endless: Numbers of mails whose bodies do not come to their end.
        vanishing: Numbers of mails that are gone when their bodies are read.
        silent: Reads commands and never answers.
        pause: Seconds before the answer to each FETCH.
        drips: Sends the bytes of mails one by one, with a pause of so many seconds.
        greeting: The first line instead; None: that of a mail server.
        tls: implicit, starttls or off, for a server with a certificate.
        given: Mails in all its answers.
    """

    folders: dict[str, ServedFolder] = field(default_factory=lambda: {"INBOX": ServedFolder()})
    passwords: dict[str, str] = field(default_factory=lambda: {"anna@acme.example": "s3cret"})
    tokens: set[str] = field(default_factory=set)
    capabilities: str = "IMAP4rev1"
    refusal: str | None = None
    drops_after: int = 0
    unsearchable: set[str] = field(default_factory=set)
    fetch_refusal: str | None = None
    unlistable: set[int] = field(default_factory=set)
    fatal: set[int] = field(default_factory=set)
    endless: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    vanishing: set[int] = field(default_factory=set)
    silent: bool = False
    pause: float = 0.0
    drips: float = 0.0
    greeting: str | None = None
    tls: str = "off"
    port: int = 0
    commands: list[str] = field(default_factory=list)
    given: int = 0
    logins: int = 0
    ends: threading.Event = field(default_factory=threading.Event)

    def fields(self, **changed: object) -> dict[str, object]:
        """The fields of a connection to it."""
        own = {
            "address": "anna@acme.example", "host": "127.0.0.1", "port": self.port, "tls": "off",
            "password": "s3cret",
        }  # fmt: skip
        return {**own, **changed}


@contextlib.contextmanager
def imap_server(context: ssl.SSLContext | None = None) -> Iterator[ImapServer]:
    """Serves until the end of the block.

    Args:
        context: The server's certificate; None: it has none.
    """
    serving = ImapServer()

    class Handler(_Conversation):
        server_state = serving
        certificate = context

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, request: object, address: object) -> None:
            """Says nothing about clients that hang up."""

    server = Server(("127.0.0.1", 0), Handler)
    serving.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield serving
    finally:
        serving.ends.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _DroppedError(Exception):
    """The server ends the connection within an answer."""


class _Conversation(socketserver.StreamRequestHandler):
    server_state: ImapServer
    certificate: ssl.SSLContext | None
    wbufsize = 1 << 16

    def handle(self) -> None:
        self.folder: ServedFolder | None = None
        self.opened = ""
        self.given = 0
        with contextlib.suppress(_DroppedError, ConnectionError, ssl.SSLError):
            if self.server_state.tls == "implicit":
                self._begin_tls()
            self._say(self.server_state.greeting or "* OK ready")
            self.wfile.flush()
            while line := self.rfile.readline():
                tag, _, rest = line.decode().strip().partition(" ")
                if self.server_state.silent:
                    self.server_state.ends.wait(60)
                    return
                if not self._answer(tag, rest):
                    return
                self.wfile.flush()

    def finish(self) -> None:
        """Closes the conversation, also if the client has hung up."""
        with contextlib.suppress(ConnectionError, ssl.SSLError, ValueError):
            super().finish()
        self.connection.close()

    def _begin_tls(self) -> None:
        assert self.certificate is not None
        self.connection = self.certificate.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", self.wbufsize)

    def _answer(self, tag: str, rest: str) -> bool:
        state = self.server_state
        name = rest.split(" ", 1)[0].upper()
        if name == "UID":
            name = " ".join(rest.upper().split(" ")[:2])
        state.commands.append("LOGIN" if name == "LOGIN" else rest)
        if name == "CAPABILITY":
            added = " STARTTLS" if state.tls == "starttls" else ""
            self._say(f"* CAPABILITY {state.capabilities}{added}")
        elif name == "STARTTLS" and state.tls == "starttls":
            self._say(f"{tag} OK begin")
            self.wfile.flush()
            self._begin_tls()
            return True
        elif name in ("LOGIN", "AUTHENTICATE"):
            state.logins += 1
            self._say(f"{tag} {self._login(name, rest)}")
            return True
        elif name == "LIST":
            for folder, own in state.folders.items():
                self._say(f'* LIST ({own.flags}) "/" "{folder}"')
        elif name == "EXAMINE":
            folder = rest.split(" ", 1)[1].strip('"')
            if folder not in state.folders:
                self._say(f"{tag} NO [NONEXISTENT] no such folder")
                return True
            self.opened = folder
            self._examine(state.folders[folder])
        elif name == "UID SEARCH" and self.opened in state.unsearchable:
            self._say(f"{tag} NO [SERVERBUG] the index is broken")
            return True
        elif name == "UID SEARCH":
            self._say("* SEARCH " + " ".join(str(one.uid) for one in self._searched(rest)))
        elif name == "UID FETCH":
            state.ends.wait(state.pause)
            if state.fetch_refusal is not None:
                self._say(f"{tag} {state.fetch_refusal}")
                return True
            refused = self._fetch(rest)
            if refused:
                self._say(f"{tag} NO [SERVERBUG] mail {refused} cannot be read")
                return True
        elif name == "LOGOUT":
            self._say("* BYE see you")
            self._say(f"{tag} OK done")
            return False
        else:
            self._say(f"{tag} BAD {name} changes something, or is not known")
            return True
        self._say(f"{tag} OK done")
        return True

    def _login(self, name: str, rest: str) -> str:
        state = self.server_state
        if name == "LOGIN":
            user, password = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', rest.split(" ", 1)[1])[:2]
            known = state.passwords.get("".join(user)) == "".join(password)
        else:
            self._say("+ ")
            self.wfile.flush()
            said = base64.b64decode(self.rfile.readline()).decode()
            if rest.upper().endswith("PLAIN"):
                _, user, password = said.split("\0")
                known = state.passwords.get(user) == password
            else:
                known = said.partition("Bearer ")[2].rstrip("\1") in state.tokens
            if not known and not rest.upper().endswith("PLAIN"):
                self._say("+ " + base64.b64encode(b'{"status":"400"}').decode())
                self.wfile.flush()
                assert self.rfile.readline().strip() == b""
        if state.refusal is not None:
            return state.refusal
        return "OK logged in" if known else "NO [AUTHENTICATIONFAILED] wrong login"

    def _examine(self, folder: ServedFolder) -> None:
        self.folder = folder
        self._say(f"* {len(folder.mails)} EXISTS")
        if folder.names_validity:
            self._say(f"* OK [UIDVALIDITY {folder.uidvalidity}] valid")
        if folder.names_next:
            self._say(f"* OK [UIDNEXT {folder.next_uid}] next")

    def _searched(self, rest: str) -> list[StoredMail]:
        assert self.folder is not None
        found = re.search(r"\((?:(\d+):(\d+) )?UID (\d+):(\d+|\*) SINCE (\d+)-(\w+)-(\d+)\)", rest)
        assert found is not None, rest
        low, high, first, last, day, month, year = found.groups()
        since = dt.date(int(year), MONTHS.index(month) + 1, int(day))
        mails = self.folder.mails
        chosen = mails[int(low) - 1 : int(high)] if low else mails
        top = max((one.uid for one in mails), default=0) if last == "*" else int(last)
        low_uid, high_uid = sorted((int(first), top))
        return [
            one for one in chosen
            if low_uid <= one.uid <= high_uid and one.received_at.date() >= since
        ]  # fmt: skip

    def _fetch(self, rest: str) -> int:
        """Gives mails; returns the number of one that cannot be read, or 0."""
        assert self.folder is not None
        _, _, asked, items = rest.split(" ", 3)
        uids = {int(one) for one in asked.split(",")}
        is_header = "HEADER" in items
        state = self.server_state
        for place, one in enumerate(self.folder.mails, 1):
            if one.uid not in uids:
                continue
            if one.uid in state.vanishing and not is_header:
                continue
            if one.uid in (state.unlistable if is_header else state.unreadable):
                return one.uid
            if one.uid in state.endless and not is_header:
                self.wfile.flush()
                state.ends.wait(60)
            if one.uid in state.fatal and not is_header:
                self.wfile.flush()
                raise _DroppedError
            if state.drops_after and self.given >= state.drops_after:
                self.wfile.flush()
                raise _DroppedError
            self.given += 1
            state.given += 1
            content, label = one.raw, "BODY[]"
            if is_header:
                content, label = _header(one.raw), "BODY[HEADER]<0>"
            at = one.received_at.astimezone(dt.UTC)
            date = f"{at.day:2}-{MONTHS[at.month - 1]}-{at:%Y %H:%M:%S} +0000"
            labels = f"X-GM-LABELS ({one.labels}) " if "X-GM-LABELS" in items else ""
            self._say(
                f'* {place} FETCH ({labels}UID {one.uid} FLAGS ({one.flags}) INTERNALDATE "{date}"'
                f" RFC822.SIZE {len(one.raw)} {label} {{{len(content)}}}"
            )
            self._give(content)
            self._say(")")
        return 0

    def _give(self, content: bytes) -> None:
        if not self.server_state.drips:
            self.wfile.write(content)
            return
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server_state.ends.wait(self.server_state.drips):
                raise _DroppedError

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


def _header(raw: bytes) -> bytes:
    found = re.search(rb"\r?\n\r?\n", raw)
    return raw[: found.end()] if found else raw
