"""Mailboxes on pymap, an IMAP server that is not ours."""

import contextlib
import datetime as dt
import subprocess
import sys
from collections.abc import Iterator

import imap_tools
import pytest

from marketing_pipelines_tests.inbox.imap_server import ImapServer
from marketing_pipelines_tests.inbox.ports import free_port, wait_for_server
from marketing_pipelines_tests.inbox.world import ANNA, FIVE_MINUTES, TICK, Mailboxes, mail
from marketing_pipelines_tests.installation import Installation

START = "import sys; from pymap.main import main; sys.exit(main())"


@pytest.fixture(scope="module")
def pymap() -> Iterator[int]:
    """The port of a server with an empty mailbox of anna."""
    port = free_port()
    options = ["--no-service", "admin", "--no-service", "managesieve"]
    command = [sys.executable, "-W", "ignore", "-c", START, *options,
               "--host", "127.0.0.1", "--port", str(port), "--no-tls",
               "dict", "--demo-user", ANNA, "--demo-password", "s3cret"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for_server(port)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def own_client(port: int) -> Iterator[imap_tools.MailBoxUnencrypted]:
    with imap_tools.MailBoxUnencrypted("127.0.0.1", port, 10) as box:
        box.login(ANNA, "s3cret")
        yield box


def test_new_moved_and_old_mail_of_a_real_server(
    shared_installation: Installation, pymap: int
) -> None:
    world = Mailboxes(shared_installation, ImapServer(port=pymap))
    recent, old = TICK - dt.timedelta(days=2), TICK - dt.timedelta(days=40)
    with own_client(pymap) as box:
        box.folder.create("Sent")
        box.append(mail("old"), "INBOX", dt=old)
        for number in range(1, 31):
            box.append(mail(number), "INBOX", dt=recent)
        box.append(mail(31, sender=ANNA, to="ben@client.example"), "Sent", dt=recent)
    world.connect_anna()
    done = world.sync()
    assert (done["ok"], done["rows"]) == (1, 31)
    with own_client(pymap) as box:
        before = {one.uid: one.flags for one in box.fetch(mark_seen=False)}
        assert all("\\Seen" not in flags for flags in before.values())
        box.folder.create("Done")
        box.move(list(before)[:5], "Done")
        box.append(mail(32), "INBOX", dt=recent)
    world.connect_anna(folders=["INBOX", "Sent", "Done"])
    assert world.sync(TICK + FIVE_MINUTES)["rows"] == 1
    assert world.sync(TICK + 2 * FIVE_MINUTES)["rows"] == 0
    assert world.subjects() == [f"Mail {number}" for number in range(1, 33)]
    directions = "select direction, count(*) from inbox.email_messages group by 1 order by 1"
    assert world.rows(directions) == [("in", 31), ("out", 1)]
