"""The files of the outbox, byte by byte."""

import dataclasses
import datetime as dt
import email.utils
import re
from email.header import decode_header, make_header
from pathlib import Path

import pytest

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered
from marketing_pipelines.domains.delivery.transports.outbox import Outbox
from marketing_pipelines_tests.delivery.world import NOW, files, mail

MAIL = Rendered(
    id=42,
    organization_id=3,
    organization="Acme",
    channel="email",
    queued_at=NOW,
    recipient="ann@example.org",
    name="Ann Lee",
    content={"subject": "Hello", "text": "Dear Ann\n", "html": "<p>Dear Ann</p>\n"},
    signature="0123456789abcdef",
)


def send(folder: Path, message: Rendered, **changes: object) -> None:
    Outbox(folder).send(dataclasses.replace(message, **changes))  # type: ignore[arg-type]


def test_a_mail_is_a_message_with_text_and_html(tmp_path: Path) -> None:
    send(tmp_path, MAIL)
    assert [path.relative_to(tmp_path) for path in files(tmp_path)] == [
        Path("email/2026-03-02/42.eml")
    ]
    raw = files(tmp_path)[0].read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    written = mail(42, tmp_path)
    assert {name: str(value) for name, value in written.items()} == {
        "From": "Acme <messages@organization-3.invalid>",
        "To": "Ann Lee <ann@example.org>",
        "Subject": "Hello",
        "Date": "Mon, 02 Mar 2026 09:00:00 +0000",
        "Message-ID": "<message.42.0123456789abcdef@organization-3.invalid>",
        "MIME-Version": "1.0",
        "Content-Type": written["Content-Type"],
    }
    assert email.utils.parsedate_to_datetime(str(written["Date"])) == NOW
    assert written.get_content_type() == "multipart/alternative"
    assert [(part.get_content_type(), part.get_content()) for part in written.iter_parts()] == [
        ("text/plain", "Dear Ann\n"),
        ("text/html", "<p>Dear Ann</p>\n"),
    ]


def test_a_mail_without_html_is_plain_text(tmp_path: Path) -> None:
    send(tmp_path, MAIL, content={"subject": "Hello", "text": "Dear Ann\n"})
    assert mail(42, tmp_path).get_content_type() == "text/plain"
    assert mail(42, tmp_path).get_content() == "Dear Ann\n"


def test_sent_twice_it_is_one_file_of_the_same_bytes_on_whatever_day(tmp_path: Path) -> None:
    send(tmp_path, MAIL)
    [path] = files(tmp_path)
    first = path.read_bytes()
    path.write_bytes(b"cut off")
    send(tmp_path, MAIL)
    assert files(tmp_path) == [path]
    assert path.read_bytes() == first
    assert list((tmp_path / ".writing").iterdir()) == []


def test_nothing_of_a_name_or_a_subject_becomes_a_header(tmp_path: Path) -> None:
    evil = "x\r\nBcc: all@example.org\n\n<script>\u2028\x85\x00"
    encoded = "=?utf-8?q?a=0D=0ABcc:_all@example.org?="
    for number, text in enumerate((evil, encoded, 'A "B" <c@d.org>, e@f.org;', "(comment) a,b")):
        content = {"subject": text, "text": "t"}
        send(tmp_path, MAIL, id=number, name=text, organization=text, content=content)
        written = mail(number, tmp_path)
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


@pytest.mark.parametrize("words", [["für", "🎉", "漢字", "plain", '"q"'], ["a:", ";", "(b)", "c,"]])
def test_long_subjects_and_names_are_folded_without_loss(tmp_path: Path, words: list[str]) -> None:
    text = " ".join(words * 12)
    send(tmp_path, MAIL, name=text, organization=text, content={"subject": text, "text": "t"})
    raw = files(tmp_path)[0].read_bytes()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
    read = email.message_from_bytes(raw)
    unfolded = {name: read[name].replace("\r\n", "") for name in ("Subject", "To")}
    shown = {name: str(make_header(decode_header(line))) for name, line in unfolded.items()}
    assert shown["Subject"] == text
    assert re.fullmatch(re.escape(text) + r"\s+<ann@example\.org>", shown["To"])
    assert len(mail(42, tmp_path)["To"].addresses) == 1


def test_names_subjects_and_texts_beyond_ascii_arrive_as_written(tmp_path: Path) -> None:
    long = "Überraschung für Łukasz 🎉 " * 20
    content = {"subject": long.strip(), "text": f"Zażółć 漢字 {long}\n", "html": "<p>😀</p>\n"}
    send(tmp_path, MAIL, name="Jürgen Öztürk 漢字", organization="Ćwikła & Søn", content=content)
    written = mail(42, tmp_path)
    assert files(tmp_path)[0].read_bytes().isascii()
    assert written["To"].addresses[0].display_name == "Jürgen Öztürk 漢字"
    assert written["From"].addresses[0].display_name == "Ćwikła & Søn"
    assert written["Subject"] == content["subject"]
    parts = [part.get_content().replace("\r\n", "\n") for part in written.iter_parts()]
    assert parts == [content["text"], content["html"]]


@pytest.mark.parametrize(
    ("address", "written_as"),
    [
        ("ann@bücher.example", b"ann@xn--bcher-kva.example"),
        ("jürgen@example.org", "jürgen@example.org".encode()),
        ("o'brien+tag@example.org", b"o'brien+tag@example.org"),
    ],
)
def test_addresses_beyond_ascii_are_written_as_mail_servers_take_them(
    tmp_path: Path, address: str, written_as: bytes
) -> None:
    send(tmp_path, MAIL, recipient=address)
    assert b"\r\nTo: Ann Lee <" + written_as + b">\r\n" in files(tmp_path)[0].read_bytes()


@pytest.mark.parametrize(
    "address",
    [
        "ann", "ann@", "@example.org", "a@b@c", "ann@example.org\r\nBcc: x@y.z", "a b@example.org",
        "<ann@example.org>", "ann@example.org, bob@example.org", "ann@..", "ann@" + "a" * 70,
    ],
)  # fmt: skip
def test_what_is_no_address_is_a_failure_of_this_message(tmp_path: Path, address: str) -> None:
    with pytest.raises(MessageError, match="The recipient's e-mail address is not valid"):
        send(tmp_path, MAIL, recipient=address)
    assert files(tmp_path) == []


def test_text_messages_and_notifications_begin_with_who_gets_them(tmp_path: Path) -> None:
    sms = dataclasses.replace(
        MAIL, channel="sms", recipient="+41 79\n000", content={"text": "a\nb"}
    )
    push = dataclasses.replace(
        MAIL, channel="push", recipient="token", content={"title": "T\nU", "text": "a"}
    )
    send(tmp_path, sms)
    send(tmp_path, push)
    assert {path.relative_to(tmp_path): path.read_text() for path in files(tmp_path)} == {
        Path("sms/2026-03-02/42.txt"): "+41 79 000\na\nb\n",
        Path("push/2026-03-02/42.txt"): "token\nT U\na\n",
    }


def test_the_day_is_that_of_the_queue_in_utc(tmp_path: Path) -> None:
    bern = dt.timezone(dt.timedelta(hours=1))
    send(tmp_path, MAIL, queued_at=dt.datetime(2026, 3, 3, 0, 30, tzinfo=bern).astimezone(dt.UTC))
    assert files(tmp_path)[0].parent.name == "2026-03-02"


def test_content_that_cannot_be_written_is_a_failure_of_this_message(tmp_path: Path) -> None:
    with pytest.raises(MessageError, match=r"It cannot be written \(KeyError: 'subject'\)\."):
        send(tmp_path, MAIL, content={"text": "t"})
