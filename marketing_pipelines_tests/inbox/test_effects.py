"""Activities and events of mail, and messages that came back."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.delivery.bounce_addresses import bounce_address, signature_of
from marketing_pipelines.domains.delivery.message_ids import message_id_of
from marketing_pipelines.domains.inbox import effects
from marketing_pipelines.domains.inbox.mailboxes import open_mailbox
from marketing_pipelines.domains.inbox.mails import read_mail
from marketing_pipelines.domains.inbox.storing import Cursor, Placed, store
from marketing_pipelines.secret_keys import secret_key
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.inbox import reports
from marketing_pipelines_tests.inbox.world import ANNA, BEN, TICK, mail
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.world import Connected

HOUR = dt.timedelta(hours=1)
ARRIVED_AT = TICK + HOUR
SENT_AT = dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)
BASE = "bounces@ours.example"


class Arrivals(Connected):
    """The mailbox of anna, connected at the tick, and the contact ben; no server."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(installation)
        self.contacts({"external_id": "ben", "email": BEN})
        self._last_uid = 0
        self.connect_anna()

    def connect_anna(self, **fields: Any) -> None:
        """Sets the connection and reads its mailbox for the first time."""
        own = self.connect("imap", host="mail.acme.example", address=ANNA, password="x", **fields)
        with self.installation.engine.begin() as connection:
            self.mailbox = open_mailbox(connection, get_settings(), own, TICK)

    def arrive(
        self, *raws: bytes, at: dt.datetime = ARRIVED_AT, now: dt.datetime = ARRIVED_AT
    ) -> None:
        """Stores a batch of mails with their effects, as a tick does."""
        placed = []
        for raw in raws:
            self._last_uid += 1
            read = read_mail(raw)
            placed.append(Placed(self._last_uid, at, read.identity, read))
        cursor = Cursor("INBOX", 1, self._last_uid, 1, is_complete=True)
        engine = self.installation.engine.execution_options(isolation_level="READ COMMITTED")
        with engine.begin() as connection:
            effects.apply(
                connection,
                store(connection, self.mailbox, cursor, placed),
                organization_id=self.mailbox.organization_id,
                owner_id=self.mailbox.owner_id,
                owner_address=ANNA,
                connected_at=self.mailbox.connected_at,
                now=now,
                settings=get_settings(),
            )


@pytest.fixture
def mails(shared_installation: Installation) -> Arrivals:
    """A mailbox without mail, and no message."""
    return Arrivals(shared_installation)


def message(mails: Arrivals, contact: str = "ben", **columns: Any) -> int:
    """A mail of ours that was sent to a contact; returns its number."""
    given = {"state": "sent", "sent_at": TICK - HOUR, "queued_at": TICK - HOUR, **columns}
    names, values = ", ".join(given), ", ".join(f":{name}" for name in given)
    statement = (
        "insert into delivery.messages (organization_id, contact_id, address, channel, content_id,"
        f" rotation, {names}) select organization_id, id, delivery.address_of('email', email),"
        f" 'email', 1, (select count(*) from delivery.messages), {values} from crm.contacts"
        " where external_id = :contact returning id"
    )
    with mails.installation.engine.begin() as connection:
        return int(
            connection.execute(sa.text(statement), {**given, "contact": contact}).scalar_one()
        )


def events(mails: Arrivals) -> list[tuple[Any, ...]]:
    """Type, contact, subject of the mail and instant of the events of mail."""
    return mails.rows(
        "select event.type, contact.external_id, mail.subject,"
        " (event.payload ->> 'at')::timestamptz"
        " from ops.bus_events as event join crm.contacts as contact on contact.id = contact_id"
        " join inbox.email_messages as mail on mail.id = (event.payload ->> 'message')::bigint"
        " where event.type like 'email.%' order by event.id"
    )


def types(mails: Arrivals) -> list[str]:
    return [row[0] for row in events(mails)]


def activities(mails: Arrivals) -> list[tuple[Any, ...]]:
    return mails.rows(
        "select activity.direction, contact.external_id, users.external_id, activity.subject,"
        " activity.text, activity.occurred_at from crm.activities as activity"
        " left join crm.contacts as contact on contact.id = contact_id"
        " left join crm.users as users on users.id = user_id"
        " where kind = 'email' and activity.source = 'mailbox' order by activity.id"
    )


def settled(mails: Arrivals, number: int) -> tuple[Any, ...]:
    """State, bounce and reason of a message."""
    [row] = mails.rows(
        "select state, bounce, reason from delivery.messages where id = :id", id=number
    )
    return row


def suppressed(mails: Arrivals) -> list[tuple[Any, ...]]:
    return mails.rows(
        "select distinct reason, address from delivery.suppressions where address is not null"
        " order by 1, 2"
    )


def test_a_mail_of_a_contact_is_an_activity_and_an_event(mails: Arrivals) -> None:
    mails.arrive(mail(1))
    assert events(mails) == [("email.received", "ben", "Mail 1", SENT_AT)]
    assert activities(mails) == [("in", "ben", None, "Mail 1", "Hello 1", SENT_AT)]


def test_a_mail_is_stored_once_and_has_its_effects_once(mails: Arrivals) -> None:
    mails.arrive(mail(1), mail(1))
    mails.arrive(mail(1))
    assert types(mails) == ["email.received"]
    assert len(activities(mails)) == 1


ARRIVED, REPLIED, FORWARDED = "email.received", "email.replied", "email.forwarded"
NAMED = (
    ({"In-Reply-To": "<message.{}@ours.example>"}, [ARRIVED, REPLIED]),
    ({"References": "<a@b.example> <message.{}@ours.example>"}, [ARRIVED, REPLIED]),
    ({"References": "<message.{}@ours.example>", "Subject": "Fwd: A"}, [ARRIVED, FORWARDED]),
    ({"In-Reply-To": "<message.{}.0123456789abcdef@ours.example>"}, [ARRIVED, REPLIED]),
    ({"In-Reply-To": "<message.{}.x@ours.example>"}, [ARRIVED]),
    ({"In-Reply-To": "<ses-17@eu.amazonses.example>"}, [ARRIVED, REPLIED]),
    ({"Subject": "Fwd: Offer"}, [ARRIVED]),
    ({"In-Reply-To": "<other@client.example>"}, [ARRIVED]),
    ({"In-Reply-To": "<message.{}0@ours.example>"}, [ARRIVED]),
    ({"In-Reply-To": "<message.{}@ours.example>", "Auto-Submitted": "auto-replied"}, []),
    ({"Subject": "Automatic reply: Offer"}, []),
)


def test_a_reply_names_our_message_and_an_answer_of_a_program_is_none(mails: Arrivals) -> None:
    number = message(mails, provider_message_id="ses-17")
    mails.arrive(
        *(
            mail(place, headers={name: value.format(number) for name, value in headers.items()})
            for place, (headers, _) in enumerate(NAMED)
        )
    )
    found = mails.rows(
        "select mail.message_id, array_agg(type order by event.id) from ops.bus_events as event"
        " join inbox.email_messages as mail on mail.id = (payload ->> 'message')::bigint group by 1"
    )
    assert dict(found) == {
        f"m{place}@client.example": expected
        for place, (_, expected) in enumerate(NAMED)
        if expected
    }
    assert len(activities(mails)) == len(found)


def test_a_reply_to_the_message_of_another_organization_is_none(mails: Arrivals) -> None:
    mails.contacts({"external_id": "eve", "email": "eve@x.example"}, organization="umbra")
    number = message(mails, "eve")
    mails.arrive(mail(1, headers={"In-Reply-To": f"<message.{number}@ours.example>"}))
    assert types(mails) == ["email.received"]


@pytest.mark.parametrize("reply_first", [True, False])
def test_a_reply_to_a_mail_of_the_owner_counts_once_whichever_is_read_first(
    mails: Arrivals, reply_first: bool
) -> None:
    sent = mail(1, sender=ANNA, to=BEN)
    reply = mail(2, headers={"In-Reply-To": "<m1@client.example>"})
    for one in (reply, sent) if reply_first else (sent, reply):
        mails.arrive(one)
    assert types(mails) == ["email.received", "email.replied"]
    assert [row[2] for row in events(mails)] == ["Mail 2", "Mail 2"]
    again = mail(3, sender=ANNA, to=BEN, headers={"References": "<m1@client.example>"})
    mails.arrive(again)
    assert types(mails) == ["email.received", "email.replied"]


def test_of_contacts_with_one_address_the_event_is_of_the_one_that_our_message_went_to(
    mails: Arrivals,
) -> None:
    mails.contacts({"external_id": "ben2", "email": BEN.upper()})
    number = message(mails, "ben2")
    named = {"In-Reply-To": f"<message.{number}@ours.example>"}
    mails.arrive(mail(1), mail(2, headers=named, date="Sun, 01 Mar 2026 10:00:01 +0000"))
    assert [row[:2] for row in events(mails)] == [
        ("email.received", "ben"),
        ("email.received", "ben2"),
        ("email.replied", "ben2"),
    ]


def test_a_mail_of_the_owner_is_an_activity_of_each_contact_and_no_event(
    mails: Arrivals,
) -> None:
    mails.contacts({"external_id": "kim", "email": "kim@client.example"})
    mails.execute(
        "insert into crm.users (organization_id, external_id, name, role, email)"
        " select id, 'anna', 'Anna', 'rep', 'Anna@acme.example' from crm.organizations"
        " where external_id = 'acme' on conflict do nothing"
    )
    mails.connect_anna(owner="anna")
    ours = message(mails)
    mails.arrive(
        mail(1, sender=ANNA, to=f"{BEN}, kim@client.example, stranger@else.example"),
        # A copy of a message of ours, which the timeline has already.
        mail(2, sender=ANNA, to=BEN, message_id=f"<message.{ours}@ours.example>"),
        mail(4, sender=ANNA, to=BEN, message_id=f"<{own_id(ours)}>"),
        mail(3),
    )
    assert [row[:4] for row in activities(mails)] == [
        ("out", "ben", "anna", "Mail 1"),
        ("out", "kim", "anna", "Mail 1"),
        ("in", "ben", "anna", "Mail 3"),
    ]
    assert types(mails) == ["email.received"]


def test_of_mail_from_before_the_connection_only_young_one_publishes_events(
    mails: Arrivals,
) -> None:
    mails.execute(
        """update crm.organizations set settings = '{"triggers": {"latest_event_hours": 24}}'"""
    )

    def dated(number: int, at: dt.datetime) -> bytes:
        return mail(number, date=f"{at:%a, %d %b %Y %H:%M:%S} +0000")

    old = TICK - dt.timedelta(hours=24)
    mails.arrive(dated(1, old), dated(2, old + dt.timedelta(seconds=1)), at=old, now=TICK)
    assert sorted(row[3] for row in activities(mails)) == ["Mail 1", "Mail 2"]
    assert [row[2] for row in events(mails)] == []
    mails.arrive(dated(3, TICK), at=TICK - HOUR, now=TICK)
    # Later mail publishes them however late it is read.
    mails.arrive(dated(4, TICK), at=TICK, now=TICK + dt.timedelta(days=9))
    assert [row[2] for row in events(mails)] == ["Mail 3", "Mail 4"]


def test_a_date_in_the_future_is_that_of_the_arrival(mails: Arrivals) -> None:
    mails.arrive(mail(1, date="Tue, 01 Jan 2030 00:00:00 +0000"))
    assert events(mails) == [("email.received", "ben", "Mail 1", TICK + HOUR)]


def own_id(number: int, key: str | None = None) -> str:
    """The Message-ID of a message."""
    signature = signature_of(number, key or secret_key(get_settings()))
    return message_id_of(number, signature, "ours.example").strip("<>")


def bounce(
    message_id: str = "none@ours.example",
    to: str = ANNA,
    recipient: str = BEN,
    status: str = "5.1.1",
) -> bytes:
    return reports.report(
        reports.DAEMON,
        reports.fields(status, f"550 {status} said so", recipient=recipient),
        to=to,
        message_id=message_id,
    )


def test_a_bounce_settles_its_message_and_suppresses_the_address(mails: Arrivals) -> None:
    number = message(mails)
    mails.arrive(bounce(own_id(number)))
    assert settled(mails, number) == ("bounced", "hard", "5.1.1 smtp; 550 5.1.1 said so")
    assert suppressed(mails) == [("hard_bounce", BEN)]
    assert types(mails) == []
    assert activities(mails) == []
    assert mails.rows("select is_bounce, direction from inbox.email_messages") == [(True, None)]
    assert mails.rows(
        "select event_type, properties ->> 'bounce_type' from analytics.contact_activity"
        f" where event_id = 'message:{number}:bounced'"
    ) == [("bounced", "hard")]


def test_other_refusals_settle_the_message_and_suppress_nobody(mails: Arrivals) -> None:
    expected = {
        "5.2.2": ("bounced", "soft"),
        "4.4.7": ("bounced", "soft"),
        "5.7.1": ("failed", None),
        "5.2.3": ("failed", None),
    }
    numbers = {status: message(mails) for status in expected}
    mails.arrive(*(bounce(own_id(number), status=status) for status, number in numbers.items()))
    found = {status: settled(mails, number)[:2] for status, number in numbers.items()}
    assert found == expected
    assert suppressed(mails) == []


def signed(number: int) -> str:
    return bounce_address(BASE, number, secret_key(get_settings()))


def set_bounce_address(mails: Arrivals) -> None:
    mails.execute(
        "update crm.organizations set settings = jsonb_build_object('delivery',"
        " jsonb_build_object('bounce_address', cast(:base as text)))",
        base=BASE,
    )


def test_the_signed_address_proves_a_bounce_that_names_another_recipient(
    mails: Arrivals,
) -> None:
    set_bounce_address(mails)
    number = message(mails)
    forwarded = bounce(to=signed(number), recipient="ben@his-provider.example")
    mails.arrive(forwarded)
    assert settled(mails, number)[:2] == ("bounced", "hard")
    assert suppressed(mails) == [("hard_bounce", BEN)]


def test_the_signed_message_id_proves_what_hides_the_recipient(mails: Arrivals) -> None:
    number, other = message(mails), message(mails)
    mails.arrive(
        bounce(own_id(number), recipient="ben@his-provider.example"),
        reports.complaint("fbl@x.example", "abuse", recipient="", message_id=own_id(other)),
    )
    assert settled(mails, number)[:2] == ("bounced", "hard")
    assert suppressed(mails) == [("complaint", BEN), ("hard_bounce", BEN)]


def test_a_message_id_of_the_provider_proves_a_bounce_to_the_recipient(mails: Arrivals) -> None:
    number = message(mails, provider_message_id="0102-ses")
    for recipient, state in (("kim@client.example", "sent"), (BEN, "bounced")):
        mails.arrive(bounce("0102-ses@email.ses.example", recipient=recipient))
        assert settled(mails, number)[0] == state


def test_of_several_recipients_the_part_of_the_own_one_counts(mails: Arrivals) -> None:
    set_bounce_address(mails)
    number, other = message(mails), message(mails)
    parts = (
        reports.fields("5.1.1", recipient="first@client.example"),
        reports.fields("5.2.2", recipient=BEN),
    )
    mails.arrive(reports.report(reports.DAEMON, *parts, to=signed(number)))
    assert settled(mails, number)[:2] == ("bounced", "soft")
    # If no part is about our own recipient, the mildest counts.
    parts = (
        reports.fields("5.1.1", recipient="first@client.example"),
        reports.fields("2.0.0", action="delivered", recipient="second@client.example"),
    )
    headers = "X-Number: 2\n"
    mails.arrive(reports.report(reports.DAEMON, *parts, to=signed(other), headers=headers))
    assert settled(mails, other)[0] == "sent"
    assert suppressed(mails) == []


def test_a_forged_bounce_changes_nothing(mails: Arrivals) -> None:
    mails.contacts({"external_id": "eve", "email": "eve@x.example"}, organization="umbra")
    set_bounce_address(mails)
    number, theirs = message(mails), message(mails, "eve")
    address, unsigned = signed(number), f"message.{number}@ours.example"
    forged = (
        # Another's signature, that of another key, none, and the address without a plus sign.
        bounce(to=address.replace(f"+{number}.", f"+{number + 1}.")),
        bounce(to=bounce_address(BASE, number, "another key")),
        bounce(to=f"bounces+{number}@ours.example"),
        bounce(to=BASE),
        # A known number and recipient without a signature, as mails of former releases have, with
        # another's, with that of another key, and with a part of its own.
        bounce(unsigned),
        bounce(own_id(number + 1).replace(f".{number + 1}.", f".{number}.")),
        bounce(own_id(number, "another key")),
        bounce(own_id(number).replace("@", "0@")),
        # Those of an unknown message and of another organization.
        bounce(own_id(number + 100)),
        bounce(own_id(theirs), recipient="eve@x.example"),
        reports.complaint("fbl@x.example", "abuse", recipient=BEN, message_id=unsigned),
    )
    mails.arrive(*forged)
    assert mails.rows("select count(*) from inbox.email_messages where is_bounce") != [(0,)]
    assert settled(mails, number)[0] == settled(mails, theirs)[0] == "sent"
    assert suppressed(mails) == []
    assert mails.rows("select count(*) from delivery.message_events") == [(0,)]


def test_a_complaint_suppresses_and_other_feedback_does_not(mails: Arrivals) -> None:
    people = {"abuse": "kim", "opt-out": "lee", "not-spam": "max"}
    mails.contacts(*({"external_id": one, "email": f"{one}@x.example"} for one in people.values()))
    numbers = {feedback: message(mails, one) for feedback, one in people.items()}
    mails.arrive(
        *(
            reports.complaint(
                "fbl@x.example",
                feedback,
                recipient=f"{people[feedback]}@x.example",
                message_id=own_id(number),
            )
            for feedback, number in numbers.items()
        )
    )
    assert suppressed(mails) == [("complaint", "kim@x.example"), ("unsubscribed", "lee@x.example")]
    assert {settled(mails, number)[0] for number in numbers.values()} == {"sent"}


def test_a_bounce_that_arrives_twice_counts_once(mails: Arrivals) -> None:
    number = message(mails)
    mails.arrive(bounce(own_id(number)))
    mails.execute("truncate inbox.email_messages cascade")
    mails.arrive(bounce(own_id(number)))
    assert mails.rows("select count(*) from inbox.email_messages where is_bounce") == [(1,)]
    assert mails.rows("select count(*) from delivery.message_events") == [(1,)]


def test_the_date_of_a_stranger_is_believed_for_a_week(mails: Arrivals) -> None:
    dates = (
        "Thu, 01 Jan 1998 10:00:00 +0000",
        "Mon, 23 Feb 2026 10:00:00 +0000",
        "Wed, 01 Jan 2036 10:00:00 +0000",
    )
    mails.arrive(*(mail(number, date=date) for number, date in enumerate(dates)))
    week_ago = ARRIVED_AT - dt.timedelta(days=7)
    assert {row[2]: row[3] for row in events(mails)} == {
        "Mail 0": week_ago,
        "Mail 1": dt.datetime(2026, 2, 23, 10, tzinfo=dt.UTC),
        "Mail 2": ARRIVED_AT,
    }


def test_of_several_mails_that_a_bounce_gives_back_the_first_counts(mails: Arrivals) -> None:
    first, number = message(mails), message(mails)
    mails.execute("update delivery.messages set address = 'kim@x.example' where id = :id", id=first)
    given = [reports.returned(own_id(one)) for one in (number + 5, number, first)]
    parts = "".join(f"--b\nContent-Type: text/rfc822-headers\n\n{one}\n" for one in given)
    status = f"Final-Recipient: rfc822; {BEN}\nAction: failed\nStatus: 5.1.1\n"
    mails.arrive(
        (
            f"From: {reports.DAEMON}\nTo: {ANNA}\nSubject: Delivery report\n"
            "Date: Sun, 01 Mar 2026 10:00:00 +0000\nContent-Type: multipart/report;"
            " report-type=delivery-status; boundary=b\n\n--b\nContent-Type:"
            " message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"
            f"{status}\n{parts}--b--\n"
        ).encode()
    )
    assert settled(mails, number)[0] == "sent"
    assert suppressed(mails) == []
