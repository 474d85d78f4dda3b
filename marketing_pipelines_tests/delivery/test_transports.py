"""The files of the outbox, byte by byte."""

import dataclasses
import datetime as dt
import email.utils
import json
from pathlib import Path

import pytest

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered
from marketing_pipelines.domains.delivery.transports import Outbox
from marketing_pipelines_tests.delivery.world import NOW, files, mail, outbox

MAIL = Rendered(
    id=42,
    organization_id=3,
    organization="Acme",
    channel="email",
    queued_at=NOW,
    recipient="ann@example.org",
    name="Ann Lee",
    content={"subject": "Hello", "text": "Dear Ann\n", "html": "<p>Dear Ann</p>\n"},
)


@pytest.fixture(autouse=True)
def _installation(environment: dict[str, str]) -> None:
    """The outbox is in the folder of the installation."""


def send(message: Rendered, **changes: object) -> None:
    Outbox(outbox()).send(dataclasses.replace(message, **changes))  # type: ignore[arg-type]


def test_a_mail_is_a_message_with_text_and_html() -> None:
    send(MAIL)
    assert [path.relative_to(outbox()) for path in files()] == [Path("email/2026-03-02/42.eml")]
    raw = files()[0].read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    written = mail(42)
    assert {name: str(value) for name, value in written.items()} == {
        "From": "Acme <messages@organization-3.invalid>",
        "To": "Ann Lee <ann@example.org>",
        "Subject": "Hello",
        "Date": "Mon, 02 Mar 2026 09:00:00 +0000",
        "Message-ID": "<message.42@organization-3.invalid>",
        "MIME-Version": "1.0",
        "Content-Type": written["Content-Type"],
    }
    assert email.utils.parsedate_to_datetime(str(written["Date"])) == NOW
    assert written.get_content_type() == "multipart/alternative"
    assert [(part.get_content_type(), part.get_content()) for part in written.iter_parts()] == [
        ("text/plain", "Dear Ann\n"),
        ("text/html", "<p>Dear Ann</p>\n"),
    ]


def test_a_mail_without_html_is_plain_text() -> None:
    send(MAIL, content={"subject": "Hello", "text": "Dear Ann\n"})
    assert mail(42).get_content_type() == "text/plain"
    assert mail(42).get_content() == "Dear Ann\n"


def test_sent_twice_it_is_one_file_of_the_same_bytes_on_whatever_day() -> None:
    send(MAIL)
    [path] = files()
    first = path.read_bytes()
    path.write_bytes(b"cut off")
    send(MAIL)
    assert files() == [path]
    assert path.read_bytes() == first
    assert list((outbox() / ".writing").iterdir()) == []


def test_nothing_of_a_name_or_a_subject_becomes_a_header() -> None:
    evil = "x\r\nBcc: all@example.org\n\n<script>\u2028\x85\x00"
    encoded = "=?utf-8?q?a=0D=0ABcc:_all@example.org?="
    for number, text in enumerate((evil, encoded, 'A "B" <c@d.org>, e@f.org;', "(comment) a,b")):
        content = {"subject": text, "text": "t"}
        send(MAIL, id=number, name=text, organization=text, content=content)
        written = mail(number)
        assert written["Bcc"] is None
        assert written.keys() == [
            "From", "To", "Subject", "Date", "Message-ID", "Content-Type",
            "Content-Transfer-Encoding", "MIME-Version",
        ]  # fmt: skip
        [to] = written["To"].addresses
        assert to.addr_spec == "ann@example.org"
        [sender] = written["From"].addresses
        assert sender.addr_spec == "messages@organization-3.invalid"
        assert written.get_content() == "t\n"


def test_names_subjects_and_texts_beyond_ascii_arrive_as_written() -> None:
    long = "Überraschung für Łukasz 🎉 " * 20
    content = {"subject": long.strip(), "text": f"Zażółć 漢字 {long}\n", "html": "<p>😀</p>\n"}
    send(MAIL, name="Jürgen Öztürk 漢字", organization="Ćwikła & Søn", content=content)
    written = mail(42)
    assert files()[0].read_bytes().isascii()
    assert written["To"].addresses[0].display_name == "Jürgen Öztürk 漢字"
    assert written["From"].addresses[0].display_name == "Ćwikła & Søn"
    assert written["Subject"] == content["subject"]
    assert [part.get_content() for part in written.iter_parts()] == [
        content["text"], content["html"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "written_as"),
    [
        ("ann@bücher.example", b"ann@xn--bcher-kva.example"),
        ("jürgen@example.org", "jürgen@example.org".encode()),
        ("o'brien+tag@example.org", b"o'brien+tag@example.org"),
    ],
)
def test_addresses_beyond_ascii_are_written_as_mail_servers_take_them(
    address: str, written_as: bytes
) -> None:
    send(MAIL, recipient=address)
    assert b"\r\nTo: Ann Lee <" + written_as + b">\r\n" in files()[0].read_bytes()


@pytest.mark.parametrize(
    "address",
    [
        "ann", "ann@", "@example.org", "a@b@c", "ann@example.org\r\nBcc: x@y.z", "a b@example.org",
        "<ann@example.org>", "ann@example.org, bob@example.org", "ann@..", "ann@" + "a" * 70,
    ],
)  # fmt: skip
def test_what_is_no_address_is_a_failure_of_this_message(address: str) -> None:
    with pytest.raises(MessageError, match="The contact's e-mail address is none"):
        send(MAIL, recipient=address)
    assert files() == []


def test_text_messages_and_notifications_begin_with_who_gets_them() -> None:
    sms = dataclasses.replace(
        MAIL, channel="sms", recipient="+41 79\n000", content={"text": "a\nb"}
    )
    push = dataclasses.replace(
        MAIL, channel="push", recipient="token", content={"title": "T\nU", "text": "a"}
    )
    send(sms)
    send(push)
    assert {path.relative_to(outbox()): path.read_text() for path in files()} == {
        Path("sms/2026-03-02/42.txt"): "+41 79 000\na\nb\n",
        Path("push/2026-03-02/42.txt"): "token\nT U\na\n",
    }


def test_a_webhook_is_its_address_and_body_under_the_number_of_the_message() -> None:
    send(MAIL, channel="webhook", content={"url": "https://example.org", "body": {"who": "Ä"}})
    [path] = files()
    assert path.relative_to(outbox()) == Path("webhook/2026-03-02/42.json")
    assert json.loads(path.read_text()) == {
        "id": 42, "url": "https://example.org", "body": {"who": "Ä"},
    }  # fmt: skip


def test_the_day_is_that_of_the_queue_in_utc() -> None:
    bern = dt.timezone(dt.timedelta(hours=1))
    send(MAIL, queued_at=dt.datetime(2026, 3, 3, 0, 30, tzinfo=bern).astimezone(dt.UTC))
    assert files()[0].parent.name == "2026-03-02"


def test_content_that_cannot_be_written_is_a_failure_of_this_message() -> None:
    with pytest.raises(MessageError, match=r"It cannot be written \(KeyError: 'subject'\)\."):
        send(MAIL, content={"text": "t"})
