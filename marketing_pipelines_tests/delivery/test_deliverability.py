"""Warm-up, bounces and complaints of sending domains, counted and shown."""

import datetime as dt

import pytest

from marketing_pipelines.domains.delivery.deliverability import (
    Deliverability,
    MailCounts,
    deliverability,
)
from marketing_pipelines.domains.delivery.hooks.events import HookEvent
from marketing_pipelines.domains.delivery.hooks.recording import record
from marketing_pipelines.domains.delivery.hooks.verdicts import (
    COMPLAINED,
    DELIVERED,
    HARD,
    HookVerdict,
)
from marketing_pipelines.domains.delivery.messages_of import messages_of
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.delivery.test_warmup import domain, ramp
from marketing_pipelines_tests.delivery.world import NOW, Recorder, World

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def reported(world: World, verdict: HookVerdict, messages: list[int], now: dt.datetime) -> None:
    """Reports the same about some messages, twice."""
    for own_id in ("a", "b"):
        with world.begin() as connection:
            record(
                connection,
                [
                    HookEvent(
                        provider="x",
                        verdict=verdict,
                        payload={},
                        message_id=one,
                        own_id=f"{own_id}{verdict}{one}",
                    )
                    for one in messages
                ],
                now=now,
            )


def shown(world: World, now: dt.datetime) -> list[Deliverability]:
    with world.begin() as connection:
        return deliverability(connection, now, now.date())


def test_mails_of_a_day_and_a_week_are_counted_once_with_what_was_reported_about_them(
    world: World,
) -> None:
    domain(world, warmup="off")
    domain(world, "b.org", warmup="off")
    older = world.messages(world.contacts(10), due_at=NOW)
    world.send(transport=Recorder())
    later = NOW + 2 * DAY
    newer = world.messages(world.contacts(5), step=2, due_at=later)
    world.messages(world.contacts(2), "sms", step=3, due_at=later)
    world.send(now=later, transport=Recorder())
    world.send("sms", now=later, transport=Recorder())

    reported(world, DELIVERED, older[:4] + newer[:3], later)
    reported(world, HARD, older[9:] + newer[4:], later)
    reported(world, COMPLAINED, older[:1], later)

    default, other = shown(world, later + HOUR)
    assert (default.domain, default.is_default, default.cap) == ("a.org", True, None)
    assert default.day == MailCounts(sent=5, delivered=3, hard=1, soft=0, complaints=0)
    assert default.week == MailCounts(sent=15, delivered=7, hard=2, soft=0, complaints=1)
    assert (other.domain, other.week.sent) == ("b.org", 0)
    [row, _] = shown(world, NOW + 8 * DAY)
    assert row.week == MailCounts(sent=5, delivered=3, hard=1, soft=0, complaints=0)


@pytest.mark.parametrize(
    ("delivered", "complaints", "verdict"),
    [(1000, 0, "good"), (1001, 1, "good"), (1000, 1, "warn"), (1000, 2, "warn"), (1000, 3, "bad")],
)
def test_complaints_are_judged_by_googles_limits(
    delivered: int, complaints: int, verdict: str
) -> None:
    assert MailCounts(2000, delivered, 0, 0, complaints).verdict == verdict


def test_complaints_are_shares_of_mails_sent_where_nothing_reports_delivery() -> None:
    assert MailCounts(sent=200, delivered=0, hard=0, soft=0, complaints=1).complaint_share == 0.005
    assert MailCounts(sent=0, delivered=0, hard=0, soft=0, complaints=0).complaint_share == 0


def test_a_domain_under_warm_up_shows_its_day_its_places_and_its_ramp(world: World) -> None:
    ramp(world, 3, 5)
    domain(world, warmup_started_on=NOW.date() - DAY)
    world.messages(world.contacts(7))
    world.send(transport=Recorder())
    [row] = shown(world, NOW + HOUR)
    assert (row.warmup_day, row.cap, row.taken) == (2, 5, 5)
    assert row.caps == [3, *[5] * 29]
    assert row.places == [0, 5]


def test_messages_are_found_by_contact_number_or_address_waiting_ones_included(
    world: World,
) -> None:
    ann, bob = world.contacts(2)
    world.execute(
        "insert into lifecycle.steps (id, organization_id, program_kind, program_id, external_id,"
        " type, config, position) overriding system value"
        " values (1, :organization, 'campaign', :program, 'hello', 'send_email', '{}', 1)",
        organization=world.organization,
        program=world.program,
    )
    sent, waiting = world.messages([ann, bob])
    [requested] = world.messages([bob], step=2, due_at=NOW + DAY)
    world.execute(
        "update delivery.messages set program_kind = null, program_id = null, step_id = null,"
        " rotation = null where id = :id",
        id=requested,
    )
    world.execute(
        "update delivery.messages set address = 'ann1@example.org' where id = :id", id=sent
    )
    world.execute(
        "update delivery.messages set due_at = :later where id = :id", later=NOW + DAY, id=waiting
    )
    world.send(transport=Recorder())
    reported(world, DELIVERED, [sent], NOW)

    def found(recipient: str) -> list[tuple[object, ...]]:
        with world.begin() as connection:
            return [
                (row.id, row.state, row.program, row.step, row.reported)
                for row in messages_of(connection, recipient, "acme")
            ]

    expected = [(sent, "delivered", "spring", "hello", ["delivered"])]
    assert found(str(ann)) == found("Ann1@example.org") == expected
    assert found(str(bob)) == [
        (requested, "queued", None, None, []),
        (waiting, "queued", "spring", "hello", []),
    ]
    with pytest.raises(BadInputError, match=r"No message went to 'nobody@example\.org'"):
        found("nobody@example.org")
