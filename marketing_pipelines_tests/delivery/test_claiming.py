"""The gate: caps, quiet hours, expiry, addresses, users, and whose turn it is."""

import datetime as dt
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.delivery.claiming import claim
from marketing_pipelines.domains.delivery.due import due_channels, next_at
from marketing_pipelines.domains.delivery.lanes import streams
from marketing_pipelines.domains.delivery.sending import SendingReport
from marketing_pipelines_tests.delivery import claimer
from marketing_pipelines_tests.delivery.world import NOW, Recorder, World
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.scale import SOAK

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
INSTANT = dt.timedelta(microseconds=1)
UTC = ZoneInfo("UTC")


def settings(world: World, **groups: Any) -> None:
    """Sets the settings of the organization."""
    world.execute(
        "update crm.organizations set settings = cast(:settings as jsonb)",
        settings=json.dumps(groups),
    )


def sent(world: World, now: dt.datetime, channel: str = "email") -> int:
    """Sends what may go at an instant; returns how many went."""
    return world.send(channel, now=now).sent


@pytest.mark.parametrize(("cap", "span"), [("day", DAY), ("week", 7 * DAY), ("month", 30 * DAY)])
def test_a_cap_lets_n_messages_through_and_the_next_when_the_first_is_old_enough(
    world: World, cap: str, span: dt.timedelta
) -> None:
    settings(world, frequency_caps={cap: 2}, delivery={"valid_for": {"marketing": "0d"}})
    contacts = world.contacts(2)
    world.messages(contacts, step=1)
    assert sent(world, NOW) == 2
    for step in (2, 3):
        world.messages(contacts, step=step, due_at=NOW + MINUTE)
    assert world.send(now=NOW + MINUTE) == SendingReport(claimed=4, sent=2, postponed=2)
    assert world.rows(
        "select distinct due_at, attempts, claim from delivery.messages where state = 'queued'"
    ) == [(NOW + span, 0, 0)]
    assert world.send(now=NOW + span - INSTANT) == SendingReport()
    assert sent(world, NOW + span) == 2


def test_a_cap_counts_what_may_have_reached_the_contact(world: World) -> None:
    settings(world, frequency_caps={"day": 1})
    states = {
        "claimed": 0, "sent": 0, "delivered": 0, "bounced": 0, "unknown": 0,
        "failed": 1, "suppressed": 1, "queued": 1,
    }  # fmt: skip
    for step, state in enumerate(states):
        contacts = world.contacts(1)
        [before] = world.messages(contacts, step=step, due_at=NOW + 9 * DAY)
        world.execute(
            "update delivery.messages set state = :state, claimed_at = :at, leased_until = case"
            " when :state = 'claimed' then cast(:later as timestamptz) end"
            " where id = :id",
            state=state,
            at=NOW - HOUR,
            later=NOW + DAY,
            id=before,
        )
        world.messages(contacts, step=100 + step)
        assert (state, sent(world, NOW)) == (state, states[state])


def test_caps_are_per_channel_and_do_not_stop_transactional_messages(world: World) -> None:
    settings(world, frequency_caps={"day": 1, "week": 0})
    contacts = world.contacts(1)
    for step in range(3):
        world.messages(contacts, step=step)
        world.messages(contacts, "sms", step=10 + step)
    world.messages(contacts, step=30)
    world.execute("update delivery.messages set kind = 'transactional' where step_id = 30")
    counts = {channel: sent(world, NOW, channel) for channel in ("email", "sms")}
    assert counts == {"email": 2, "sms": 1}


def test_a_cap_of_zero_is_no_cap(world: World) -> None:
    settings(world, frequency_caps={"day": 0})
    contacts = world.contacts(1)
    for step in range(5):
        world.messages(contacts, step=step)
    assert sent(world, NOW) == 5


def test_messages_of_quiet_contacts_wait_until_their_morning(world: World) -> None:
    """The zone is the contact's, else the organization's, else the reporting zone, UTC."""
    settings(world, quiet_hours={"start": "22:00", "end": "07:00"})
    night = dt.datetime(2026, 3, 2, 22, 30, tzinfo=dt.UTC)
    cases = {
        "UTC": dt.datetime(2026, 3, 3, 7, tzinfo=dt.UTC),
        "Europe/Berlin": dt.datetime(2026, 3, 3, 6, tzinfo=dt.UTC),
        "Asia/Tokyo": None,
        None: dt.datetime(2026, 3, 3, 7, tzinfo=dt.UTC),
        "Mars/Base": dt.datetime(2026, 3, 3, 7, tzinfo=dt.UTC),
    }
    numbers = {}
    for zone in cases:
        [contact] = world.contacts(1)
        world.execute(
            "update crm.contacts set timezone = :zone where id = :id", zone=zone, id=contact
        )
        [numbers[zone]] = world.messages([contact], due_at=night)
    assert world.send(now=night) == SendingReport(claimed=5, sent=1, postponed=4)
    due = dict(world.rows("select id, due_at from delivery.messages where state = 'queued'"))
    assert due == {numbers[zone]: until for zone, until in cases.items() if until is not None}
    world.execute("update crm.organizations set timezone = 'Asia/Tokyo'")
    world.execute("update delivery.messages set due_at = :at where state = 'queued'", at=night)
    assert sent(world, night) == 2, "without a zone of their own they have the organization's"
    morning = dt.datetime(2026, 3, 3, 6, tzinfo=dt.UTC)
    assert world.send(now=morning - INSTANT) == SendingReport()
    assert sent(world, morning) == 1


def test_transactional_messages_go_out_at_night(world: World) -> None:
    settings(world, quiet_hours={"start": "00:00", "end": "23:59"})
    world.messages(world.contacts(2))
    world.execute("update delivery.messages set kind = 'transactional' where id = 1")
    assert world.send() == SendingReport(claimed=2, sent=1, postponed=1)


@pytest.mark.parametrize(
    ("kind", "setting", "after"),
    [
        ("marketing", {}, 7 * DAY),
        ("transactional", {}, DAY),
        ("marketing", {"marketing": "2h"}, 2 * HOUR),
        ("transactional", {"marketing": "2h"}, DAY),
    ],
)
def test_a_message_that_waited_too_long_is_not_sent(
    world: World, kind: str, setting: dict[str, str], after: dt.timedelta
) -> None:
    settings(world, delivery={"valid_for": setting})
    first, second = world.messages(world.contacts(2))
    world.execute("update delivery.messages set kind = :kind", kind=kind)
    assert world.send(now=NOW + after - INSTANT, limit=1).sent == 1
    assert world.send(now=NOW + after) == SendingReport(claimed=1, suppressed=1)
    assert [world.state(first)[0], world.state(second)] == ["sent", ("suppressed", "expired")]


def test_a_message_has_the_end_that_it_was_given_before_that_of_the_settings(world: World) -> None:
    messages = world.messages(world.contacts(2))
    world.execute(
        "update delivery.messages set expires_at = '9999-12-31Z' where id = :id", id=messages[0]
    )
    world.execute(
        "update delivery.messages set expires_at = :at where id = :id",
        at=NOW + MINUTE,
        id=messages[1],
    )
    assert world.send(now=NOW + 900 * DAY) == SendingReport(claimed=2, sent=1, suppressed=1)


def test_messages_of_settings_that_cannot_be_used_wait_and_stop_no_other_organization(
    world: World,
) -> None:
    settings(world, frequency_caps={"day": "many"})
    world.messages(world.contacts(2))
    world.execute("update delivery.messages set kind = 'transactional' where id = 1")
    other = World(world.engine, name="other")
    other.messages(other.contacts(1))
    assert world.send() == SendingReport(claimed=2, sent=2)
    with world.begin() as connection:
        assert due_channels(connection, NOW + DAY) == []
    settings(world)
    assert world.send().sent == 1


def test_a_message_goes_to_the_present_address_unless_another_has_it(world: World) -> None:
    contacts = world.contacts(4)
    numbers = world.messages(contacts)
    world.execute(
        "update delivery.messages set address = contacts.email from crm.contacts"
        " where contacts.id = contact_id"
    )
    change = "update crm.contacts set email = :email where id = :id"
    world.execute(change, email="New@example.org", id=contacts[0])
    world.execute(change, email="new@example.org", id=contacts[1])
    world.execute(change, email="ann4@example.org", id=contacts[2])
    assert world.send() == SendingReport(claimed=4, sent=2, suppressed=2)
    assert world.rows("select id, state, reason, address from delivery.messages order by id") == [
        (numbers[0], "sent", None, "new@example.org"),
        (numbers[1], "suppressed", "same_address", "ann2@example.org"),
        (numbers[2], "suppressed", "same_address", "ann3@example.org"),
        (numbers[3], "sent", None, "ann4@example.org"),
    ]


def exchange(world: World, addresses: dict[int, str]) -> None:
    """Gives contacts other addresses, after their messages were queued."""
    world.execute(
        "update delivery.messages set address = contacts.email from crm.contacts"
        " where contacts.id = contact_id"
    )
    for contact, address in addresses.items():
        world.execute(
            "update crm.contacts set email = :email where id = :id", email=address, id=contact
        )


def test_two_contacts_that_exchange_their_addresses_get_both_messages(world: World) -> None:
    one, two = world.contacts(2)
    numbers = world.messages([one, two])
    exchange(world, {one: "ann2@example.org", two: "ann1@example.org"})
    assert world.send() == SendingReport(claimed=2, postponed=2)
    assert world.send() == SendingReport(claimed=2, sent=2)
    assert world.send() == SendingReport()
    assert world.rows("select id, state, address from delivery.messages order by id") == [
        (numbers[0], "sent", "ann2@example.org"),
        (numbers[1], "sent", "ann1@example.org"),
    ]


def test_an_address_that_a_message_no_longer_needs_is_free(world: World) -> None:
    """Its contact has another one, and the message waits for its day or was suppressed."""
    heir, later, suppressed, second_heir = world.contacts(4)
    world.messages([later], due_at=NOW + DAY)
    world.messages([heir, suppressed, second_heir])
    exchange(world, {
        heir: "ann2@example.org", later: "new@example.org",
        second_heir: "ann3@example.org", suppressed: "left@example.org",
    })  # fmt: skip
    world.suppress(suppressed, "email")
    assert world.send() == SendingReport(claimed=3, suppressed=1, postponed=2)
    assert world.send() == SendingReport(claimed=2, sent=1, postponed=1)
    assert world.send().sent == 1
    assert world.send(now=NOW + DAY).sent == 1
    assert world.rows(
        "select address from delivery.messages where state = 'sent' order by address"
    ) == [("ann2@example.org",), ("ann3@example.org",), ("new@example.org",)]


# Columns of the user, a suppression of its address, and how the message ends.
USERS: list[tuple[dict[str, Any], str | None, tuple[str, str | None]]] = [
    ({"email": "Rep@example.org"}, None, ("sent", None)),
    ({"email": "rep@example.org"}, "complaint", ("sent", None)),
    ({"email": "rep@example.org"}, "hard_bounce", ("suppressed", "hard_bounce")),
    ({"email": None}, None, ("suppressed", "no_address")),
    ({"email": "a@b", "notify_by_mail": False}, None, ("suppressed", "notify_by_mail is off")),
]


@pytest.mark.parametrize(("columns", "reason", "end"), USERS)
def test_a_message_to_a_user_takes_its_address_when_it_is_claimed(
    world: World, columns: dict[str, Any], reason: str | None, end: tuple[str, str | None]
) -> None:
    settings(world, frequency_caps={"day": 1}, quiet_hours={"start": "00:00", "end": "23:59"})
    user = world.value(
        f"insert into crm.users (organization_id, external_id, {', '.join(columns)}) values"
        f" (:organization, 'u', {', '.join(f':{name}' for name in columns)}) returning id",
        organization=world.organization,
        **columns,
    )
    [number] = world.messages(world.contacts(1))
    world.execute(
        "update delivery.messages set contact_id = null, user_id = :user, kind = 'transactional',"
        " program_kind = null, program_id = null, step_id = null",
        user=user,
    )
    if reason is not None:
        world.suppress_address("rep@example.org", reason)
    world.send()
    assert world.state(number) == end
    address = "rep@example.org" if end[0] == "sent" else None
    assert world.value("select address from delivery.messages") == address
    assert world.rows("select * from analytics.contact_activity") == []


def test_a_message_goes_to_a_contact_or_a_user_and_only_transactional_ones_to_users(
    world: World,
) -> None:
    world.messages(world.contacts(1))
    for change, constraint in (
        ("user_id = 1, kind = 'transactional'", "recipient"),
        ("contact_id = null", "recipient"),
        ("contact_id = null, user_id = 1", "kind_to_user"),
        ("priority = 101", "priority"),
    ):
        with pytest.raises(sa.exc.IntegrityError, match=f"ck_messages_{constraint}"):
            world.execute(f"update delivery.messages set {change}")


def order(world: World, limit: int = 100) -> list[int]:
    """Numbers of the messages in the order in which they are sent."""
    transport = Recorder()
    world.send(transport=transport, limit=limit)
    return [message.id for message in transport.taken]


def test_transactional_messages_go_first_then_the_higher_priority_then_the_older(
    world: World,
) -> None:
    numbers = world.messages(world.contacts(6))
    for number, kind, priority, due_at in (
        (numbers[0], "marketing", 0, NOW),
        (numbers[1], "marketing", 0, NOW - MINUTE),
        (numbers[2], "marketing", -5, NOW - HOUR),
        (numbers[3], "marketing", 5, NOW),
        (numbers[4], "transactional", -100, NOW),
        (numbers[5], "marketing", 0, NOW),
    ):
        world.execute(
            "update delivery.messages set kind = :kind, priority = :priority, due_at = :due_at"
            " where id = :number",
            number=number,
            kind=kind,
            priority=priority,
            due_at=due_at,
        )
    assert order(world) == [numbers[place] for place in (4, 3, 1, 0, 5, 2)]


def test_organizations_take_turns_and_one_that_is_at_its_end_goes_first(world: World) -> None:
    many = world.messages(world.contacts(10))
    other = World(world.engine, name="other")
    few = other.messages(other.contacts(5))
    # An equal share of each batch is 3.
    assert order(world, limit=6) == [many[0], few[0], many[1], few[1], many[2], few[2]]
    assert order(world, limit=6) == [few[3], many[3], few[4], many[4], many[5], many[6]]


def test_a_lane_without_room_costs_one_look_and_opens_by_itself(world: World) -> None:
    world.messages(world.contacts(5))
    opens_at = NOW + 3 * HOUR
    world.execute(
        "insert into delivery.sending_domains (organization_id, domain, from_address, is_default,"
        " warmup, paused_until, created_at) values (:organization, 'example.org', 'a@example.org',"
        " true, 'off', :at, :now)",
        organization=world.organization,
        at=opens_at,
        now=NOW,
    )
    assert world.send() == SendingReport()
    with world.begin() as connection:
        assert [stream.room for stream in streams(connection, "email", NOW, UTC)] == [0]
        assert next_at(connection, "email", NOW) == opens_at
    assert world.send(now=opens_at) == SendingReport(claimed=5, sent=5)


def test_the_plan_of_a_claim_looks_once_at_each_stream(world: World) -> None:
    paused = world.another_program("paused", "paused")
    world.messages(world.contacts(3000), program=paused)
    world.execute("analyze delivery.messages")
    plans: list[str] = []

    def explain(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "with recursive streams" in statement:
            cursor.execute("explain (analyze, format json) " + statement, parameters)
            plans.append(json.dumps(cursor.fetchall()))

    with world.begin() as connection:
        sa.event.listen(connection, "before_cursor_execute", explain)
        assert streams(connection, "email", NOW, UTC) == []
    [plan] = plans
    assert "ix_messages_queued" in plan
    assert "Seq Scan on messages" not in plan


def test_a_claim_starts_at_the_first_message_behind_those_claimed_before(world: World) -> None:
    world.messages(world.contacts(3000))
    for _ in range(29):
        with world.begin() as connection:
            claim(connection, "email", limit=100, lease=HOUR, now=NOW, zone=UTC)
    world.execute("analyze delivery.messages")
    read: list[int] = []

    def explain(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "update delivery.messages" in statement:
            cursor.execute("explain (analyze, buffers, format json) " + statement, parameters)
            [[[answer]]] = cursor.fetchall()
            read.extend(_blocks_of_queue(answer["Plan"]))

    with world.begin() as connection:
        sa.event.listen(connection, "before_cursor_execute", explain)
        claim(connection, "email", limit=10, lease=HOUR, now=NOW, zone=UTC)
    # The 2,900 entries before it fill 37 blocks.
    assert 0 < sum(read) < 25


def _blocks_of_queue(plan: dict[str, Any]) -> list[int]:
    own = [plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]]
    found = own if plan.get("Index Name") == "ix_messages_queued" else []
    return found + [one for part in plan.get("Plans", []) for one in _blocks_of_queue(part)]


@pytest.mark.soak
@pytest.mark.fault
def test_four_claiming_processes_let_no_contact_over_its_cap(world: World) -> None:
    count, size = (10_000, 500) if SOAK else (60, 7)
    settings(world, frequency_caps={"day": 1})
    contacts = world.contacts(count)
    other = world.another_program("other")
    for step, program in enumerate((world.program, other)):
        world.messages(contacts, step=step, program=program)

    def work(_: int) -> None:
        # Threads have sessions of their own, too, and start at once.
        if SOAK:
            assert Forked(claimer.__name__, str(size)).wait(600) == 0
        else:
            claimer.claim_all(world.engine, size)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    per_contact = world.rows(
        "select contact_id, count(*) filter (where state = 'claimed') from delivery.messages"
        " group by 1"
    )
    assert Counter(number for _, number in per_contact) == {1: count}


# 28
@pytest.mark.fault
@pytest.mark.parametrize("reason", ["unsubscribed", "hard_bounce"])
def test_a_contact_that_leaves_between_the_claim_and_the_sending_gets_nothing(
    world: World, reason: str
) -> None:
    contacts = world.contacts(3)
    numbers = world.messages(contacts)

    class Leaving(Recorder):
        def send(self, message: Any) -> None:
            """While the first is sent, the second leaves."""
            super().send(message)
            if message.id == numbers[0]:
                world.suppress_address("ann2@example.org", reason)

    transport = Leaving()
    assert world.send(transport=transport) == SendingReport(claimed=3, sent=2, suppressed=1)
    assert [message.id for message in transport.taken] == [numbers[0], numbers[2]]
    assert world.state(numbers[1]) == ("suppressed", reason)


def test_only_the_commit_of_a_claim_does_not_wait_for_the_disk(world: World) -> None:
    world.messages(world.contacts(1))
    show = "show synchronous_commit"
    with world.engine.begin() as connection:
        found = claim(connection, "email", limit=1, lease=2 * MINUTE, now=NOW, zone=UTC).messages
        assert len(found) == 1
        assert connection.exec_driver_sql(show).scalar_one() == "off"
    with world.engine.begin() as connection:
        assert connection.exec_driver_sql(show).scalar_one() == "on"
