"""Text messages and notifications over HTTP: the requests, and what each answer means."""

import base64
import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered
from marketing_pipelines.domains.delivery.transports.choice import transport_of
from marketing_pipelines.domains.delivery.transports.http_services import read_push, read_sms
from marketing_pipelines.domains.delivery.transports.outcomes import (
    AttemptError,
    BouncedError,
    LineError,
    ListedError,
    UnknownOutcomeError,
)
from marketing_pipelines.domains.delivery.transports.push import SCOPE, PushTransport
from marketing_pipelines.domains.delivery.transports.sms import SmsTransport
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings
from marketing_pipelines_tests.delivery.http_sink import HttpSink, Reply, Request, http_sink
from marketing_pipelines_tests.delivery.world import NOW, World

SMS = Rendered(
    id=42,
    organization_id=3,
    organization="Acme",
    channel="sms",
    queued_at=NOW,
    recipient="+4179000000",
    name="Ann Lee",
    content={"text": "Grüße & mehr"},
)
PUSH = dataclasses.replace(
    SMS, channel="push", recipient="token-1", content={"title": "News", "text": "For Ann"}
)


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    """A server that answers as a test says."""
    with http_sink() as served:
        yield served


@pytest.fixture
def sms(sink: HttpSink) -> Iterator[SmsTransport]:
    """A transport of text messages to that server."""
    service = read_sms(f"twilio+http://AC1:to%2Fken@127.0.0.1:{sink.port}?from=%2B4930123456")
    transport = SmsTransport(service, "https://m.example.org/")
    yield transport
    transport.close()


def test_a_text_message_is_a_form_that_names_its_status_report(
    sink: HttpSink, sms: SmsTransport
) -> None:
    sink.answer = lambda _: Reply(201, {"sid": "SM7", "status": "queued"})
    assert sms.send(SMS) == "SM7"
    [request] = sink.requests
    assert request.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert request.form == {
        "To": "+4179000000",
        "From": "+4930123456",
        "Body": "Grüße & mehr",
        "StatusCallback": "https://m.example.org/hooks/twilio?message=42",
    }
    login = base64.b64decode(request.headers["Authorization"].removeprefix("Basic "))
    assert login == b"AC1:to/ken"


def test_a_messaging_service_takes_the_place_of_the_number(sink: HttpSink) -> None:
    sink.answer = lambda _: Reply(201, {"sid": "SM7"})
    service = read_sms(f"twilio+http://AC1:t@127.0.0.1:{sink.port}?from=MG12")
    transport = SmsTransport(service, None)
    transport.send(SMS)
    transport.close()
    assert sink.requests[0].form == {
        "To": "+4179000000", "MessagingServiceSid": "MG12", "Body": "Grüße & mehr",
    }  # fmt: skip


SMS_ANSWERS: list[tuple[Reply | None, type[Exception], str]] = [
    (Reply(400, {"code": 21211, "message": "not valid"}), MessageError, "invalid_number"),
    (Reply(400, {"code": 21614, "message": "no mobile"}), MessageError, "invalid_number"),
    (Reply(400, {"code": 21610, "message": "STOP"}), ListedError, "unsubscribed"),
    (Reply(400, {"code": 21617, "message": "too long"}), MessageError, "400: too long"),
    (Reply(404), MessageError, "404: Not Found"),
    (Reply(422), MessageError, "422"),
    (Reply(401, {"message": "Authenticate"}), LineError, "401: Authenticate"),
    (Reply(403), LineError, "403"),
    (Reply(429), LineError, "429"),
    (Reply(503, None, {"Retry-After": "90"}), LineError, "503"),
    (Reply(500), AttemptError, "500"),
    (Reply(503), AttemptError, "503"),
    (None, UnknownOutcomeError, "did not answer"),
]


def test_a_recipient_on_the_list_of_the_service_is_suppressed_here(
    world: World, sink: HttpSink, sms: SmsTransport
) -> None:
    codes = {"+41700000001": 21610, "+41700000002": 21211, "+41700000003": 21614}
    sink.answer = lambda request: Reply(400, {"code": codes[request.form["To"]]})
    contacts = world.contacts(3)
    world.messages(contacts, "sms")
    assert world.send("sms", transport=sms).failed == 3
    assert [reason for _, reason in world.states()] == [
        "unsubscribed", "invalid_number", "invalid_number"
    ]  # fmt: skip
    assert world.rows(
        "select contact_id, address, channel, reason, since, source from delivery.suppressions"
        " order by id"
    ) == [
        (contacts[0], None, "sms", "unsubscribed", NOW, "event"),
        (None, "+41700000001", "sms", "unsubscribed", NOW, "contact"),
    ]


def test_each_answer_of_the_sms_service_has_its_outcome(sink: HttpSink, sms: SmsTransport) -> None:
    for reply, outcome, text in SMS_ANSWERS:
        sink.answer = lambda _, reply=reply: reply
        with pytest.raises(outcome, match=text) as raised:
            sms.send(SMS)
        assert type(raised.value) is outcome, text
        status = 0 if reply is None else reply.status
        if isinstance(raised.value, LineError):
            quiet = dt.timedelta(seconds=90) if status == 503 else None
            assert raised.value.quiet_for == quiet
            assert raised.value.is_slow_down == (status in (429, 503))


def test_a_service_that_is_not_there_is_the_fault_of_the_line() -> None:
    transport = SmsTransport(read_sms("twilio+http://a:b@127.0.0.1:1?from=MG1"), None)
    with pytest.raises(LineError, match="cannot be reached") as raised:
        transport.send(SMS)
    assert type(raised.value) is LineError
    transport.close()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """The key of a service account."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def push(sink: HttpSink, key: rsa.RSAPrivateKey, tmp_path: Path) -> Iterator[PushTransport]:
    """A transport of notifications, whose server also gives access tokens."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = tmp_path / "account.json"
    account = {
        "client_email": "push@p.example",
        "private_key": pem.decode(),
        "token_uri": f"http://127.0.0.1:{sink.port}/token",
    }
    file.write_text(json.dumps(account))
    url = f"fcm+http://127.0.0.1:{sink.port}/v1/projects/p1?credentials={file}"
    transport = PushTransport(read_push(url))
    yield transport
    transport.close()


def by_token(**answers: Reply | None) -> Any:
    """Answers by the last character of the device's token."""

    def answer(request: Request) -> Reply | None:
        if request.path == "/token":
            return Reply(200, {"access_token": "access", "expires_in": 3600})
        token = request.json["message"]["token"]
        return answers.get(token, Reply(200, {"name": f"projects/p1/messages/{token}"}))

    return answer


def test_a_notification_names_its_message_and_uses_one_access_token(
    sink: HttpSink, push: PushTransport, key: rsa.RSAPrivateKey
) -> None:
    sink.answer = by_token()
    assert push.send(PUSH) == "projects/p1/messages/token-1"
    push.send(PUSH)
    token, first, second = sink.requests
    assert token.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(
        token.form["assertion"],
        key.public_key(),
        algorithms=["RS256"],
        audience=f"http://127.0.0.1:{sink.port}/token",
    )
    assert (claims["iss"], claims["scope"]) == ("push@p.example", SCOPE)
    assert claims["exp"] - claims["iat"] == 3600
    assert first.path == second.path == "/v1/projects/p1/messages:send"
    assert first.headers["Authorization"] == "Bearer access"
    assert first.json == {
        "message": {
            "token": "token-1",
            "notification": {"title": "News", "body": "For Ann"},
            "data": {"message_id": "42"},
        }
    }


def fcm(status: int, code: str, field: str | None = None) -> Reply:
    details: list[dict[str, Any]] = [{"errorCode": code}]
    if field is not None:
        details.append({"fieldViolations": [{"field": field}]})
    return Reply(status, {"error": {"status": code, "message": "no", "details": details}})


PUSH_ANSWERS: list[tuple[Reply, type[Exception]]] = [
    (fcm(404, "UNREGISTERED"), BouncedError),
    (fcm(400, "INVALID_ARGUMENT", "message.token"), BouncedError),
    (fcm(400, "INVALID_ARGUMENT", "message.data"), MessageError),
    (fcm(403, "SENDER_ID_MISMATCH"), MessageError),
    (fcm(429, "QUOTA_EXCEEDED"), LineError),
    (fcm(503, "UNAVAILABLE"), LineError),
    (fcm(401, "THIRD_PARTY_AUTH_ERROR"), LineError),
    (fcm(500, "INTERNAL"), AttemptError),
]


def test_each_answer_of_the_push_service_has_its_outcome(
    sink: HttpSink, push: PushTransport
) -> None:
    for reply, outcome in PUSH_ANSWERS:
        sink.answer = by_token(**{"token-1": reply})
        with pytest.raises(outcome) as raised:
            push.send(PUSH)
        assert type(raised.value) is outcome, reply
    assert [one.path for one in sink.requests].count("/token") == 2, "401 asks for a new one"


def test_a_notification_is_taken_if_one_device_took_it(sink: HttpSink, push: PushTransport) -> None:
    both = dataclasses.replace(PUSH, recipient="gone good", gone=[])
    sink.answer = by_token(gone=fcm(404, "UNREGISTERED"))
    assert push.send(both) == "projects/p1/messages/good"
    assert both.gone == ["gone"]
    sink.answer = by_token(gone=fcm(404, "UNREGISTERED"), good=fcm(500, "INTERNAL"))
    with pytest.raises(AttemptError):
        push.send(both)


def test_each_device_that_no_longer_exists_is_suppressed_and_removed_by_itself(
    world: World, sink: HttpSink, push: PushTransport
) -> None:
    sink.answer = by_token(
        old=fcm(404, "UNREGISTERED"),
        bad=fcm(400, "INVALID_ARGUMENT", "message.token"),
        slow=fcm(500, "INTERNAL"),
        foreign=fcm(403, "SENDER_ID_MISMATCH"),
    )
    tokens = ("old new", " bad\told ", "slow old", "foreign  bad", "new2")
    contacts = [world.contacts(1, attributes={"push_token": one})[0] for one in tokens]
    world.messages(contacts, "push")
    report = world.send("push", transport=push)
    assert (report.sent, report.bounced, report.deferred, report.failed) == (2, 1, 1, 1)
    assert world.rows("select attributes ->> 'push_token' from crm.contacts order by id") == [
        ("new",),
        (None,),
        ("slow",),
        ("foreign",),
        ("new2",),
    ]
    assert world.rows(
        "select address from delivery.suppressions where channel = 'push'"
        " and reason = 'hard_bounce' and address !~ '[[:space:]]' order by address"
    ) == [("bad",), ("old",)]
    # A device comes back with others, as an old file brings it, and is left out.
    [again, alone] = [
        world.contacts(1, attributes={"push_token": one})[0] for one in ("new3 old", "old bad")
    ]
    sink.requests.clear()
    world.messages([again, alone], "push", step=2)
    report = world.send("push", transport=push, limit=2)
    assert [one.json["message"]["token"] for one in sink.requests] == ["new3"]
    assert (report.sent, report.suppressed) == (1, 1)
    assert world.states()[-1] == ("suppressed", "hard_bounce")


def test_without_an_access_token_nothing_is_sent(sink: HttpSink, push: PushTransport) -> None:
    sink.answer = lambda _: Reply(400, {"error": "invalid_grant"})
    with pytest.raises(LineError, match="gives no access token: 400"):
        push.send(PUSH)
    missing = read_push("fcm+https://fcm.googleapis.com/v1/projects/p?credentials=/nowhere.json")
    with pytest.raises(LineError, match=r"/nowhere\.json, cannot be used"):
        PushTransport(missing).send(PUSH)
    assert len(sink.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://a:b@host?from=MG1", "twilio+https://host?from=MG1", "twilio+https://a:b@host",
        "twilio+https://a:b@host?from=49", "twilio+http://a:b@api.twilio.com?from=MG1",
    ],
)  # fmt: skip
def test_an_sms_setting_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^MARKETING_SMS_URL cannot be used: .*\.$"):
        read_sms(url)


@pytest.mark.parametrize(
    "url",
    [
        "fcm+https://host?credentials=a", "fcm+https://host/v1/projects/p",
        "fcm+http://fcm.googleapis.com/v1/projects/p?credentials=a", "twilio+https://h?a=b",
    ],
)  # fmt: skip
def test_a_push_setting_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^MARKETING_PUSH_URL cannot be used: .*\.$"):
        read_push(url)


def test_the_environment_decides_whether_they_leave() -> None:
    def kind(env: Any, channel: str, **urls: str) -> str:
        return type(transport_of(Settings(env=env, **urls), channel)).__name__

    far = {
        "sms_url": "twilio+https://a:b@api.twilio.com?from=MG1",
        "push_url": "fcm+https://fcm.googleapis.com/v1/projects/p?credentials=f",
    }
    near = {
        "sms_url": "twilio+http://a:b@127.0.0.1:9?from=MG1",
        "push_url": "fcm+http://localhost:9/v1/projects/p?credentials=f",
    }
    assert [kind("development", channel, **far) for channel in ("sms", "push")] == ["Outbox"] * 2
    assert [kind("development", channel, **near) for channel in ("sms", "push")] == [
        "SmsTransport", "PushTransport",
    ]  # fmt: skip
    assert [kind("production", channel, **far) for channel in ("sms", "push")] == [
        "SmsTransport", "PushTransport",
    ]  # fmt: skip
    assert [kind("staging", channel) for channel in ("sms", "push")] == ["NoneType"] * 2
