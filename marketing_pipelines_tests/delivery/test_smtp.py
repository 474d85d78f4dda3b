"""Mails over a real SMTP connection: the envelope, the connection's life, the server's answers."""

import dataclasses
import datetime as dt
import random
import re
import ssl
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest
import trustme

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered, Sender
from marketing_pipelines.domains.delivery.transports import smtp, smtp_server
from marketing_pipelines.domains.delivery.transports.outcomes import (
    BouncedError,
    DeferredError,
    LineError,
    UnknownOutcomeError,
)
from marketing_pipelines.domains.delivery.transports.smtp import SmtpTransport
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines_tests.delivery.smtp_sink import Sink, smtp_sink
from marketing_pipelines_tests.delivery.world import NOW

SENDER = Sender("news@acme.example", "Acme", reply_to="hello@acme.example")
MAIL = Rendered(
    id=42,
    organization_id=3,
    organization="Acme",
    channel="email",
    queued_at=NOW,
    recipient="ann@example.org",
    name="Ann Lee",
    content={"subject": "Hello", "text": "Dear Ann\n.\n..dots\n", "html": "<p>Dear Ann</p>\n"},
    sender=SENDER,
    signature="0123456789abcdef",
    unsubscribe_url="https://m.example.org/unsubscribe/" + "t" * 120,
)


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server without TLS and login."""
    with smtp_sink() as served:
        yield served


@pytest.fixture
def transport(sink: Sink) -> Iterator[SmtpTransport]:
    """A transport to that server."""
    opened = SmtpTransport(smtp_server.read(sink.url))
    yield opened
    opened.close()


def changed(**changes: object) -> Rendered:
    return dataclasses.replace(MAIL, **changes)  # type: ignore[arg-type]


def test_a_mail_arrives_with_its_envelope_and_headers(sink: Sink, transport: SmtpTransport) -> None:
    assert transport.send(MAIL) == "A1B2"
    [taken] = sink.taken
    assert (taken.sender, taken.recipient) == ("news@acme.example", "ann@example.org")
    mail = taken.mail
    assert {name: str(mail[name]) for name in mail if not name.startswith("Content")} == {
        "From": "Acme <news@acme.example>",
        "To": "Ann Lee <ann@example.org>",
        "Reply-To": "hello@acme.example",
        "Subject": "Hello",
        "Date": "Mon, 02 Mar 2026 09:00:00 +0000",
        "Message-ID": "<message.42.0123456789abcdef@acme.example>",
        "List-Unsubscribe": f"<{MAIL.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "MIME-Version": "1.0",
    }
    assert parsedate_to_datetime(str(mail["Date"])) == NOW
    assert f"List-Unsubscribe: <{MAIL.unsubscribe_url}>\r\n".encode() in taken.data
    assert [part.get_content() for part in mail.iter_parts()] == [
        MAIL.content["text"], MAIL.content["html"],
    ]  # fmt: skip


def test_bounces_go_to_the_envelope_sender(sink: Sink, transport: SmtpTransport) -> None:
    sender = dataclasses.replace(SENDER, bounces_to="bounce+42.ab@acme.example")
    transport.send(changed(sender=sender))
    [taken] = sink.taken
    assert taken.sender == "bounce+42.ab@acme.example"
    assert str(taken.mail["From"]) == "Acme <news@acme.example>"


PROVIDERS = {
    "sendgrid": ("X-SMTPAPI", '{"unique_args": {"message_id": "42"}}'),
    "mailgun": ("X-Mailgun-Variables", '{"message_id": "42"}'),
    "postmark": ("X-PM-Metadata-message_id", "42"),
    "ses": ("X-SES-MESSAGE-TAGS", "message_id=42"),
    "mandrill": ("X-MC-Metadata", '{"message_id": "42"}'),
}


def test_each_provider_reads_our_number_from_its_own_header(sink: Sink) -> None:
    sender = dataclasses.replace(SENDER, headers={"X-SES-CONFIGURATION-SET": "main\r\nBcc: a@b.c"})
    sink.on_data = lambda taken: "250 Ok 0102-ses"
    for provider, (name, value) in PROVIDERS.items():
        transport = SmtpTransport(smtp_server.read(f"{sink.url}&provider={provider}"))
        number = transport.send(changed(sender=sender))
        transport.close()
        assert number == ("0102-ses" if provider == "ses" else None)
        mail = sink.taken[-1].mail
        assert mail[name] == value
        assert mail["X-SES-CONFIGURATION-SET"] == "main Bcc: a@b.c"
        assert mail["Bcc"] is None


def test_hostile_names_make_no_header_and_no_long_encoded_word(
    sink: Sink, transport: SmtpTransport
) -> None:
    chance = random.Random(5)
    letters = [
        "ä",
        "漢",
        "🎉",
        "a",
        "b c",
        " ",
        '"',
        ",",
        "=?utf-8?q?x?=",
        "\r\nBcc: x@y.z",
        "{{",
        "\x00",
    ]
    names = ["".join(chance.choices(letters, k=chance.randint(1, 200))) for _ in range(60)]
    for name in names:
        sender = dataclasses.replace(SENDER, name=name)
        transport.send(changed(name=name, sender=sender, content={"subject": name, "text": "t"}))
    for taken in sink.taken:
        head = taken.data.partition(b"\r\n\r\n")[0].decode("ascii")
        fields = re.split(r"\r\n(?![ \t])", head)
        assert [line.partition(":")[0] for line in fields] == [
            "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "List-Unsubscribe",
            "List-Unsubscribe-Post", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
        ]  # fmt: skip
        assert max(map(len, re.findall(r"=\?\S*\?=", head)), default=0) <= 75
        encoded = [line for line in head.split("\r\n") if "=?" in line]
        assert max(map(len, encoded), default=0) <= 76
        assert taken.mail["To"].addresses[0].addr_spec == "ann@example.org"
    shown = [" ".join(re.sub(r"[\x00-\x1f]", " ", name).split()) for name in names]
    assert [taken.mail["Subject"] for taken in sink.taken] == [
        name.replace("=?", "= ?") for name in shown
    ]


def test_an_address_beyond_ascii_needs_a_server_that_takes_it(
    sink: Sink, transport: SmtpTransport
) -> None:
    with pytest.raises(MessageError, match="does not take such addresses"):
        transport.send(changed(recipient="jürgen@example.org"))
    transport.send(changed(recipient="ann@bücher.example"))
    with smtp_sink(enable_SMTPUTF8=True) as able:
        other = SmtpTransport(smtp_server.read(able.url))
        other.send(changed(recipient="jürgen@bücher.example"))
        other.close()
    [taken] = able.taken
    assert (taken.recipient, "SMTPUTF8" in taken.options) == ("jürgen@xn--bcher-kva.example", True)
    assert sink.recipients == ["ann@xn--bcher-kva.example"]


def test_one_connection_takes_many_mails(sink: Sink, transport: SmtpTransport) -> None:
    for number in range(20):
        transport.send(changed(id=number))
    assert (len(sink.taken), sink.connections) == (20, 1)


@pytest.mark.parametrize("says_421", [False, True])
def test_a_server_that_closes_after_some_mails_gets_the_rest_over_another_connection(
    sink: Sink, transport: SmtpTransport, says_421: bool
) -> None:
    sink.closes_after, sink.says_421 = 5, says_421
    for number in range(12):
        transport.send(changed(id=number))
    assert (len(sink.taken), sink.connections) == (12, 3)


def test_a_connection_that_was_silent_for_long_is_not_used_again(
    sink: Sink, transport: SmtpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "MAX_IDLE", 0.0)
    transport.send(MAIL)
    transport.send(MAIL)
    assert sink.connections == 2


# The answer to RCPT or to the data, and the outcome.
ANSWERS: dict[str, tuple[type[Exception], str | None]] = {
    "450 4.2.0 greylisted": (DeferredError, None),
    "452 4.2.2 over quota for now": (DeferredError, None),
    "550 5.1.1 no such user": (BouncedError, "hard"),
    "550 5.1.2 bad domain": (BouncedError, "hard"),
    "553 5.1.3 bad syntax": (BouncedError, "hard"),
    "550 5.1.6 moved": (BouncedError, "hard"),
    "550 5.1.10 null MX": (BouncedError, "hard"),
    "550 5.2.1 disabled": (BouncedError, "hard"),
    "552 5.2.2 mailbox full": (BouncedError, "soft"),
    "552 too much": (BouncedError, "soft"),
    "550 no": (BouncedError, "soft"),
    "551 not here": (BouncedError, "soft"),
    "553 no": (BouncedError, "soft"),
    "550 5.1.7 bad sender": (MessageError, None),
    "550 5.1.8 bad sender domain": (MessageError, None),
    "550 5.7.1 spam": (MessageError, None),
    "552 5.7.0 a virus": (MessageError, None),
    "554 no": (MessageError, None),
    "500 what": (MessageError, None),
    "421 4.3.2 shutting down": (LineError, None),
}


@pytest.mark.parametrize("place", ["on_rcpt", "on_data"])
def test_an_answer_to_a_recipient_or_a_mail_has_its_outcome(
    sink: Sink, transport: SmtpTransport, place: str
) -> None:
    for answer, (outcome, bounce) in ANSWERS.items():
        setattr(sink, place, lambda _, answer=answer: answer)
        with pytest.raises(outcome) as raised:
            transport.send(MAIL)
        assert type(raised.value) is outcome, answer
        assert getattr(raised.value, "bounce", None) == bounce, answer
        assert answer in str(raised.value)
    setattr(sink, place, lambda _: "250 Ok")
    transport.send(MAIL)
    assert sink.recipients == ["ann@example.org"]
    assert sink.connections == 2, "only 421 ended the connection"


@pytest.mark.parametrize("answer", ["550 5.1.8 not you", "451 later", "421 closing"])
def test_a_refused_sender_is_the_fault_of_the_line(
    sink: Sink, transport: SmtpTransport, answer: str
) -> None:
    sink.on_mail = lambda _: answer
    with pytest.raises(LineError, match=re.escape(answer)) as raised:
        transport.send(MAIL)
    assert type(raised.value) is not UnknownOutcomeError
    assert raised.value.is_slow_down == answer.startswith("421")


def test_a_line_that_breaks_before_the_data_took_nothing(
    sink: Sink, transport: SmtpTransport
) -> None:
    sink.on_rcpt = lambda _: None
    with pytest.raises(LineError) as raised:
        transport.send(MAIL)
    assert type(raised.value) is LineError


def test_a_line_that_breaks_after_the_data_leaves_the_outcome_unknown(
    sink: Sink, transport: SmtpTransport
) -> None:
    sink.on_data = lambda _: None
    with pytest.raises(UnknownOutcomeError, match="did not answer the mail"):
        transport.send(MAIL)
    sink.on_data = lambda _: "250 Ok"
    assert transport.send(MAIL) is None


def test_a_server_that_is_not_there_is_the_fault_of_the_line(sink: Sink) -> None:
    transport = SmtpTransport(smtp_server.read("smtp://127.0.0.1:1?tls=off"))
    with pytest.raises(LineError, match=r"cannot be reached: .*refused"):
        transport.send(MAIL)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that signs the server's certificate."""
    return trustme.CA()


@pytest.fixture
def trusted(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The authority in SSL_CERT_FILE."""
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    smtp._tls.cache_clear()
    yield
    smtp._tls.cache_clear()


def certificate(authority: trustme.CA, host: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    return context


@pytest.mark.parametrize("kind", ["starttls", "tls"])
def test_mails_go_through_tls_after_a_login(
    authority: trustme.CA, trusted: None, kind: str
) -> None:
    with smtp_sink(password="p%w", **{kind: certificate(authority)}) as sink:
        server = smtp_server.read(sink.url.replace("p%w", "p%25w"))
        transport = SmtpTransport(server)
        transport.send(MAIL)
        transport.close()
        assert sink.recipients == ["ann@example.org"]
        wrong = SmtpTransport(dataclasses.replace(server, password="nope"))
        with pytest.raises(LineError, match=r"refuses the login: 535 .*") as raised:
            wrong.send(MAIL)
        assert "nope" not in str(raised.value)


@pytest.mark.parametrize("kind", ["starttls", "tls"])
def test_a_certificate_of_another_host_or_authority_gets_no_mail(
    authority: trustme.CA, trusted: None, kind: str
) -> None:
    contexts = [certificate(trustme.CA()), certificate(authority, "mail.example.org")]
    for context in contexts:
        with smtp_sink(**{kind: context}) as sink:
            transport = SmtpTransport(smtp_server.read(sink.url))
            with pytest.raises(LineError, match="its certificate is not trusted"):
                transport.send(MAIL)
            assert sink.taken == []


def test_a_server_without_starttls_gets_neither_mail_nor_password() -> None:
    with smtp_sink(password="secret-1") as sink:
        transport = SmtpTransport(smtp_server.read(sink.url.removesuffix("?tls=off")))
        with pytest.raises(LineError, match="does not take STARTTLS"):
            transport.send(MAIL)


def test_the_setting_names_host_security_login_and_provider() -> None:
    def read(url: str) -> tuple[object, ...]:
        server = smtp_server.read(url)
        return (server.line, server.security, server.user, server.password, server.provider)

    assert [
        read("smtp://u%40x:p%2Fw@smtp.sendgrid.net"),
        read("smtps://host"),
        read("smtp://[::1]:25?tls=off&provider=ses"),
        read("smtp://email-smtp.eu-west-1.amazonaws.com?provider=none"),
    ] == [
        ("smtp://smtp.sendgrid.net:587", "starttls", "u@x", "p/w", "sendgrid"),
        ("smtp://host:465", "tls", None, None, None),
        ("smtp://[::1]:25", "off", None, None, "ses"),
        ("smtp://email-smtp.eu-west-1.amazonaws.com:587", "starttls", None, None, None),
    ]
    assert "p/w" not in repr(smtp_server.read("smtp://u:p%2Fw@host"))


@pytest.mark.parametrize(
    "url",
    [
        "host:587", "http://host", "smtp://", "smtp://host:x", "smtp://user@host", "smtp://host/a",
        "smtp://host?tls=on", "smtps://host?tls=off", "smtp://host?a=b", "smtp://h?provider=x",
        "smtp://u:ü@host",
    ],
)  # fmt: skip
def test_a_setting_that_is_no_such_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^MARKETING_SMTP_URL cannot be used: .*\.$"):
        smtp_server.read(url)


def test_the_longest_wait_for_an_answer_is_shorter_than_a_lease() -> None:
    from marketing_pipelines.domains.delivery.sending import LEASE

    assert dt.timedelta(seconds=smtp.TIMEOUT) < LEASE
