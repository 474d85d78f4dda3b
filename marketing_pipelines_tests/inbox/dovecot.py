"""Dovecot on loopback, from its package of Debian: folders of Maildir, logins by tokens."""

import contextlib
import datetime as dt
import grp
import http.server
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from marketing_pipelines_tests.inbox.ports import free_port, wait_for_server

PATH = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")

_IS_ROOT = os.geteuid() == 0
# It serves no mail of root, so root gives the mailboxes to another user.
_MAIL_USER = "nobody" if _IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name
# Without the rights of root it can be no other user and change no root of files.
_OWN_USERS = """
default_login_user = {user}
default_internal_user = {user}
"""

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login xoauth2
mail_location = maildir:{folder}/mail/%u
mailbox_list_index = no
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
  {chroot}
}}
service anvil {{
  # No wait after refused logins.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
  {chroot}
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  args = password=s3cret
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  mailbox Gesendet {{
    auto = create
    special_use = \\Sent
  }}
}}
"""
_OAUTH2 = """
tokeninfo_url = http://127.0.0.1:{port}/?token=
introspection_mode = get
username_attribute = user
active_attribute = active
active_value = yes
"""


@dataclass
class Dovecot:
    """A running server.

    Attributes:
        port: Of IMAP.
        tokens: Users by the access tokens that it accepts.
    """

    folder: Path
    port: int
    tokens: dict[str, str] = field(default_factory=dict)

    def put(self, user: str, raw: bytes, at: dt.datetime, name: str, folder: str = "") -> None:
        """Puts a mail into a folder; empty: INBOX."""
        place = self.folder / "mail" / user / (f".{folder}" if folder else "") / "cur"
        _make(place)
        path = place / f"{int(at.timestamp())}.{name}.host:2,"
        path.write_bytes(raw)
        _give(path)
        os.utime(path, (at.timestamp(), at.timestamp()))


@contextlib.contextmanager
def dovecot() -> Iterator[Dovecot]:
    """Serves until the end of the block."""
    assert PATH is not None
    # Paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    folder.chmod(0o755)
    serving = Dovecot(folder, free_port())
    _make(folder / "mail")
    with _token_service(serving.tokens) as port:
        (folder / "oauth2.conf").write_text(_OAUTH2.format(port=port))
        (folder / "dovecot.conf").write_text(_configuration(serving))
        command = [PATH, "-F", "-c", str(folder / "dovecot.conf")]
        process = subprocess.Popen(command, start_new_session=True)
        try:
            wait_for_server(serving.port)
            yield serving
        finally:
            # Asked to end, it takes seconds; its children are of its group.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(folder)


def _configuration(serving: Dovecot) -> str:
    own = "" if _IS_ROOT else _OWN_USERS.format(user=_MAIL_USER)
    return own + _CONFIGURATION.format(
        folder=serving.folder,
        port=serving.port,
        user=_MAIL_USER,
        group=grp.getgrgid(pwd.getpwnam(_MAIL_USER).pw_gid).gr_name,
        chroot="" if _IS_ROOT else "chroot =",
    )


@contextlib.contextmanager
def _token_service(tokens: Mapping[str, str]) -> Iterator[int]:
    """The service that Dovecot asks about tokens; yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
            user = tokens.get(token)
            answer = {"active": "yes", "user": user} if user else {"active": "no"}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _make(folder: Path) -> None:
    """Makes a folder of the user that reads it, with those above."""
    if folder.exists():
        return
    _make(folder.parent)
    folder.mkdir()
    _give(folder)


def _give(path: Path) -> None:
    if _IS_ROOT:
        shutil.chown(path, _MAIL_USER)
