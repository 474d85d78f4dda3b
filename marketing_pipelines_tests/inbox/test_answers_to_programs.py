"""Answers to the mails of a sequence, from the server of mail to the end of the enrolment."""

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing_pipelines.domains.delivery.bounce_addresses import signature_of
from marketing_pipelines.domains.delivery.message_ids import message_id_of
from marketing_pipelines.domains.leads import lead_writing
from marketing_pipelines.domains.sales.daily.numbers import read_numbers
from marketing_pipelines.secret_keys import secret_key
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.inbox import reports
from marketing_pipelines_tests.inbox.imap_server import ServedFolder
from marketing_pipelines_tests.inbox.world import ANNA, BEN, FIVE_MINUTES, TICK, Mailboxes, mail
from marketing_pipelines_tests.lifecycle.world import move
from marketing_pipelines_tests.programs import Programs
from marketing_pipelines_tests.queueing.consuming import consume

PEOPLE = {"ben": BEN, "kim": "kim@client.example", "lee": "lee@client.example"}
SENT_AT = "Sun, 01 Mar 2026 12:01:00 +0000"
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def sequence(world: Mailboxes) -> int:
    """A sequence that ends with a reply, whose first mail went to ben, kim and lee."""
    world.contacts(*({"external_id": one, "email": PEOPLE[one]} for one in ("kim", "lee")))
    programs = Programs(world.installation, world.organizations["acme"])
    number = programs.program("sequence", "nurture", exit=json.dumps({"event": "replied"}))
    content = json.dumps({"subject": "Hello", "text": "Hello"})
    programs.step("sequence", number, "hello", "send_email", config=content)
    programs.step(
        "sequence", number, "month", "wait", position=2, config=json.dumps({"for": "30d"})
    )
    programs.step("sequence", number, "again", "send_email", position=3, config=content)
    for one in PEOPLE:
        programs.enrol("sequence", number, one, entered_at=TICK - HOUR)
    move(world.installation.engine, TICK, kind="sequence")
    world.execute("update delivery.messages set state = 'sent', sent_at = queued_at")
    world.connect_anna()
    world.sync(TICK)
    return number


def sent_to(world: Mailboxes, contact: str) -> str:
    """The Message-ID of the mail that a contact got."""
    [(number,)] = world.rows(
        "select message.id from delivery.messages as message"
        " join crm.contacts as contact on contact.id = contact_id where external_id = :contact",
        contact=contact,
    )
    signature = signature_of(number, secret_key(get_settings()))
    return message_id_of(number, signature, "ours.example").strip("<>")


def standing(world: Mailboxes, sequence: int) -> dict[str, tuple[Any, ...]]:
    rows = world.rows(
        "select external_id, status, reason from lifecycle.enrolments"
        " join crm.contacts as contact on contact.id = contact_id where program_id = :program",
        program=sequence,
    )
    return {name: (status, reason) for name, status, reason in rows}


def test_a_reply_ends_the_sequence_and_an_absence_note_does_not_and_a_bounce_suppresses(
    world: Mailboxes, sequence: int
) -> None:
    arrived_at = TICK + dt.timedelta(minutes=1)
    world.receive(
        mail(1, headers={"In-Reply-To": f"<{sent_to(world, 'ben')}>"}, date=SENT_AT),
        mail(
            2,
            sender=PEOPLE["kim"],
            date=SENT_AT,
            headers={
                "In-Reply-To": f"<{sent_to(world, 'kim')}>",
                "Auto-Submitted": "auto-replied",
            },
        ),
        reports.report(
            reports.DAEMON,
            reports.fields("5.1.1", "550 5.1.1 User unknown", recipient=PEOPLE["lee"]),
            message_id=sent_to(world, "lee"),
        ),
        at=arrived_at,
    )
    world.sync(TICK + FIVE_MINUTES)
    consume(world.installation.engine, "workflow-bridge")
    move(world.installation.engine, TICK + FIVE_MINUTES, kind="sequence")
    move(world.installation.engine, TICK + 2 * FIVE_MINUTES, kind="sequence")
    found = standing(world, sequence)
    assert found["ben"] == ("exited", "exit")
    assert found["kim"] == ("active", None)
    assert world.rows("select reason, address from delivery.suppressions") == [
        ("hard_bounce", PEOPLE["lee"])
    ]
    assert world.rows(
        "select contact.external_id, state, bounce from delivery.messages"
        " join crm.contacts as contact on contact.id = contact_id order by 1"
    ) == [("ben", "sent", None), ("kim", "sent", None), ("lee", "bounced", "hard")]


def test_a_reply_earns_points_and_the_answer_to_it_is_timed(
    world: Mailboxes, sequence: int
) -> None:
    world.execute(
        "insert into crm.users (organization_id, external_id, name, role, email)"
        " select id, 'anna', 'Anna', 'rep', 'anna@acme.example' from crm.organizations"
        " where external_id = 'acme' on conflict do nothing"
    )
    world.execute(
        "update crm.contacts set owner_id = (select id from crm.users where external_id = 'anna')"
    )
    world.server.folders["Sent"] = ServedFolder()
    world.connect_anna(owner="anna", folders=["INBOX", "Sent"])
    named, kim = {"In-Reply-To": f"<{sent_to(world, 'kim')}>"}, PEOPLE["kim"]
    world.receive(mail(1, sender=kim, headers=named, date=SENT_AT), at=TICK + HOUR)
    answered = "Sun, 01 Mar 2026 15:01:00 +0000"
    world.receive(mail(2, sender=ANNA, to=kim, date=answered), folder="Sent", at=TICK + 4 * HOUR)
    world.sync(TICK + 4 * HOUR)
    consume(world.installation.engine, "workflow-bridge")
    acme, utc = world.organizations["acme"], ZoneInfo("UTC")
    engine = world.installation.engine.execution_options(isolation_level="READ COMMITTED")
    with engine.begin() as connection:
        lead_writing.write_contacts(connection, acme, TICK + 4 * HOUR, utc)
        [response] = read_numbers(connection, TICK.date(), utc)[acme].responses
    assert (response.role, response.hours, response.answers) == ("rep", 3, 1)
    # By the rules that are shipped: 5 for the address, 10 for the one reply.
    assert world.rows("select lead_score from crm.contacts where external_id = 'kim'") == [(15,)]
