"""Lines: the breaker over all workers, ceilings, and rates that hold in any second."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import pytest

from marketing_pipelines.domains.delivery import lines
from marketing_pipelines.domains.delivery.rendering import Rendered
from marketing_pipelines.domains.delivery.transports.outcomes import (
    LineError,
    UnknownOutcomeError,
)
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.world import NOW, Recorder, World

LINE = "smtp://mail:587"
MINUTE = dt.timedelta(minutes=1)
SECOND = dt.timedelta(seconds=1)


@dataclass
class Scripted(Recorder):
    """A server that fails while a test wants it to."""

    line: str | None = LINE
    fault: LineError | None = None
    started: list[dt.datetime] = field(default_factory=list)

    def send(self, message: Rendered) -> None:
        """Takes it, or fails."""
        self.started.append(dt.datetime.now(dt.UTC))
        if self.fault is not None:
            raise self.fault
        super().send(message)


def alerts(world: World) -> list[tuple[Any, ...]]:
    return world.rows(
        "select subject, kind from ops.alerts join ops.incidents on incidents.id = incident_id"
        " order by alerts.id"
    )


def row(world: World) -> tuple[Any, ...]:
    [found] = world.rows("select failures, opened_at, open_until from delivery.lines")
    return found


@pytest.mark.fault(31)
def test_the_twentieth_fault_in_a_row_opens_the_breaker_and_one_message_tries_after_each_pause(
    world: World,
) -> None:
    world.messages(world.contacts(25))
    transport = Scripted(fault=LineError("the password is refused"))
    for number in range(1, 20):
        report = world.send(transport=transport)
        assert (report.claimed, report.returned, report.again_at) == (25, 25, NOW + 2 * SECOND)
        assert row(world) == (number, None, None)
    assert alerts(world) == []
    now = NOW
    for minutes in (5, 10, 20, 40, 60, 60):
        report = world.send(transport=transport, now=now)
        assert report.again_at == now + minutes * MINUTE
        assert report.claimed == (25 if minutes == 5 else 1)
        assert world.send(transport=transport, now=report.again_at - SECOND).claimed == 0
        now = report.again_at
    assert alerts(world) == [(f"line {LINE}", "first")]
    assert set(world.rows("select state, attempts from delivery.messages")) == {("queued", 0)}
    transport.fault = None
    assert world.send(transport=transport, now=now).sent == 1
    assert row(world) == (0, None, None)
    assert alerts(world) == [(f"line {LINE}", "first"), (f"line {LINE}", "recovery")]
    assert world.send(transport=transport, now=now).sent == 24


def test_a_success_ends_the_row_and_an_unknown_message_counts_as_a_fault(world: World) -> None:
    world.messages(world.contacts(4))
    transport = Scripted(fault=UnknownOutcomeError("no answer"))
    assert world.send(transport=transport).unknown == 1
    assert row(world)[0] == 1
    transport.fault = None
    assert world.send(transport=transport, now=NOW + MINUTE, limit=1).sent == 1
    assert row(world)[0] == 0


def test_only_one_worker_tries_a_line_whose_breaker_was_open(world: World) -> None:
    world.messages(world.contacts(3))
    world.execute(
        "insert into delivery.lines (name, failures, openings, open_until, opened_at)"
        " values (:name, 20, 1, :now, :now)",
        name=LINE,
        now=NOW,
    )
    with world.begin() as first:
        admission = lines.admit(first, LINE, 500, NOW)
        assert (admission.limit, admission.is_trial) == (1, True)
    with world.begin() as second:
        assert lines.admit(second, LINE, 500, NOW).limit == 0
        assert lines.admit(second, LINE, 500, NOW + lines.TRIAL).limit == 1, "the first died"


def test_a_server_that_asks_for_fewer_messages_gets_half_the_rate_for_ten_minutes(
    world: World,
) -> None:
    numbers = world.messages(world.contacts(300))
    world.execute(
        "update delivery.messages set state = 'sent', sent_at = :at where id < :some",
        at=NOW - 30 * SECOND,
        some=numbers[240],
    )
    transport = Scripted(fault=LineError("421 slow down", is_slow_down=True))
    world.send(transport=transport)
    assert world.rows("select ceiling, ceiling_until from delivery.lines") == [
        (2.0, NOW + 10 * MINUTE)
    ]
    with world.begin() as connection:
        assert lines.admit(connection, LINE, 9, NOW).has_ceiling
        assert not lines.admit(connection, LINE, 9, NOW + 10 * MINUTE).has_ceiling
        starts = [lines.next_start(connection, LINE, None, NOW) for _ in range(4)]
    gap = 0.525 * SECOND
    assert starts == [NOW, NOW + gap, None, None], "the third would be more than a second away"


def test_a_server_that_names_a_time_gets_nothing_until_then(world: World) -> None:
    world.messages(world.contacts(2))
    transport = Scripted(fault=LineError("429", quiet_for=90 * SECOND))
    report = world.send(transport=transport)
    assert report.again_at == NOW + 90 * SECOND
    transport.fault = None
    assert world.send(transport=transport, now=NOW + 89 * SECOND).claimed == 0
    report = world.send(transport=transport, now=NOW + 90 * SECOND)
    assert (report.sent, report.returned) == (1, 1), "its ceiling is one a second by then"
    assert alerts(world) == []


def test_a_domains_rate_holds_in_any_second(world: World) -> None:
    world.execute(
        "insert into delivery.sending_domains (organization_id, domain, from_address, warmup,"
        " per_second) values (:organization, 'a.org', 'x@a.org', 'off', 10)",
        organization=world.organization,
    )
    world.messages(world.contacts(15), due_at=dt.datetime.now(dt.UTC))
    transport = Scripted()
    report = world.send(transport=transport, clock=lambda: dt.datetime.now(dt.UTC))
    assert report.sent == 15
    gaps = [b - a for a, b in zip(transport.started, transport.started[10:], strict=False)]
    assert min(gaps) >= SECOND


def test_alerts_of_lines_go_to_the_team_that_answers_for_deliverability() -> None:
    from marketing_pipelines.observability import alerts as texts
    from marketing_pipelines.registry import owner_of

    @dataclass
    class Told:
        subject: str = f"line {LINE}"
        item: str = ""
        failures: int = 20

    assert owner_of(f"line {LINE}") == "team:deliverability"
    assert texts.title("first", Told()) == f"{LINE} takes no messages"
    assert texts.title("recovery", Told()) == f"{LINE} takes messages again"


@pytest.mark.parametrize("count", [0, 59])
def test_a_ceiling_is_at_least_one_a_second(world: World, count: int) -> None:
    contacts = world.contacts(count + 1)
    numbers = world.messages(contacts)
    world.execute(
        "update delivery.messages set state = 'sent', sent_at = :now where id < :last",
        now=NOW,
        last=numbers[-1],
    )
    world.send(transport=Scripted(fault=LineError("421", is_slow_down=True)))
    assert world.value("select ceiling from delivery.lines") == 1.0


def test_the_setting_says_how_many_faults_open_the_breaker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETING_BREAKER_FAILURES", "2")
    get_settings.cache_clear()
    world.messages(world.contacts(1))
    transport = Scripted(fault=LineError("no route"))
    openings = [world.send(transport=transport).again_at for _ in range(2)]
    assert openings == [NOW + 2 * SECOND, NOW + 5 * MINUTE]


def test_thirty_domains_of_one_line_open_and_close_its_breaker_once(world: World) -> None:
    numbers = world.messages(world.contacts(30))
    for place, number in enumerate(numbers):
        domain = world.value(
            "insert into delivery.sending_domains (organization_id, domain, from_address, warmup)"
            " values (:organization, :domain, 'x@' || :domain, 'off') returning id",
            organization=world.organization,
            domain=f"d{place}.org",
        )
        world.execute(
            "update delivery.messages set domain_id = :domain where id = :id",
            domain=domain,
            id=number,
        )
    transport = Scripted(fault=LineError("no route"))
    now = NOW
    for _ in range(40):
        report = world.send(transport=transport, now=now, limit=1)
        if report.claimed:
            now += SECOND
    assert row(world)[:2] == (20, NOW + 19 * SECOND)
    assert alerts(world) == [(f"line {LINE}", "first")]
    transport.fault, now = None, now + 5 * MINUTE
    assert world.send(transport=transport, now=now).sent == 1
    assert world.send(transport=transport, now=now).sent == 29
    assert alerts(world) == [(f"line {LINE}", "first"), (f"line {LINE}", "recovery")]
    assert {message.sender.address for message in transport.taken if message.sender} == {
        f"x@d{place}.org" for place in range(30)
    }
