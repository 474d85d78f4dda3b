"""Mailboxes on Dovecot: marked folders, tokens, some hundred mails that move, vanish and return."""

import datetime as dt
from collections.abc import Iterator

import imap_tools
import pytest

from marketing_pipelines.domains.inbox import synchronizing
from marketing_pipelines.domains.inbox.session import Session
from marketing_pipelines.domains.integrations.http import LoginRefusedError
from marketing_pipelines.domains.integrations.providers import ImapFields
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.inbox import dovecot
from marketing_pipelines_tests.inbox.dovecot import Dovecot
from marketing_pipelines_tests.inbox.imap_server import ImapServer
from marketing_pipelines_tests.inbox.world import ANNA, BEN, FIVE_MINUTES, TICK, Mailboxes, mail
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only

MAILS = 300
RECENT = TICK - dt.timedelta(days=2)

pytestmark = pytest.mark.skipif(dovecot.PATH is None, reason="Dovecot is not installed")


@pytest.fixture(scope="module")
def dovecot_server() -> Iterator[Dovecot]:
    """A server whose mailboxes are empty."""
    with dovecot.dovecot() as serving:
        yield serving


@pytest.fixture
def world(shared_installation: Installation, dovecot_server: Dovecot) -> Mailboxes:
    return Mailboxes(shared_installation, ImapServer(port=dovecot_server.port))


@pytest.mark.soak
@soak_only
def test_some_hundred_mails_are_read_once_through_moves_and_another_generation(
    world: Mailboxes, dovecot_server: Dovecot
) -> None:
    for number in range(1, MAILS + 1):
        dovecot_server.put(ANNA, mail(number), RECENT, f"M{number}")
    dovecot_server.put(ANNA, mail("old"), TICK - dt.timedelta(days=40), "old")
    dovecot_server.put(ANNA, mail("forged", sender=ANNA, to="forged@to.example"), RECENT, "forged")
    sent = mail("sent", sender=ANNA, to="new@to.example")
    dovecot_server.put(ANNA, sent, RECENT, "sent", folder="Gesendet")
    own = world.connect_anna(contacts="create_for_sent")
    assert synchronizing.check(get_settings(), own) == "it reads 'INBOX', 'Gesendet'"
    done = world.sync()
    assert (done["ok"], done["rows"]) == (1, MAILS + 1)
    contacts = "select email from crm.contacts order by 1"
    assert world.rows(contacts) == [(BEN,), ("new@to.example",)]
    assert world.rows("select distinct received_at from inbox.email_messages") == [(RECENT,)]

    with imap_tools.MailBoxUnencrypted("127.0.0.1", dovecot_server.port, 10) as box:
        box.login(ANNA, "s3cret")
        before = {one.uid: one.flags for one in box.fetch(mark_seen=False, headers_only=True)}
        # Reading changed not even these.
        assert set(before.values()) == {("\\Recent",)}
        box.folder.create("Done")
        box.move(list(before)[:50], "Done")
        box.delete(list(before)[50:60])
        box.append(mail(MAILS + 1), "INBOX", dt=RECENT)
    world.connect_anna(folders=["INBOX", "Gesendet", "Done"])
    assert world.sync(TICK + FIVE_MINUTES)["rows"] == 1

    # The numbers of a mailbox that lost its index begin anew, in another generation.
    [(_, generation, *_)] = [one for one in world.cursors() if one[0] == "INBOX"]
    for name in ("dovecot-uidlist", "dovecot.index", "dovecot.index.log", "dovecot.index.cache"):
        (dovecot_server.folder / "mail" / ANNA / name).unlink(missing_ok=True)
    dovecot_server.put(ANNA, mail(MAILS + 2), RECENT, f"M{MAILS + 2}")
    assert world.sync(TICK + 2 * FIVE_MINUTES)["rows"] == 1
    [(_, another, *_)] = [one for one in world.cursors() if one[0] == "INBOX"]
    assert another != generation
    assert world.sync(TICK + 3 * FIVE_MINUTES)["rows"] == 0
    expected = [f"Mail {number}" for number in range(1, MAILS + 3)]
    assert sorted(world.subjects()) == sorted([*expected, "Mail sent"])


def test_a_token_logs_in_and_another_one_is_refused(dovecot_server: Dovecot) -> None:
    dovecot_server.tokens["good"] = ANNA
    server = ImapServer(port=dovecot_server.port)
    fields = ImapFields.model_validate(server.fields(password=None, grant="google"))
    asked: list[str | None] = []

    def token_of(refused: str | None) -> str:
        asked.append(refused)
        return "stale" if refused is None else "good"

    with Session(fields, token_of) as session:
        marked = [one.name for one in session.folders() if "\\sent" in one.flags]
    assert marked == ["Gesendet"]
    assert asked == [None, "stale"]
    with pytest.raises(LoginRefusedError, match="AUTHENTICATIONFAILED"):
        Session(fields, lambda refused: "stale").__enter__()
