"""Messages of unknown outcome: listed, and resolved by hand once."""

import datetime as dt
import json
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.delivery.resolving import listed, resolve
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.cli.console import printed_here, refusal_here
from marketing_pipelines_tests.delivery.world import NOW, World

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
LATER = NOW + 30 * DAY
FOR_EVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


def unknown(world: World, count: int) -> list[int]:
    """Messages whose worker died while it handed them over."""
    numbers = world.messages(world.contacts(count))
    world.execute(
        "update delivery.messages set state = 'unknown', claim = 1, attempts = 1,"
        " claimed_at = :at, reason = 'nobody answered'",
        at=NOW,
    )
    return numbers


def test_unknown_messages_are_listed_with_the_end_of_their_waiting(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    [first, second] = unknown(world, 2)
    world.execute("update delivery.messages set state = 'sent' where id = :id", id=second)
    world.execute(
        "update crm.organizations set settings = jsonb_build_object('delivery',"
        " jsonb_build_object('unknown_hours', 24))"
    )
    printed = printed_here(capsys, "messages", "list", "--organization", "acme")
    [line] = printed.splitlines()[1:]
    assert line.split()[:3] == [str(first), "acme", "email"]
    assert "2026-03-03" in line
    everything = printed_here(capsys, "messages", "list", "--state", "all")
    assert len(everything.splitlines()) == 3


def test_a_queued_message_is_listed_with_the_reason_for_which_it_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped = world.contacts(1)
    world.execute(
        "update crm.organizations set settings = jsonb_build_object('frequency_caps',"
        " jsonb_build_object('day', 1))"
    )
    world.execute(
        "insert into delivery.sending_domains (organization_id, domain, from_address, is_default,"
        " warmup) values (:own, 'a.org', 'x@a.org', true, 'off')",
        own=world.organization,
    )
    for step in (1, 2):
        world.messages(capped, step=step)
    assert world.send().postponed == 1
    [later] = world.messages(world.contacts(1), step=3, due_at=NOW + HOUR)
    monkeypatch.setenv("MARKETING_SMTP_URL", "smtp://127.0.0.1:9?tls=off")
    get_settings.cache_clear()

    def waiting(now: dt.datetime = NOW) -> list[tuple[str | None, dt.datetime | None]]:
        with world.begin() as connection:
            rows = listed(
                connection, state="queued", channel=None, organization_id=None, limit=9, now=now
            )
        return [(row.reason, row.waits_until) for row in rows]

    assert waiting() == [("due later", NOW + HOUR), ("frequency_cap", NOW + DAY)]
    assert waiting(NOW + DAY) == [(None, None), ("frequency_cap", None)]
    world.execute("update delivery.sending_domains set warmup = 'auto'")
    world.execute(
        "insert into delivery.warmup_reservations (domain_id, day, reserved)"
        " select id, :day, 50 from delivery.sending_domains",
        day=NOW.date(),
    )
    midnight = NOW.replace(hour=0) + DAY
    assert waiting() == [("warmup", midnight)] * 2
    world.execute("update delivery.sending_domains set paused_until = :at", at=NOW + DAY)
    assert waiting() == [("domain a.org is paused", NOW + DAY)] * 2
    world.execute(
        "insert into delivery.lines (name, failures, openings, open_until, opened_at)"
        " values ('smtp://127.0.0.1:9', 20, 1, :at, :now)",
        at=NOW + HOUR,
        now=NOW,
    )
    assert waiting() == [("the breaker of smtp://127.0.0.1:9 is open", NOW + HOUR)] * 2
    monkeypatch.setenv("MARKETING_ENV", "production")
    monkeypatch.delenv("MARKETING_SMTP_URL")
    get_settings.cache_clear()
    assert waiting() == [("MARKETING_SMTP_URL is not set", None)] * 2
    world.set_status("paused")
    assert waiting() == [("its campaign is paused", None)] * 2
    assert world.state(later) == ("queued", None)


def events(world: World) -> list[tuple[Any, ...]]:
    return world.rows("select event_id, occurred_at from analytics.contact_activity")


def test_a_person_decides_how_an_unknown_message_ended(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sent, failed, again = map(str, unknown(world, 3))
    assert printed_here(capsys, "messages", "resolve", sent, "--as", "sent") == (
        "1 message is sent.\n"
    )
    assert events(world) == [(f"message:{sent}:sent", NOW)], "the event is written then"
    printed_here(capsys, "messages", "resolve", failed, "--as", "failed")
    printed_here(capsys, "messages", "resolve", again, "--as", "resend")
    assert world.rows(
        "select state, reason, attempts, sent_at from delivery.messages order by id"
    ) == [
        ("sent", None, 1, NOW),
        ("failed", "resolved by hand", 1, None),
        ("queued", None, 1, None),
    ]
    assert world.rows(
        "select task_name from procrastinate_jobs"
        " where status = 'todo' and queue_name like 'send-%'"
    ) == [("delivery/send_email",)]
    assert world.send(now=dt.datetime.now(dt.UTC)).sent == 1


@pytest.mark.parametrize(
    ("setting", "expires_at", "renewed"),
    [
        ({}, None, 7 * DAY),
        ({"marketing": "3h"}, None, 3 * HOUR),
        ({"marketing": "0d"}, None, None),
        ({"marketing": "3h"}, NOW + HOUR, HOUR),
        ({}, FOR_EVER, FOR_EVER - LATER),
    ],
)
def test_a_message_to_be_sent_again_is_valid_as_long_as_it_was_at_first(
    world: World,
    setting: dict[str, str],
    expires_at: dt.datetime | None,
    renewed: dt.timedelta | None,
) -> None:
    [number] = unknown(world, 1)
    world.execute("update delivery.messages set expires_at = :at", at=expires_at)
    world.execute(
        "update crm.organizations set settings = cast(:settings as jsonb)",
        settings=json.dumps({"delivery": {"valid_for": setting}}),
    )
    with world.begin() as connection:
        assert resolve(connection, [number], "resend", now=LATER) == 1
    expected = None if renewed is None else LATER + renewed
    assert world.value("select expires_at from delivery.messages") == expected
    assert world.send(now=LATER).sent == 1


def test_a_message_settles_although_an_event_of_its_id_is_stored(world: World) -> None:
    first, second = world.messages(world.contacts(2))
    world.execute("select analytics.ensure_activity_month(cast(:day as date))", day=NOW.date())
    world.execute(
        "insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,"
        " occurred_at, received_at) select organization_id, :event, contact_id, 'sent', :at, :at"
        " from delivery.messages where id = :id",
        event=f"message:{first}:sent",
        at=NOW,
        id=first,
    )
    assert world.send(now=NOW + dt.timedelta(minutes=1)).sent == 2
    assert world.rows("select event_id from analytics.contact_activity order by 1") == [
        (f"message:{first}:sent",),
        (f"message:{second}:sent",),
    ]


def test_only_unknown_messages_are_resolved_and_all_or_none(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = map(str, unknown(world, 2))
    world.execute("update delivery.messages set state = 'failed' where id = :id", id=int(second))
    resolve = ("messages", "resolve", "--as", "sent", first)
    assert refusal_here(capsys, *resolve, second) == (
        f"Message {second} is failed: only unknown ones are resolved by hand."
    )
    assert refusal_here(capsys, *resolve, "999") == "There is no message 999."
    assert world.state(int(first)) == ("unknown", "nobody answered")
    assert events(world) == []


def test_the_hours_of_an_organization_are_read_or_48(engine: sa.Engine) -> None:
    cases = {"{}": 48, '{"delivery": {"unknown_hours": 5}}': 5, '{"delivery": []}': 48}
    with engine.connect() as connection:
        for settings, hours in cases.items():
            span = connection.execute(
                sa.text("select delivery.unknown_span(cast(:settings as jsonb))"),
                {"settings": settings},
            ).scalar_one()
            assert (settings, span) == (settings, dt.timedelta(hours=hours))
