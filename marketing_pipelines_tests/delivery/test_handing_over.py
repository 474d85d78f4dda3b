"""The answers of a real mail server settle messages in the database."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from marketing_pipelines.domains.delivery.rendering import Rendered
from marketing_pipelines.domains.delivery.sending import LEASE, SendingReport
from marketing_pipelines.domains.delivery.transports.choice import may_reach, transport_of
from marketing_pipelines.domains.delivery.transports.outcomes import AttemptError, Transport
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines_tests.delivery.smtp_sink import Sink, smtp_sink
from marketing_pipelines_tests.delivery.world import NOW, Recorder, World

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server on loopback without TLS and login."""
    with smtp_sink() as served:
        yield served


@pytest.fixture
def transport(world: World, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transport]:
    """The transport that an installation with this server has."""
    monkeypatch.setenv("MARKETING_SMTP_URL", sink.url)
    get_settings.cache_clear()
    chosen = transport_of(get_settings(), "email")
    assert chosen is not None
    yield chosen
    chosen.close()  # type: ignore[attr-defined]


def mailed(world: World, *addresses: str, **options: Any) -> list[int]:
    """A message to each of these addresses."""
    return [world.messages(world.contacts(1, email=one), **options)[0] for one in addresses]


def events(world: World) -> list[tuple[Any, ...]]:
    return world.rows(
        "select event_id, event_type, contact_id, source_type, source_id, occurred_at, properties"
        " from analytics.contact_activity order by event_id"
    )


def test_each_message_ends_as_the_server_says_and_leaves_its_events(
    world: World, sink: Sink, transport: Transport
) -> None:
    answers = {"hard@x.org": "550 5.1.1 no", "soft@x.org": "552 full", "bad@x.org": "550 5.7.1 no"}
    sink.on_rcpt = lambda recipient: answers.get(recipient, "250 Ok")
    hard, soft, bad, good = mailed(world, *answers, "good@x.org")
    assert world.send(transport=transport) == SendingReport(claimed=4, sent=1, bounced=2, failed=1)
    assert sink.recipients == ["good@x.org"]
    assert world.rows(
        "select id, state, reason, sent_at, attempts, provider_message_id"
        " from delivery.messages order by id"
    ) == [
        (hard, "bounced", "550 5.1.1 no", NOW, 1, None),
        (soft, "bounced", "552 full", NOW, 1, None),
        (bad, "failed", "550 5.7.1 no", None, 1, None),
        (good, "sent", None, NOW, 1, "A1B2"),
    ]
    contacts = dict(world.rows("select id, contact_id from delivery.messages"))

    def event(message: int, kind: str, **more: str) -> tuple[Any, ...]:
        properties = {"message_id": message, "channel": "email", **more}
        source = ("campaign", world.program)
        return (f"message:{message}:{kind}", kind, contacts[message], *source, NOW, properties)

    assert events(world) == [
        event(hard, "bounced", bounce_type="hard", reason="550 5.1.1 no"),
        event(hard, "sent"),
        event(soft, "bounced", bounce_type="soft", reason="552 full"),
        event(soft, "sent"),
        event(good, "sent"),
    ]
    suppressed = "select contact_id, address = email, reason from delivery.suppressions"
    assert world.rows(
        f"{suppressed} join crm.contacts on contacts.id = :id", id=contacts[hard]
    ) == [(None, True, "hard_bounce")]


def test_the_event_names_the_step_and_only_a_campaign_is_its_source(world: World) -> None:
    world.kind = "sequence"
    world.program = world.another_program("welcome")
    step = world.value(
        "insert into lifecycle.steps (organization_id, program_kind, program_id, external_id,"
        " position, type, config) values (:organization, 'sequence', :program, 'hello', 1,"
        ' \'send_email\', \'{"subject": "s", "text": "t"}\') returning id',
        organization=world.organization,
        program=world.program,
    )
    [mail] = world.messages(world.contacts(1), step=step)
    world.send()
    assert world.states() == [("sent", None)]
    [event] = events(world)
    assert event[3:5] == (None, None)
    assert event[6] == {"message_id": mail, "channel": "email", "step": "hello"}


WAITS = [5, 15, 30, 60, *[60] * 22]


def test_a_recipient_refused_for_now_is_tried_for_a_day_and_then_bounces(
    world: World, sink: Sink, transport: Transport
) -> None:
    sink.on_data = lambda taken: (
        "451 4.7.1 greylisted" if taken.recipient == "grey@x.org" else "250 Ok"
    )
    mailed(world, "grey@x.org", "good@x.org")
    now = NOW
    assert world.send(transport=transport) == SendingReport(claimed=2, sent=1, deferred=1)
    waits = []
    while True:
        [(state, reason, attempts, due_at)] = world.rows(
            "select state, reason, attempts, due_at from delivery.messages where sent_at is null"
        )
        assert (state, reason, attempts) == ("queued", "451 4.7.1 greylisted", 0)
        waits.append(round((due_at - now) / MINUTE))
        now = due_at
        assert world.send(transport=transport, now=now - MINUTE).claimed == 0
        report = world.send(transport=transport, now=now)
        if report.deferred == 0:
            break
    assert report == SendingReport(claimed=1, bounced=1)
    assert now == NOW + dt.timedelta(hours=24)
    assert waits == [*WAITS, 10]
    assert [event[:2] for event in events(world)][:1] == [
        (f"message:{event_id}:bounced", "bounced")
        for event_id, *_ in world.rows("select id from delivery.messages where state = 'bounced'")
    ]


def test_a_greylisted_mail_goes_out_when_the_server_takes_it(
    world: World, sink: Sink, transport: Transport
) -> None:
    sink.on_rcpt = lambda _: "450 greylisted"
    mailed(world, "grey@x.org")
    world.send(transport=transport)
    sink.on_rcpt = lambda _: "250 Ok"
    assert world.send(transport=transport, now=NOW + 5 * MINUTE) == SendingReport(claimed=1, sent=1)
    assert world.rows("select state, attempts, reason from delivery.messages") == [
        ("sent", 1, None)
    ]


def test_a_line_that_does_not_work_costs_no_attempt(
    world: World, sink: Sink, transport: Transport
) -> None:
    sink.on_mail = lambda _: "550 5.1.8 sender refused"
    mailed(world, *[f"c{number}@x.org" for number in range(5)])
    report = world.send(transport=transport)
    assert (report.claimed, report.returned) == (5, 5)
    assert report.fault is not None
    assert "550 5.1.8 sender refused" in report.fault
    assert set(world.rows("select state, attempts, reason from delivery.messages")) == {
        ("queued", 0, None)
    }
    sink.on_mail = lambda _: "250 Ok"
    assert world.send(transport=transport) == SendingReport(claimed=5, sent=5)
    assert world.rows("select count(*) from delivery.suppressions") == [(0,)]


def test_one_message_is_unknown_where_the_server_did_not_answer(
    world: World, sink: Sink, transport: Transport
) -> None:
    addresses = [f"c{number}@x.org" for number in range(4)]
    sink.on_data = lambda taken: None if taken.recipient == "c1@x.org" else "250 Ok"
    mailed(world, *addresses)
    report = world.send(transport=transport)
    assert (report.sent, report.unknown, report.returned) == (1, 1, 2)
    assert world.send(transport=transport) == SendingReport(claimed=2, sent=2)
    assert Counter(state for state, _ in world.states()) == {"sent": 3, "unknown": 1}
    assert sorted(sink.recipients) == ["c0@x.org", "c2@x.org", "c3@x.org"]
    assert len(events(world)) == 3
    assert world.send(transport=transport, now=NOW + 2 * LEASE).claimed == 0


@pytest.mark.parametrize(("is_bulk", "waits"), [(False, [2, 4]), (True, [5])])
def test_an_attempt_that_fails_is_made_again_after_its_waits(
    world: World, is_bulk: bool, waits: list[int]
) -> None:
    class Failing(Recorder):
        def send(self, message: Rendered) -> None:
            """Fails as a server does that is broken."""
            raise AttemptError("500 broken")

    mailed(world, "c@x.org")
    world.execute("update delivery.messages set is_bulk = :bulk", bulk=is_bulk)
    now = NOW
    for wait in waits:
        assert world.send(transport=Failing(), now=now) == SendingReport(claimed=1, deferred=1)
        assert world.send(transport=Failing(), now=now).claimed == 0
        now += dt.timedelta(seconds=wait)
    assert world.send(transport=Failing(), now=now) == SendingReport(claimed=1, failed=1)
    assert world.rows("select state, reason, attempts from delivery.messages") == [
        ("failed", "500 broken", len(waits) + 1)
    ]


@pytest.mark.parametrize(
    ("env", "url", "kind"),
    [
        ("development", None, "Outbox"),
        ("development", "smtp://mail.example.org?tls=off", "Outbox"),
        ("development", "smtp://localhost?tls=off", "SmtpTransport"),
        ("staging", None, "NoneType"),
        ("production", None, "NoneType"),
        ("production", "smtp://mail.example.org", "SmtpTransport"),
    ],
)
def test_the_environment_decides_whether_mail_leaves(env: Any, url: str | None, kind: str) -> None:
    settings = Settings(env=env, smtp_url=url)
    assert type(transport_of(settings, "email")).__name__ == kind


def test_staging_reaches_allowed_addresses_only(
    world: World, sink: Sink, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(allow: str | None, address: str) -> bool:
        return may_reach(Settings(env="staging", delivery_allow=allow), "email", address)

    assert not reached(None, "a@x.org")
    assert reached("*@y.org, A*@x.org", "a@X.org")
    assert not reached("*@y.org,a*@x.org", "b@x.org")
    assert may_reach(Settings(env="production"), "email", "b@x.org")
    monkeypatch.setenv("MARKETING_ENV", "staging")
    monkeypatch.setenv("MARKETING_DELIVERY_ALLOW", "*@ours.org")
    monkeypatch.setenv("MARKETING_PUBLIC_URL", "http://marketing.ours.org")
    get_settings.cache_clear()
    world.execute(
        "insert into delivery.sending_domains (organization_id, domain, from_address)"
        " values (:organization, 'ours.org', 'news@ours.org')",
        organization=world.organization,
    )
    mailed(world, "a@ours.org", "b@theirs.org")
    assert world.send(transport=transport) == SendingReport(claimed=2, sent=1, suppressed=1)
    assert world.states() == [("sent", None), ("suppressed", "staging")]


@pytest.mark.parametrize("url", [None, "http://marketing.ours.org"])
def test_marketing_mail_waits_in_production_for_a_public_url_with_https(
    world: World,
    sink: Sink,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    url: str | None,
) -> None:
    world.execute(
        "insert into delivery.sending_domains (organization_id, domain, from_address, warmup)"
        " values (:organization, 'ours.org', 'news@ours.org', 'off')",
        organization=world.organization,
    )
    monkeypatch.setenv("MARKETING_ENV", "production")
    if url is not None:
        monkeypatch.setenv("MARKETING_PUBLIC_URL", url)
    get_settings.cache_clear()
    first, second = mailed(world, "a@x.org", "b@x.org")
    world.execute("update delivery.messages set kind = 'transactional' where id = :id", id=second)
    report = world.send(transport=transport)
    assert (report.sent, report.returned, report.fault) == (1, 1, None)
    assert sink.recipients == ["b@x.org"]
    [(state, attempts, due_at, reason)] = world.rows(
        "select state, attempts, due_at, reason from delivery.messages where id = :id", id=first
    )
    assert (state, attempts, due_at) == ("queued", 0, NOW + 10 * MINUTE)
    assert reason.startswith("MARKETING_PUBLIC_URL ")
    assert world.rows("select count(*) from delivery.lines") == [(0,)]
    monkeypatch.setenv("MARKETING_PUBLIC_URL", "https://marketing.ours.org")
    get_settings.cache_clear()
    assert world.send(transport=transport, now=NOW + 10 * MINUTE).sent == 1
    assert "https://marketing.ours.org/" in str(sink.taken[-1].mail["List-Unsubscribe"])
