"""Servers that are away, close early or are slow: every mail goes out, and none twice."""

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from marketing_pipelines.domains.delivery.rendering import Rendered
from marketing_pipelines.domains.delivery.sending import LEASE, SendingReport
from marketing_pipelines.domains.delivery.transports.choice import transport_of
from marketing_pipelines.domains.delivery.transports.outcomes import Transport
from marketing_pipelines.domains.delivery.transports.smtp import SmtpTransport
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.smtp_sink import Sink, smtp_sink
from marketing_pipelines_tests.delivery.world import NOW, World
from marketing_pipelines_tests.scale import SOAK

pytestmark = [pytest.mark.fault, pytest.mark.soak]

SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
# Mails of each test, and those of a batch or connection.
MAILS, SOME = (1_000, 50) if SOAK else (30, 10)


@contextlib.contextmanager
def connected(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmtpTransport]:
    """The transport of a worker that has this server."""
    monkeypatch.setenv("MARKETING_SMTP_URL", sink.url)
    get_settings.cache_clear()
    transport = transport_of(get_settings(), "email")
    assert isinstance(transport, SmtpTransport)
    with contextlib.closing(transport):
        yield transport


def ends(world: World) -> list[tuple[str, int, int]]:
    """The different states and attempts of all messages, each with their number."""
    return world.rows("select state, attempts, count(*) from delivery.messages group by 1, 2")


def test_every_mail_goes_out_after_a_server_was_away_for_ten_minutes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.messages(world.contacts(MAILS))
    with smtp_sink() as before, connected(before, monkeypatch) as transport:
        assert world.send(transport=transport, limit=SOME).sent == SOME
        port = urlsplit(before.url).port
    now, tries = NOW, 0
    with connected(before, monkeypatch) as transport:
        while now < NOW + 10 * MINUTE:
            report = world.send(transport=transport, now=now, limit=SOME)
            assert report == SendingReport(
                claimed=report.returned, returned=report.returned, fault=report.fault,
                again_at=report.again_at,
            )  # fmt: skip
            assert report.fault is not None
            assert report.again_at is not None
            now, tries = report.again_at, tries + 1
    # Twenty faults open the breaker for five minutes, the try after them for ten.
    assert tries == 21
    assert Counter(ends(world)) == Counter([("sent", 1, SOME), ("queued", 0, MAILS - SOME)]), (
        "no attempt is used"
    )
    assert port is not None
    with smtp_sink(port=port) as after, connected(after, monkeypatch) as transport:
        assert after.url == before.url
        assert world.send(transport=transport, now=now).sent == 1
        while world.send(transport=transport, now=now).claimed:
            pass
    assert ends(world) == [("sent", 1, MAILS)]
    assert len({*before.recipients, *after.recipients}) == MAILS
    assert len(before.recipients) + len(after.recipients) == MAILS
    assert world.rows("select kind from ops.alerts order by id") == [("first",), ("recovery",)]


@pytest.mark.parametrize("says_421", [False, True])
def test_a_server_that_closes_after_some_mails_takes_all_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch, says_421: bool
) -> None:
    world.messages(world.contacts(MAILS))
    with smtp_sink() as sink, connected(sink, monkeypatch) as transport:
        sink.closes_after, sink.says_421 = SOME, says_421
        while world.send(transport=transport).claimed:
            pass
    assert ends(world) == [("sent", 1, MAILS)]
    assert len(set(sink.recipients)) == len(sink.recipients) == MAILS
    assert sink.connections == MAILS / SOME
    assert world.rows("select * from delivery.lines where failures > 0") == []


@dataclass
class Slow:
    """A server that takes half a minute for each mail; another worker comes when leases run out."""

    transport: Transport
    meanwhile: Callable[[dt.datetime], None]
    now: dt.datetime = NOW
    repeatable: bool = False

    @property
    def line(self) -> str | None:
        """The same server as others see it."""
        return self.transport.line

    def send(self, message: Rendered) -> str | None:
        """Takes it, late."""
        number = self.transport.send(message)
        self.now += 30 * SECOND
        if self.now == NOW + LEASE:
            self.meanwhile(self.now)
        return number


def test_a_server_so_slow_that_leases_run_out_gets_no_mail_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker takes the rest over; the first finds that they are no longer its own."""
    numbers = world.messages(world.contacts(MAILS))
    others: list[SendingReport] = []

    def come(now: dt.datetime) -> None:
        with connected(sink, monkeypatch) as transport:
            others.append(world.send(transport=transport, now=now, limit=MAILS))

    with smtp_sink() as sink, connected(sink, monkeypatch) as transport:
        slow = Slow(transport, come)
        report = world.send(transport=slow, clock=lambda: slow.now, limit=MAILS)
    taken = LEASE // (30 * SECOND)
    # The other worker also settles the first mail, whose lease was over and whose end was marked.
    assert report == SendingReport(claimed=MAILS, sent=taken - 1, lost=MAILS - taken + 1)
    assert others == [SendingReport(claimed=MAILS - taken, sent=MAILS - taken)]
    assert {world.state(number) for number in numbers} == {("sent", None)}
    assert len(set(sink.recipients)) == len(sink.recipients) == MAILS
    assert world.rows("select count(*) from analytics.contact_activity") == [(MAILS,)]
