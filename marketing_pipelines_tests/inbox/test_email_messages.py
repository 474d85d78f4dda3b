"""Reading folders: cursors, batches, generations, moved mails, lost connections."""

import datetime as dt

import pytest

from marketing_pipelines.domains.inbox import reader, synchronizing
from marketing_pipelines.domains.inbox import session as sessions
from marketing_pipelines.domains.integrations.syncs import Pacing
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.inbox.imap_server import ServedFolder
from marketing_pipelines_tests.inbox.world import FIVE_MINUTES, TICK, Mailboxes, mail

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_MAILS", 4)
    monkeypatch.setattr(reader, "HEADERS_AT_ONCE", 2)


def numbers(first: int, last: int) -> list[str]:
    return [f"Mail {number}" for number in range(first, last + 1)]


def test_mail_of_a_contact_is_stored_with_its_place_and_the_cursor(world: Mailboxes) -> None:
    world.receive(mail(1), mail(2, sender="stranger@else.example"))
    world.connect_anna()
    done = world.sync()
    assert (done["ok"], done["failed"], done["rows"]) == (1, 0, 1)
    assert world.places() == [("INBOX", 1, 1, "Mail 1"), ("INBOX", 1, 2, None)]
    assert world.cursors() == [("INBOX", 1, 2, 1, True)]
    assert world.rows(
        "select message_id, from_address, to_addresses, subject, text, snippet, direction,"
        " contact_ids = array[(select id from crm.contacts where external_id = 'ben')],"
        " sent_at, received_at, thread_id = id, share from inbox.email_messages"
    ) == [
        ("m1@client.example", "ben@client.example", ["anna@acme.example"], "Mail 1", "Hello 1",
         "Hello 1", "in", True, TICK - 2 * dt.timedelta(hours=1), TICK - dt.timedelta(hours=2),
         True, "full")
    ]  # fmt: skip


def test_a_folder_is_read_from_the_top_down_to_the_cut_off_and_then_from_the_cursor_up(
    world: Mailboxes,
) -> None:
    world.receive(mail(1), at=TICK - 10 * DAY - dt.timedelta(seconds=1))
    world.receive(mail(2), at=TICK - 10 * DAY)
    world.receive(*(mail(number) for number in range(3, 12)))
    world.connect_anna(since_days=10)
    assert world.sync()["rows"] == 10
    assert world.subjects() == numbers(2, 11)
    assert world.cursors() == [("INBOX", 1, 11, 1, True)]
    given = world.server.given
    assert world.sync(TICK + FIVE_MINUTES)["rows"] == 0
    assert world.server.given == given
    world.receive(mail(12), mail(13))
    # A later value of `since_days` does not move the cut-off.
    world.connect_anna(since_days=3_000)
    assert world.sync(TICK + 2 * FIVE_MINUTES)["rows"] == 2
    assert world.subjects() == numbers(2, 13)
    assert world.server.given == given + 4


def test_no_command_changes_anything_on_the_server(world: Mailboxes) -> None:
    world.receive(mail(1))
    world.connect_anna()
    world.sync()
    names = {command.split(" ")[0] for command in world.server.commands}
    assert names == {"CAPABILITY", "LOGIN", "LIST", "EXAMINE", "UID", "LOGOUT"}
    fetches = [one for one in world.server.commands if "FETCH" in one]
    assert all("BODY.PEEK[" in one for one in fetches)
    assert world.server.logins == 1


@pytest.mark.parametrize("names_next", [True, False])
def test_another_generation_of_numbers_is_listed_anew_and_matched_by_identity(
    world: Mailboxes, names_next: bool
) -> None:
    world.server.folders["INBOX"].names_next = names_next
    world.receive(*(mail(number, message_id=None) for number in range(1, 7)))
    world.connect_anna()
    world.sync()
    world.server.folders["INBOX"].renumber()
    world.receive(mail(7, message_id=None))
    assert world.sync(TICK + FIVE_MINUTES)["rows"] == 1
    assert world.subjects() == numbers(1, 7)
    assert [place[1:3] for place in world.places()] == [(2, number) for number in range(1, 8)]


def test_a_moved_mail_and_a_renamed_folder_add_places_and_no_mail(world: Mailboxes) -> None:
    world.server.folders["Work"] = ServedFolder()
    world.receive(mail(1), mail(2))
    world.receive(mail(3), folder="Work")
    world.connect_anna(folders=["inbox", "Work"])
    world.sync()
    moved = world.server.folders["INBOX"].mails.pop(0)
    world.receive(moved.raw, folder="Work")
    world.server.folders["Done"] = world.server.folders.pop("Work")
    world.connect_anna(folders=["INBOX", "Done"])
    assert world.sync(TICK + FIVE_MINUTES)["rows"] == 0
    assert world.subjects() == numbers(1, 3)
    assert world.places() == [
        ("Done", 1, 1, "Mail 3"), ("Done", 1, 2, "Mail 1"), ("INBOX", 1, 1, "Mail 1"),
        ("INBOX", 1, 2, "Mail 2"), ("Work", 1, 1, "Mail 3"),
    ]  # fmt: skip


def test_a_server_that_drops_connections_loses_and_doubles_nothing(world: Mailboxes) -> None:
    world.server.drops_after = 3
    world.receive(*(mail(number) for number in range(1, 21)))
    world.connect_anna()
    done = world.sync()
    assert (done["ok"], done["failed"], done["rows"]) == (1, 0, 20)
    assert world.subjects() == numbers(1, 20)
    assert len(world.places()) == 20


def test_a_server_that_gives_nothing_fails_its_mailbox_after_few_attempts(world: Mailboxes) -> None:
    world.server.drops_after = 1
    world.receive(mail(1))
    world.connect_anna()
    done = world.sync()
    assert (done["ok"], done["failed"]) == (0, 1)
    assert world.server.logins == 2
    [(_, state, error)] = world.state("imap")
    assert state == "failing"
    assert "ended the connection" in error


def test_a_mail_that_the_server_refuses_is_stored_by_its_header(world: Mailboxes) -> None:
    world.server.unreadable = {2}
    world.receive(mail(1), mail(2), mail(3))
    world.connect_anna()
    done = world.sync()
    assert (done["ok"], done["rows"], done["mails_unreadable"]) == (1, 3, 1)
    assert world.rows("select subject, text from inbox.email_messages order by subject") == [
        ("Mail 1", "Hello 1"), ("Mail 2", ""), ("Mail 3", "Hello 3"),
    ]  # fmt: skip


def test_a_mail_whose_header_is_refused_keeps_its_place_and_a_malformed_row(
    world: Mailboxes,
) -> None:
    world.server.unlistable = {2, 3}
    world.receive(mail(1), mail(2), mail(3), mail(4))
    world.connect_anna()
    done = world.sync()
    assert (done["ok"], done["rows"], done["mails_unreadable"]) == (1, 4, 2)
    assert world.rows(
        "select uid, malformed, text from inbox.message_places join inbox.email_messages as mail"
        " on mail.id = message_places.message_id order by uid"
    ) == [
        (1, False, "Hello 1"),
        (2, True, "The server does not give this mail: UID 2, UIDVALIDITY 1, folder 'INBOX' of"
                  " anna@acme.example."),
        (3, True, "The server does not give this mail: UID 3, UIDVALIDITY 1, folder 'INBOX' of"
                  " anna@acme.example."),
        (4, False, "Hello 4"),
    ]  # fmt: skip


@pytest.mark.parametrize("answer", ["NO [UNAVAILABLE] later", "NO [LIMIT] x", "NO [INUSE] x", "NO"])
def test_refusals_of_all_mail_lose_nothing(world: Mailboxes, answer: str) -> None:
    world.receive(mail(1), mail(2))
    world.connect_anna()
    world.server.fetch_refusal = answer
    assert world.sync()["failed"] == 1
    assert (world.subjects(), world.places()) == ([], [])
    world.server.fetch_refusal = None
    # Its headers are given, and no body.
    world.server.unreadable = {1, 2}
    assert world.sync(TICK + FIVE_MINUTES)["failed"] == 1
    assert (world.subjects(), world.places()) == ([], [])
    world.server.unreadable = set()
    assert world.sync(TICK + 2 * FIVE_MINUTES)["ok"] == 1
    assert world.rows("select text from inbox.email_messages order by 1") == [
        ("Hello 1",), ("Hello 2",),
    ]  # fmt: skip


@pytest.mark.parametrize("mood", ["unreadable", "fatal"])
def test_a_mail_that_is_not_given_for_an_hour_is_passed_by_its_header(
    world: Mailboxes, mood: str
) -> None:
    setattr(world.server, mood, {2})
    world.receive(mail(2, sender="stranger@else.example"), mail(3))
    world.connect_anna()
    for at in (TICK, TICK + FIVE_MINUTES, TICK + HOUR - FIVE_MINUTES):
        assert world.sync(at)["failed"] == 1
        assert world.subjects() == []
    world.sync(TICK + HOUR)
    assert world.sync(TICK + HOUR + FIVE_MINUTES)["ok"] == 1
    assert world.rows("select subject, text from inbox.email_messages") == [("Mail 3", "")]
    assert len(world.places()) == 2
    world.receive(mail(5))
    assert world.sync(TICK + HOUR + 2 * FIVE_MINUTES)["ok"] == 1
    assert world.subjects() == ["Mail 3", "Mail 5"]


def test_mails_of_others_before_a_refused_one_take_no_hour_each(world: Mailboxes) -> None:
    world.server.unreadable = {1}
    strangers = [mail(number, sender="stranger@else.example") for number in (2, 3, 4)]
    world.receive(mail(1), *strangers)
    world.connect_anna()
    for at in (TICK, TICK + FIVE_MINUTES, TICK + FIVE_MINUTES + HOUR):
        assert world.sync(at)["failed"] == 1
        assert [uid for _, _, uid, _ in world.places()] == [2, 3, 4]
    assert world.sync(TICK + 2 * FIVE_MINUTES + HOUR)["ok"] == 1
    assert world.subjects() == ["Mail 1"]


def test_a_mail_without_header_that_is_not_given_for_an_hour_is_passed_by_its_place(
    world: Mailboxes,
) -> None:
    world.server.unlistable = {2}
    world.receive(mail(1), mail(2), folder="INBOX")
    world.server.folders["INBOX"].mails.pop(0)
    world.connect_anna()
    for at in (TICK, TICK + HOUR):
        assert world.sync(at)["failed"] == 1
    assert world.sync(TICK + HOUR + FIVE_MINUTES)["ok"] == 1
    assert world.rows("select malformed, is_bounce from inbox.email_messages") == [(True, False)]
    assert [uid for _, _, uid, _ in world.places()] == [2]


def test_a_mail_for_which_the_time_does_not_suffice_is_passed_after_an_hour(
    world: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hurried(tick: Tick) -> None:
        tick.timeout = dt.timedelta(seconds=0.5)
        synchronizing.synchronize(tick, Pacing(least_seconds=0.1))

    monkeypatch.setattr(reader, "FAIR_SECONDS", 0.05)
    monkeypatch.setattr(sessions, "LEAST_TIMEOUT", 0.1)
    world.server.endless = {2}
    world.receive(mail(1), mail(2))
    world.connect_anna()
    for at in (TICK, TICK + HOUR):
        assert world.run(hurried, at)["failed"] == 1
    assert world.sync(TICK + HOUR + FIVE_MINUTES)["ok"] == 1
    assert world.rows("select subject, text from inbox.email_messages order by 1") == [
        ("Mail 1", "Hello 1"), ("Mail 2", ""),
    ]  # fmt: skip


def test_a_mail_that_goes_while_it_is_read_is_stored_where_it_lies_then(world: Mailboxes) -> None:
    world.receive(mail(1), mail(2), mail(3))
    world.server.vanishing = {2}
    world.connect_anna()
    world.sync()
    assert world.subjects() == ["Mail 1", "Mail 3"]
    world.server.folders["INBOX"].mails.pop(1)
    world.server.vanishing = set()
    world.receive(mail(2))
    world.sync(TICK + FIVE_MINUTES)
    assert world.rows("select text from inbox.email_messages where subject = 'Mail 2'") == [
        ("Hello 2",)
    ]
    assert [uid for _, _, uid, _ in world.places()] == [1, 3, 4]


def test_a_mail_beyond_the_limit_is_stored_by_its_header(
    world: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_MAIL_BYTES", 1_000)
    world.receive(mail(1, body="x" * 1_000), mail(2))
    world.connect_anna()
    world.sync()
    assert world.rows("select subject, text from inbox.email_messages order by 1") == [
        ("Mail 1", ""), ("Mail 2", "Hello 2"),
    ]  # fmt: skip
    assert not any("UID FETCH 1 " in one and "BODY.PEEK[])" in one for one in world.server.commands)


def test_a_folder_that_is_not_there_fails_the_mailbox_after_the_others_are_read(
    world: Mailboxes,
) -> None:
    world.receive(mail(1))
    world.connect_anna(folders=["Nowhere", "INBOX"])
    assert world.sync()["failed"] == 1
    assert world.subjects() == ["Mail 1"]
    [(_, _, error)] = world.state("imap")
    assert error == (
        f"127.0.0.1:{world.server.port} has no folder 'Nowhere': set `folders` of imap"
        " anna@acme.example of acme again."
    )


def test_a_folder_that_cannot_be_searched_fails_the_mailbox_after_the_others_are_read(
    world: Mailboxes,
) -> None:
    world.server.folders["Work"] = ServedFolder()
    world.server.unsearchable = {"INBOX"}
    world.receive(mail(1))
    world.receive(mail(2), folder="Work")
    world.connect_anna(folders=["INBOX", "Work"])
    assert world.sync()["failed"] == 1
    assert world.subjects() == ["Mail 2"]
    world.server.unsearchable = set()
    assert world.sync(TICK + FIVE_MINUTES)["ok"] == 1
    assert world.subjects() == ["Mail 1", "Mail 2"]


def test_what_the_time_allows_is_stored_and_the_next_tick_goes_on(world: Mailboxes) -> None:
    def hurried(tick: Tick) -> None:
        tick.timeout = dt.timedelta(seconds=2)
        synchronizing.synchronize(tick, Pacing(least_seconds=0.1))

    world.server.pause = 0.2
    world.receive(*(mail(number) for number in range(1, 41)))
    world.connect_anna()
    done = world.run(hurried, TICK)
    assert (done["ok"], done["failed"]) == (1, 0)
    first = world.subjects()
    assert 0 < len(first) < 40
    assert first == numbers(41 - len(first), 40)
    assert world.rows("select backlog, last_tick from integrations.syncs") == [
        (40 - len(first), None)
    ]
    world.server.pause = 0.0
    world.sync(TICK + FIVE_MINUTES)
    assert world.subjects() == numbers(1, 40)
    assert world.rows("select backlog, last_tick from integrations.syncs") == [
        (0, TICK + FIVE_MINUTES)
    ]


def test_the_check_of_a_connection_names_the_folders(world: Mailboxes) -> None:
    world.server.folders |= {"Sent": ServedFolder(), "Work": ServedFolder()}
    world.connect_anna()
    arguments = ("connection", "test", "imap", "--organization", "acme")
    assert call_here(*arguments).stdout == (
        "The connection imap anna@acme.example of acme works: it reads 'INBOX', 'Sent', and not"
        " 'Work'.\n"
    )
    world.connect_anna(folders=["Wrok"])
    refused = call_here(*arguments)
    assert refused.returncode == 1
    assert (
        "imap anna@acme.example of acme names folders that the server does not have: 'Wrok'; it"
        " has 'INBOX', 'Sent', 'Work'."
    ) in " ".join(refused.stderr.split())
