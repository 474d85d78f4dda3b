"""Mails read from raw bytes, whatever these are."""

import datetime as dt
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketing_pipelines.domains.inbox.mails import Attachment, Mail, read_mail
from marketing_pipelines_tests.inbox import reports

HEAD = b"From: Ann <ann@example.org>\nTo: Sam <sam@ours.example>\n"


def mail(*headers: str, body: str = "Hello", sender: str = "Ann <ann@example.org>") -> Mail:
    lines = (f"From: {sender}", "To: sam@ours.example", *headers, "", body)
    return read_mail("\n".join(lines).encode())


def test_a_mail_is_read_whole() -> None:
    read = read_mail(
        "Return-Path: <Ann@Example.org>\r\n"
        "Delivered-To: sales@ours.example\r\n"
        "From: =?utf-8?q?Ann_M=C3=BCller?= <Ann@Example.org>\r\n"
        'To: "Sam, Sales" <sam@ours.example>, Team: bob@ours.example, kim@ours.example;\r\n'
        "Cc: Lee@ours.example\r\n"
        "Date: Tue, 3 Mar 2026 10:15:00 +0100\r\n"
        "Subject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n"
        " from us\r\n"
        "Message-ID: <17@example.org>\r\n"
        "In-Reply-To: <message.5@ours.example>\r\n"
        "References: <1@example.org> <message.5@ours.example>\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        "Grüße\x00 an alle\r\n"
        "--b\r\nContent-Type: application/pdf; name=offer.pdf\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n".encode()
    )
    assert read.message_id == "17@example.org"
    assert read.in_reply_to == "message.5@ours.example"
    assert read.references == ("1@example.org", "message.5@ours.example")
    assert read.names == ("message.5@ours.example", "1@example.org")
    assert read.from_address == "ann@example.org"
    assert read.to_addresses == ("sam@ours.example", "bob@ours.example", "kim@ours.example")
    assert read.cc_addresses == ("lee@ours.example",)
    assert read.display_names == {
        "ann@example.org": "Ann Müller",
        "sam@ours.example": "Sam, Sales",
        "bob@ours.example": "",
        "kim@ours.example": "",
        "lee@ours.example": "",
    }
    assert read.subject == "Grüße from us"
    assert read.text == read.reply == read.snippet == "Grüße\N{REPLACEMENT CHARACTER} an alle"
    assert read.sent_at == dt.datetime(2026, 3, 3, 9, 15, tzinfo=dt.UTC)
    assert read.attachments == (Attachment("offer.pdf", "application/pdf", 5),)
    assert read.return_path == "ann@example.org"
    assert read.delivered_to == ("sales@ours.example",)
    marks = (read.is_auto_reply, read.is_bounce, read.is_forward, read.malformed)
    assert (*marks, read.has_list_id) == (False,) * 5


@pytest.mark.parametrize(
    ("raw", "is_malformed"),
    [
        (b"", True),
        (b"no header at all\n\nHello", True),
        (b"Subject: no sender\n\nHello", True),
        (b"From: nobody\n\nHello", True),
        (b"From: ann@example.org\nTo: <<>>\n\nHello", True),
        (b"From: ann@example.org\nTo: sam@ours.example, broken@\n\nHello", False),
        (b"From: ann@example.org\nTo: undisclosed-recipients:;\n\nHello", False),
        (b"From: ann@example.org\nTo: (nobody) Team : (none) ;\n\nHello", False),
        (b"From: ann@example.org\n\nHello", False),
    ],
)
def test_a_mail_without_header_sender_or_readable_addresses_is_malformed(
    raw: bytes, is_malformed: bool
) -> None:
    assert read_mail(raw).malformed is is_malformed


@pytest.mark.parametrize(
    ("charset", "text", "data"),
    [
        ("iso-8859-1", "“Grüße”", "“Grüße”".encode("cp1252")),
        ("ISO-2022-JP", "まみむ", "まみむ".encode("iso2022_jp")),
        ("x-sjis", "まみむ", "まみむ".encode("cp932")),
        ("gb2312", "鎔", "鎔".encode("gb18030")),
        ("koi8-r", "Привет", "Привет".encode("koi8_r")),
        ("unicode-1-1-utf-7", "Grüße", "Grüße".encode("utf-7")),
        ("us-ascii", "Grüße", "Grüße".encode()),
        ("no-such-charset", "Grüße", "Grüße".encode("cp1252")),
        ("base64", "Grüße", "Grüße".encode()),
        ("idna", "Hello", b"Hello"),
    ],
)
def test_text_is_read_in_the_charset_that_it_is_in(charset: str, text: str, data: bytes) -> None:
    raw = HEAD + f"Content-Type: text/plain; charset={charset}\n\n".encode() + data
    assert read_mail(raw).text == text


def test_a_mail_in_html_alone_has_the_text_of_its_page() -> None:
    read = mail("Content-Type: text/html", body="<p>Hello <b>Sam</b></p><p>Ann &amp; Bob</p>")
    assert read.text == "Hello Sam\n\nAnn & Bob"


def test_an_attached_mail_is_a_forwarded_one_and_its_text_is_not_that_of_the_mail() -> None:
    read = mail(
        "Content-Type: multipart/mixed; boundary=b",
        body="--b\n\nSee below\n--b\nContent-Type: message/rfc822\n\n"
        "From: sam@ours.example\nMessage-ID: <message.9@ours.example>\n\nOur offer\n--b--",
    )
    assert read.is_forward
    assert read.names == ("message.9@ours.example",)
    assert read.text == "See below"
    assert [one.type for one in read.attachments] == ["message/rfc822"]


@pytest.mark.parametrize(
    ("subject", "is_forward"),
    [
        ("Fwd: Offer", True),
        ("FW: Offer", True),
        ("WG: Angebot", True),
        ("TR: offre", True),
        ("RV: oferta", True),
        ("Re: Fwd: Offer", False),
        ("Forward planning", False),
    ],
)
def test_a_forwarded_mail_shows_in_its_subject(subject: str, is_forward: bool) -> None:
    assert mail(f"Subject: {subject}").is_forward is is_forward


def test_copies_of_a_mail_have_one_identity_and_other_mails_another() -> None:
    date = "Date: Tue, 3 Mar 2026 10:15:00 +0100"
    first = mail("Message-ID: <1@example.org>", date)
    copy = mail("Received: by other", "Message-ID: <1@example.org>", date, body="Hello\n-- \nList")
    assert first.identity == copy.identity
    assert first.content_hash != copy.content_hash
    others = (
        mail("Message-ID: <2@example.org>", date),
        mail("Message-ID: <1@example.org>", "Date: Tue, 3 Mar 2026 10:16:00 +0100"),
        mail("Message-ID: <1@example.org>", date, sender="bob@example.org"),
        mail(date),
        mail(date, body="Other"),
        mail(date, "Subject: Other"),
        mail("Date: Tue, 3 Mar 2026 10:16:00 +0100"),
    )
    assert len({one.identity for one in others} | {first.identity}) == 8
    assert mail(date).identity == mail("X-Folder: Archive", date).identity


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Foo 2026 99:99:99", "1 Jan 1900 00:00"])
def test_a_date_that_is_none_is_unknown(date: str) -> None:
    assert mail(f"Date: {date}").sent_at is None


def test_all_samples_are_read(shared_data: Path) -> None:
    folder = shared_data / "email" / "samples"
    read = {path.stem: read_mail(path.read_bytes()) for path in folder.glob("*.eml")}
    assert len(read) == 103
    # Several are variants of one mail, with its Message-ID.
    assert len({one.identity for one in read.values()}) == 74
    assert sorted(name for name, one in read.items() if one.malformed) == [
        "bad_encoded_subject",
        "example10",
        "example13",
        "missing_body",
        "mix_caps_content_type",
        "raw_email11",
        "raw_email_incorrect_header",
        "raw_email_multiple_from",
    ]
    assert read["japanese_iso_2022"].text == "すみません。"
    assert read["example10"].to_addresses == (
        "c@public.example",
        "joe@example.org",
        "jdoe@one.test",
    )
    assert read["raw_email_reply"].in_reply_to == "348F04F142D69C21-291E56D292BC@xxxx.net"
    assert read["attachment_with_encoded_name"].attachments[0].size == 399


@given(st.binary(max_size=2_000))
def test_any_bytes_give_a_mail_that_can_be_stored(raw: bytes) -> None:
    assert_storable(read_mail(raw))


# Pieces of mails in any order: closer to mails than bytes at random.
PIECES = st.sampled_from(
    [
        *(
            b"\n",
            b"\r\n",
            b" ",
            b"\x00",
            b"\xff",
            b"<",
            b">",
            b'"',
            b"(",
            b"=?utf-8?q?=ff?=",
            b"=?",
        ),
        *(b"From: ", b"To: ", b"Date: ", b"Subject: ", b"Message-ID: ", b"References: "),
        *(b"ann@example.org", b"Fwd:", b"--b\n", b"--b--\n", b"> ", b"On Monday Ann wrote:\n"),
        *(b"Content-Type: multipart/mixed; boundary=b\n", b"Content-Type: message/rfc822\n"),
        *(b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n",),
        *(b"Content-Type: message/delivery-status\n", b"Content-Type: text/html\n", b"<table>"),
        *(b"Content-Transfer-Encoding: base64\n", b"charset*0*=x'", b"Final-Recipient: rfc822;"),
        *(b"Action: failed\n", b"Status: 5.1.1\n", b"Return-Path: <bounce+1.a@ours.example>\n"),
    ]
)


@given(st.lists(PIECES, max_size=40))
def test_any_pieces_of_mails_give_a_mail_that_can_be_stored(pieces: list[bytes]) -> None:
    assert_storable(read_mail(b"".join(pieces)))


def assert_storable(read: Mail) -> None:
    texts = [read.subject, read.text, read.reply, read.snippet, *read.names, *read.references]
    texts += [read.message_id or "", *read.to_addresses, *read.display_names.values()]
    texts += [one.name + one.type for one in read.attachments]
    assert "\x00" not in json.dumps(texts, ensure_ascii=False).encode().decode()
    assert "\x00" not in "".join(texts)
    assert len(read.snippet) <= 200


MANY = 20_000


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(HEAD + b"X: y\n" * MANY, id="headers"),
        pytest.param(HEAD + b"Subject: " + b"=?a?q?" * MANY, id="encoded words"),
        pytest.param(HEAD + b"Content-Type: text/plain" + b"; a=b" * MANY, id="parameters"),
        pytest.param(b"From: " + b"(" * MANY + b"a@b.example", id="comments"),
        pytest.param(b"From: " + b"@" * MANY + b"a@b.example", id="at signs"),
        pytest.param(HEAD + b"Content-Type: message/rfc822\n\n" * MANY, id="attached mails"),
        pytest.param(
            HEAD
            + b"".join(
                b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (number, number)
                for number in range(MANY // 40)
            )
            + b"x\n" * MANY * 20,
            id="nested parts",
        ),
        pytest.param(HEAD + b"Content-Type: text/html\n\n" + b"<table>" * MANY, id="tables"),
        pytest.param(HEAD + b"\n" + b"> > > On " * MANY, id="quotations"),
        pytest.param(
            (b"From: =?utf-8?b?a?= " + b"a" * 99_000 + b"\n") * 250, id="long runs without at signs"
        ),
        pytest.param((b"To: " + b"a@" * 49_000 + b"\n") * 250, id="runs with at signs"),
        pytest.param(
            HEAD
            + b"Content-Type: multipart/mixed; boundary=b\n\n"
            + (b"--b\nContent-Type: text/plain" + b";" * 4_900 + b"\n\nx\n") * 200,
            id="parts with parameters",
        ),
        pytest.param(HEAD + b"\n" + b" " * MANY * 10 + b"x", id="spaces"),
        pytest.param(
            b"From: mailer-daemon@x.example\nSubject: failure notice\n\n" + b"a" * MANY * 20,
            id="a bounce of one run",
        ),
        pytest.param(
            b"From: mailer-daemon@x.example\nSubject: failure notice\n"
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
            b"--b\n\n" + b"x@y.example " * 3_000 + b"\n"
            b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: x\n\n"
            + b"Final-Recipient: rfc822;a@b.example\nAction: failed\n\n"
            * 200,
            id="a bounce of many recipients",
        ),
    ],
)
def test_a_mail_made_to_cost_much_costs_little(raw: bytes) -> None:
    began = time.process_time()
    read = read_mail(raw)
    assert time.process_time() - began < 3
    assert len(read.text) <= 200_000


def test_of_too_many_addresses_the_first_thousand_count() -> None:
    addresses = ", ".join(f"user{number}@a.example" for number in range(3_000))
    read = read_mail(f"From: ann@example.org\nTo: {addresses}\n\nHello".encode())
    assert len(read.to_addresses) == 1_000
    assert read.to_addresses[:2] == ("user0@a.example", "user1@a.example")


def test_of_a_bounce_with_many_returned_mails_the_name_of_the_first_counts() -> None:
    parts = "".join(
        f"--b\nContent-Type: text/rfc822-headers\n\n{reports.returned(f'{number}@a.example')}\n"
        for number in range(120)
    )
    read = read_mail(
        (
            f"From: {reports.DAEMON}\nSubject: Delivery report\nContent-Type: multipart/report; "
            f"report-type=delivery-status; boundary=b\n\n{parts}--b--\n"
        ).encode()
    )
    assert read.returned is not None
    assert read.returned.message_ids == ("0@a.example",)
