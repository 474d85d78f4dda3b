"""Sessions with servers of several kinds: logins, refusals, folders, TLS, answers to FETCH."""

import datetime as dt
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr

from marketing_pipelines.domains.inbox import session as sessions
from marketing_pipelines.domains.inbox.fetched import bodies_of, listed_of
from marketing_pipelines.domains.inbox.mailboxes import chosen_folders
from marketing_pipelines.domains.inbox.session import (
    ConnectionLostError,
    DoubtfulLoginError,
    Folder,
    Session,
    UnreadableError,
)
from marketing_pipelines.domains.integrations.http import (
    LoginRefusedError,
    ServiceUnavailableError,
    TimeUsedUpError,
    WrongAnswerError,
)
from marketing_pipelines.domains.integrations.providers import ImapFields
from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines_tests.inbox.imap_server import ImapServer, ServedFolder, imap_server
from marketing_pipelines_tests.inbox.world import TICK, mail

DAY = dt.date(2026, 1, 1)


def fields(server: ImapServer, **changed: Any) -> ImapFields:
    return ImapFields.model_validate(server.fields(**changed))


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ("NO [AUTHENTICATIONFAILED] wrong", LoginRefusedError),
        ("NO [AUTHORIZATIONFAILED] not yours", LoginRefusedError),
        ("NO [EXPIRED] the password has expired", LoginRefusedError),
        ("NO [WEBALERT https://accounts.example/x] sign in on the web", DoubtfulLoginError),
        ("NO LOGIN failed.", DoubtfulLoginError),
        ("NO [UNAVAILABLE] the user database is down", ServiceUnavailableError),
        ("NO [LIMIT] too many sessions", ServiceUnavailableError),
        ("NO [INUSE] locked by another", ServiceUnavailableError),
        ("NO [ALERT] Too many simultaneous connections. (Failure)", ServiceUnavailableError),
    ],
)
def test_only_answers_that_need_a_person_are_refusals(
    mail_server: ImapServer, refusal: str, kind: type[MarketingPipelinesError]
) -> None:
    mail_server.refusal = refusal
    with pytest.raises(kind) as refused, Session(fields(mail_server)):
        pass
    assert type(refused.value) is kind
    words = refusal.removeprefix("NO ").removesuffix(".")
    assert str(refused.value) == (
        f"127.0.0.1:{mail_server.port} refuses the login of anna@acme.example: {words}."
    )
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "password", ['with "quotes" and \\', "pässwörd", "a b"], ids=["quotes", "letters", "blanks"]
)
def test_passwords_of_all_characters_log_in(mail_server: ImapServer, password: str) -> None:
    mail_server.passwords["anna@acme.example"] = password.replace("\\", "\\\\").replace('"', '\\"')
    if not password.isascii():
        mail_server.passwords["anna@acme.example"] = password
    with Session(fields(mail_server, password=password)) as session:
        assert [one.name for one in session.folders()] == ["INBOX"]


def test_a_token_logs_in_and_a_refused_one_is_replaced_once(mail_server: ImapServer) -> None:
    mail_server.tokens = {"fresh"}
    asked: list[str | None] = []

    def token_of(refused: str | None) -> str:
        asked.append(refused)
        return "stale" if refused is None else "fresh"

    own = fields(mail_server, password=None, grant="google")
    with Session(own, token_of) as session:
        assert session.folders()
    assert asked == [None, "stale"]
    mail_server.tokens.clear()
    with pytest.raises(LoginRefusedError, match="AUTHENTICATIONFAILED"), Session(own, token_of):
        pass
    assert asked == [None, "stale"] * 2
    assert mail_server.logins == 4


@pytest.mark.parametrize(
    ("folders", "is_gmail", "named", "chosen"),
    [
        ({"INBOX": "", "Sent": ""}, False, [], ["INBOX", "Sent"]),
        ({"INBOX": "", "Gesendet": "\\Sent", "Sent": ""}, False, [], ["INBOX", "Gesendet"]),
        ({"Inbox": "", "INBOX.Sent": "", "Sent Items": ""}, False, [], ["Inbox", "Sent Items"]),
        ({"INBOX": ""}, False, [], ["INBOX"]),
        ({"INBOX": "", "All": "\\All", "Sent": "\\Sent"}, True, [], ["All"]),
        ({"INBOX": "", "All": "\\All", "Sent": "\\Sent"}, False, [], ["INBOX", "Sent"]),
        ({"INBOX": "", "Work": ""}, True, ["inbox", "Work", "INBOX"], ["INBOX", "Work"]),
    ],
)
def test_the_folders_that_are_read(
    mail_server: ImapServer,
    folders: dict[str, str],
    is_gmail: bool,
    named: list[str],
    chosen: list[str],
) -> None:
    mail_server.folders = {name: ServedFolder(flags) for name, flags in folders.items()}
    mail_server.folders["Label"] = ServedFolder("\\Noselect \\Sent")
    if is_gmail:
        mail_server.capabilities += " X-GM-EXT-1"
    own = fields(mail_server, folders=named)
    with Session(own) as session:
        assert session.is_gmail == is_gmail
        assert chosen_folders(own, session.folders(), is_gmail=session.is_gmail) == chosen


def test_names_of_folders_in_other_alphabets_can_be_opened(mail_server: ImapServer) -> None:
    mail_server.folders["Entw&APw-rfe"] = ServedFolder(uidvalidity=7)
    with Session(fields(mail_server)) as session:
        assert Folder("Entwürfe", frozenset()) in session.folders()
        assert session.examine("Entwürfe").uidvalidity == 7
        with pytest.raises(UnreadableError, match="refuses to open the folder 'Nowhere'"):
            session.examine("Nowhere")


def test_a_search_of_a_large_folder_is_made_in_parts(
    mail_server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SEARCHED_AT_ONCE", 3)
    folder = mail_server.folders["INBOX"]
    for number in range(10):
        folder.add(mail(number), TICK if number % 2 else TICK - dt.timedelta(days=90))
    with Session(fields(mail_server)) as session:
        found = session.search(session.examine("INBOX"), 3, 8, DAY)
        assert found == [4, 6, 8]
        # The highest number answers to every `n:*`.
        assert session.search(session.examine("INBOX"), 11, None, DAY) == []
    assert sum("SEARCH" in one for one in mail_server.commands) == 8


def test_a_silent_server_is_left_after_the_timeout(
    mail_server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "TIMEOUT", 0.1)
    monkeypatch.setattr(sessions, "LEAST_TIMEOUT", 0.1)
    with Session(fields(mail_server)) as session:
        mail_server.silent = True
        with pytest.raises(ConnectionLostError, match="no answer in time"):
            session.folders()
    with (
        pytest.raises(ServiceUnavailableError, match="cannot be reached: no answer in time"),
        Session(fields(mail_server)),
    ):
        pass


def test_the_end_of_the_time_ends_an_answer_that_drips(
    mail_server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LEAST_TIMEOUT", 0.1)
    mail_server.drips = 0.05
    mail_server.folders["INBOX"].add(mail(1, body="x" * 10_000), TICK)
    begun = time.monotonic()
    with Session(fields(mail_server), ends_at=begun + 0.5) as session:
        session.examine("INBOX")
        with pytest.raises(TimeUsedUpError, match="time for calls"):
            session.bodies([1])
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_certificates_are_checked(mail_server: ImapServer, tls: str) -> None:
    with pytest.raises(ServiceUnavailableError), Session(fields(mail_server, tls=tls)):
        pass


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImapServer]:
    authority = trustme.CA()
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with imap_server(context) as serving:
        yield serving


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_logins_go_over_tls(certified: ImapServer, tls: str) -> None:
    certified.tls = tls
    with Session(fields(certified, tls=tls, host="localhost")) as session:
        assert [one.name for one in session.folders()] == ["INBOX"]
    certified.tls = "off"
    with (
        pytest.raises(ServiceUnavailableError),
        Session(fields(certified, tls=tls, host="localhost")),
    ):
        pass
    assert certified.logins == 1


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ([(b"1 (UID 5 BODY[] {2}", b"ab"), b")"], [(5, b"ab")]),
        ([(b"1 (BODY[] {2}", b"ab"), b" UID 5)"], [(5, b"ab")]),
        ([b'1 (UID 5 BODY[] "a\\"b")'], [(5, b'a"b')]),
        ([b"3 (FLAGS (\\Seen))", (b"1 (UID 5 BODY[] {1}", b"a"), b")", b"4 (FLAGS ())"],
         [(5, b"a")]),
        ([(b"1 (UID 5 BODY[] {1}", b"a"), b")", (b"2 (UID 6 BODY[] {1}", b"b"), b")"],
         [(5, b"a"), (6, b"b")]),
        ([b"1 (UID 5 BODY[] NIL)"], [(5, b"")]),
        ([b"1 (UID 5 FLAGS ())"], []),
        ([(b"1 (UID 5 BODY[] {7}", b"UID 9 )"), b")"], [(5, b"UID 9 )")]),
        ([None], []),
    ],
)  # fmt: skip
def test_answers_to_fetch_are_read_in_every_order(
    data: Sequence[Any], found: list[tuple[int, bytes]]
) -> None:
    assert list(bodies_of(data)) == found


@pytest.mark.parametrize(
    ("date", "instant"),
    [
        (" 1-Mar-2026 12:00:00 +0000", TICK),
        ("01-Mar-2026 14:30:00 +0230", TICK),
        ("01-mar-2026 04:00:00 -0800", TICK),
        ("31-Feb-2026 04:00:00 -0800", None),
        ("01-Foo-2026 04:00:00 +0000", None),
        ("01-Mar-2026 04:00:00 +9999", None),
    ],
)
def test_the_time_of_arrival_is_read_with_its_zone(date: str, instant: dt.datetime | None) -> None:
    head = f'1 (UID 5 INTERNALDATE "{date}" RFC822.SIZE 7 BODY[HEADER]<0> {{1}}'.encode()
    [listed] = listed_of([(head, b"a"), b")"])
    assert (listed.received_at, listed.size) == (instant, 7)


def test_a_server_of_something_else_is_named(mail_server: ImapServer) -> None:
    mail_server.greeting = "HTTP/1.1 400 Bad Request"
    with (
        pytest.raises(ServiceUnavailableError, match="does not greet as a mail server"),
        Session(fields(mail_server)),
    ):
        pass


def test_a_folder_without_a_generation_is_a_wrong_answer(mail_server: ImapServer) -> None:
    mail_server.folders["INBOX"].names_validity = False
    with (
        pytest.raises(WrongAnswerError, match="names no UIDVALIDITY"),
        Session(fields(mail_server)) as session,
    ):
        session.examine("INBOX")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"password": None}, "it needs either password or grant"),
        ({"grant": "google"}, "it needs either password or grant"),
        ({"password": "a\r\nb"}, "password holds a control character"),
        ({"host": "mail.example"}, "tls off is for loopback only"),
        ({"address": "Anna@acme.example"}, "String should match pattern"),
        ({"since_days": 4_000}, "less than or equal to 3650"),
        ({"internal": ["Acme.example"]}, "String should match pattern"),
        ({"exclude": ["x"] }, "at least 3 characters"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_used_are_refused(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fields(ImapServer(port=143), **changed)


def test_the_password_is_hidden() -> None:
    assert fields(ImapServer(port=143)).password == SecretStr("s3cret")
