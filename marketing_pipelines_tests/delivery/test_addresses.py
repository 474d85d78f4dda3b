"""Suppressions by address: they hold for every contact of the organization that has it."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.delivery.addresses import address_of
from marketing_pipelines_tests.delivery.world import NOW, World
from marketing_pipelines_tests.installation import Installation

DAY = dt.timedelta(days=1)
ADDRESSES = [
    ("email", " Ann@Example.ORG\n", "ann@example.org"),
    ("email", " ", None),
    ("sms", "+41 79 123.45-67", "+41791234567"),
    ("sms", "0041/(79) 1234567", "+41791234567"),
    ("sms", "+1234567", "+1234567"),
    ("sms", "+123456", None),
    ("sms", "+1234567890123456", None),
    ("sms", "0791234567", None),
    ("sms", "+41 79 ext", None),
    ("push", " Token ", "Token"),
    ("webhook", "https://example.org", None),
]


def test_sql_and_python_normalise_an_address_alike(world: World) -> None:
    for channel, given, expected in ADDRESSES:
        statement = "select delivery.address_of(:channel, :given)"
        found = world.value(statement, channel=channel, given=given)
        assert (channel, given, found) == (channel, given, expected)
        assert address_of(channel, given) == expected


def test_the_indexes_answer_for_an_address(world: World) -> None:
    world.contacts(2000)
    world.execute("analyze crm.contacts")
    columns = {"email": "email", "sms": "phone", "push": "(attributes ->> 'push_token')"}
    for channel, column in columns.items():
        plan = world.rows(
            f"explain select from crm.contacts where organization_id = {world.organization}"
            f" and {column} is not null"
            f" and delivery.address_of('{channel}', {column}) = '+41700000001'"
        )
        assert f"ix_contacts_{channel}_address" in str(plan)


def contacts(installation: Installation, folder: Path, *rows: tuple[str, str]) -> None:
    path = folder / "contacts.csv"
    lines = [f"{contact},acme,{email}" for contact, email in rows]
    path.write_text("\n".join(["external_id,organization_id,email", *lines]))
    installation.load("contacts", path)


def load(installation: Installation, folder: Path, *lines: str) -> tuple[int, int, int]:
    """Rows inserted, changed and repeated by a file of suppressions."""
    path = folder / "suppressions.csv"
    path.write_text("\n".join(["organization_id,contact_id,address,channel,reason,action", *lines]))
    result = installation.load("suppressions", path)
    assert result.rejected == 0
    return result.loaded, result.changed, result.repeated


def held(installation: Installation) -> list[tuple[Any, ...]]:
    """Contacts that get no marketing mail, with the reason."""
    return installation.rows(
        "select contact.external_id, suppression.reason from crm.contacts as contact"
        " cross join lateral delivery.suppression_for(contact.organization_id, contact.id, 'email',"
        " delivery.address_of('email', contact.email), 'marketing', :now) as suppression"
        " order by 1",
        now=NOW,
    )


@pytest.mark.fault
def test_one_of_two_contacts_with_an_address_unsubscribes_and_both_get_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    people = [("a", "x@example.org"), ("b", " X@Example.org"), ("c", "y@example.org")]
    contacts(installation, tmp_path, *people)
    event = {
        "event_id": "e1",
        "contact_id": "a",
        "event_type": "unsubscribed",
        "occurred_at": "2026-03-01T10:00:00Z",
    }
    installation.load_events(tmp_path, [event])
    both = [("a", "unsubscribed"), ("b", "unsubscribed")]
    assert held(installation) == both
    contacts(installation, tmp_path, *people)
    assert held(installation) == both, "after a re-import"
    contacts(installation, tmp_path, ("a", "new@example.org"), ("d", "x@example.org"))
    assert held(installation) == [*both, ("d", "unsubscribed")], "the contact and the address"
    contacts(installation, tmp_path, ("b", "other@example.org"))
    assert held(installation) == [("a", "unsubscribed"), ("d", "unsubscribed")]


def test_a_hard_bounce_holds_for_the_address_and_not_for_the_contact(
    installation: Installation, tmp_path: Path
) -> None:
    contacts(installation, tmp_path, ("a", "x@example.org"), ("b", "y@example.org"))
    bounce = {"event_type": "bounced", "properties": {"bounce_type": "hard"}}
    at = {"occurred_at": "2026-03-01T10:00:00Z"}
    installation.load_events(tmp_path, [{"event_id": "e1", "contact_id": "a", **bounce, **at}])
    assert held(installation) == [("a", "hard_bounce")]
    contacts(installation, tmp_path, ("a", "new@example.org"), ("b", "x@example.org"))
    assert held(installation) == [("b", "hard_bounce")]


def test_a_bounce_of_a_contact_without_a_known_address_holds_for_the_contact(
    installation: Installation, tmp_path: Path
) -> None:
    bounce = {"event_type": "bounced", "properties": {"bounce_type": "hard"}}
    at = {"occurred_at": "2026-03-01T10:00:00Z"}
    installation.load_events(tmp_path, [{"event_id": "e1", "contact_id": "a", **bounce, **at}])
    contacts(installation, tmp_path, ("a", "x@example.org"))
    assert held(installation) == [("a", "hard_bounce")]


def test_a_bounce_that_names_its_message_holds_for_the_address_it_went_to(world: World) -> None:
    [contact] = world.contacts(1, email="new@example.org")
    [message] = world.messages([contact])
    world.execute("update delivery.messages set address = 'old@example.org'")
    world.execute(
        "insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,"
        " occurred_at, received_at, properties) values (:organization, 'e1', :contact, 'bounced',"
        " :at, :at, jsonb_build_object('bounce_type', 'hard', 'message_id',"
        " cast(:message as text)))",
        organization=world.organization,
        contact=contact,
        at=NOW,
        message=str(message),
    )
    assert world.rows("select contact_id, address, reason from delivery.suppressions") == [
        (None, "old@example.org", "hard_bounce")
    ]


def test_a_file_adds_and_lifts_suppressions_of_contacts_and_addresses(
    installation: Installation, tmp_path: Path
) -> None:
    contacts(installation, tmp_path, ("a", "x@example.org"), ("b", "x@example.org"))
    add = ["acme,a,,,unsubscribed,", "acme,,Y@example.org,,hard_bounce,add"]
    assert load(installation, tmp_path, *add) == (2, 0, 0)
    assert load(installation, tmp_path, *add) == (0, 0, 2)
    stored = "select address, reason from delivery.suppressions order by id"
    assert sorted(installation.rows(stored), key=str) == [
        ("x@example.org", "unsubscribed"),
        ("y@example.org", "hard_bounce"),
        (None, "unsubscribed"),
    ]
    lift = "acme,,y@example.org,,hard_bounce,lift"
    assert load(installation, tmp_path, lift) == (0, 1, 0)
    assert load(installation, tmp_path, lift) == (0, 0, 1)
    assert load(installation, tmp_path, "acme,b,,,unsubscribed,") == (1, 0, 0)
    both = [("a", "unsubscribed"), ("b", "unsubscribed")]
    assert held(installation) == both
    assert load(installation, tmp_path, "acme,a,,,unsubscribed,lift") == (0, 1, 0)
    assert held(installation) == both, "b has the address and is not lifted"
    assert load(installation, tmp_path, "acme,b,,,unsubscribed,lift") == (0, 1, 0)
    assert held(installation) == []
    assert installation.rows(stored) == []


def test_a_push_token_of_another_suppressed_contact_stays_suppressed(world: World) -> None:
    shared, other = {"push_token": "tablet"}, {"push_token": "phone"}
    [one], [two] = world.contacts(1, attributes=shared), world.contacts(1, attributes=shared)
    [third] = world.contacts(1, attributes=other)
    for contact in (one, two, third):
        world.suppress(contact, "push")
    held = "select address from delivery.suppressions where address is not null order by address"
    lift = "delete from delivery.suppressions where contact_id = :contact"
    world.execute(lift, contact=one)
    assert world.rows(held) == [("phone",), ("tablet",)]
    world.execute(lift, contact=third)
    assert world.rows(held) == [("tablet",)]
    world.execute(lift, contact=two)
    assert world.rows(held) == []


def test_a_bounce_of_a_file_is_the_address_of_its_contact(
    installation: Installation, tmp_path: Path
) -> None:
    contacts(installation, tmp_path, ("a", "x@example.org"), ("b", "x@example.org"))
    rows = ["acme,a,,all,hard_bounce,", "acme,b,,,hard_bounce,"]
    assert load(installation, tmp_path, *rows) == (1, 0, 1)
    stored = "select contact_id, address, channel, reason from delivery.suppressions"
    assert installation.rows(stored) == [(None, "x@example.org", "email", "hard_bounce")]


def bounced(world: World, ends: str, at: dt.datetime) -> list[tuple[Any, ...]]:
    """Sends a message for each letter (d delivered, s soft bounce, h hard), an hour apart, and
    judges each bounce; returns the suppressions.
    """
    [contact] = world.rows("select id from crm.contacts order by id limit 1")[0]
    step = world.value("select coalesce(max(step_id), 0) from delivery.messages")
    with world.begin() as connection:
        for place, end in enumerate(ends, start=1):
            message = connection.execute(
                sa.text(
                    "insert into delivery.messages (organization_id, channel, contact_id, address,"
                    " step_id, rotation, content_id, queued_at, sent_at, state, bounce) values"
                    " (:organization, 'email', :contact, 'x@example.org', :step, 1, 0, :at, :at,"
                    " :state, :bounce) returning id"
                ),
                {
                    "organization": world.organization,
                    "contact": contact,
                    "step": step + place,
                    "at": at + place * dt.timedelta(hours=1),
                    "state": "delivered" if end == "d" else "bounced",
                    "bounce": {"d": None, "s": "soft", "h": "hard"}[end],
                },
            ).scalar_one()
            connection.execute(
                sa.text("select delivery.suppress_bounced(array[:message], :at)"),
                {"message": message, "at": at + place * dt.timedelta(hours=1)},
            )
    return world.rows("select address, reason, since, until from delivery.suppressions order by id")


@pytest.mark.parametrize(
    ("ends", "third"),
    [("ss", None), ("sss", 3), ("sdsds", 5), ("sdsdds", None), ("ssds", 4), ("ssddds", None)],
)
def test_three_soft_bounces_of_the_last_five_suppress_the_address_for_thirty_days(
    world: World, ends: str, third: int | None
) -> None:
    world.contacts(1, email="x@example.org")
    hour = dt.timedelta(hours=1)
    expected = [] if third is None else [NOW + third * hour]
    assert bounced(world, ends, NOW) == [
        ("x@example.org", "soft_bounce", at, at + 30 * DAY) for at in expected
    ]


def test_a_later_soft_bounce_renews_and_a_delivered_message_does_not_lift(world: World) -> None:
    [contact] = world.contacts(1, email="x@example.org")
    hour = dt.timedelta(hours=1)
    third, later = NOW + 3 * hour, NOW + 2 * DAY + 2 * hour
    bounced(world, "sss", NOW)
    assert bounced(world, "ds", NOW + 2 * DAY) == [
        ("x@example.org", "soft_bounce", third, later + 30 * DAY)
    ]

    def is_held(at: dt.datetime) -> bool:
        found = world.rows(
            "select from delivery.suppression_for(:organization, :contact, 'email',"
            " 'x@example.org', 'marketing', :at)",
            organization=world.organization,
            contact=contact,
            at=at,
        )
        return bool(found)

    until = later + 30 * DAY
    assert [is_held(at) for at in (until - hour, until)] == [True, False]


def test_soft_bounces_leave_a_suppression_without_an_end_as_it_is(world: World) -> None:
    world.contacts(1, email="x@example.org")
    world.suppress_address("x@example.org", "soft_bounce")
    assert bounced(world, "sss", NOW) == [("x@example.org", "soft_bounce", NOW, None)]


def test_a_hard_bounce_suppresses_the_address_for_good(world: World) -> None:
    world.contacts(1, email="x@example.org")
    at = NOW + dt.timedelta(hours=1)
    assert bounced(world, "h", NOW) == [("x@example.org", "hard_bounce", at, None)]


# Reason of a suppression, and whether it keeps a transactional message from its contact or a user.
TRANSACTIONAL = [
    ("unsubscribed", False, False),
    ("complaint", True, False),
    ("do_not_contact", True, False),
    ("soft_bounce", True, False),
    ("hard_bounce", True, True),
]


@pytest.mark.parametrize(("reason", "contact", "user"), TRANSACTIONAL)
def test_transactional_messages_obey_what_concerns_them(
    world: World, reason: str, contact: bool, user: bool
) -> None:
    [number] = world.contacts(1, email="x@example.org")
    world.execute(
        "insert into delivery.suppressions (organization_id, address, channel, reason, since)"
        " values (:organization, 'x@example.org', 'email', :reason, :at)",
        organization=world.organization,
        reason=reason,
        at=NOW,
    )
    found = [
        world.rows(
            "select from delivery.suppression_for(:organization, :contact, 'email',"
            " 'x@example.org', 'transactional', :at)",
            organization=world.organization,
            contact=recipient,
            at=NOW,
        )
        for recipient in (number, None)
    ]
    assert [bool(rows) for rows in found] == [contact, user]
