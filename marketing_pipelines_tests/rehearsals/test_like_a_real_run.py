"""A rehearsal against a run of the installation itself, tick by tick, over the same days.

The run works every tick of five minutes, also those at which nothing is due.
"""

import datetime as dt
import json
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.delivery import claiming, settling
from marketing_pipelines.domains.delivery.tables import CHANNELS
from marketing_pipelines.domains.lifecycle.program_kinds import declared
from marketing_pipelines.domains.rehearsals.rehearsing import Order, rehearse
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, Steps, at, move
from marketing_pipelines_tests.rehearsals.assumed import write_events
from marketing_pipelines_tests.scale import soak_only

PROGRAMS, DAYS = 50, 2
CONTACTS = 12
TICK = dt.timedelta(minutes=5)
# The night before clocks change.
START = at("03-28 18:00")
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
SETTINGS = [
    {},
    {"frequency_caps": {"day": 1}},
    {"frequency_caps": {"week": 2}, "quiet_hours": {"start": "21:00", "end": "07:30"}},
    {
        "quiet_hours": {"start": "20:00", "end": "08:00"},
        "delivery": {"valid_for": {"marketing": "6h"}},
    },
]
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("send_email", {"subject": "s", "text": "t"}),
    ("send_email", {"subject": "s", "text": "t", "kind": "transactional"}),
    ("send_sms", {"text": "t"}),
    ("send_push", {"title": "t", "text": "t"}),
    ("wait", {"for": "90min"}),
    ("wait", {"for": "1d"}),
    ("wait", {"until": {"at": "02:30"}}),
    ("wait_for", {"event": "clicked", "timeout": "7h", "no": "end"}),
    ("branch", {"rule": {"event": "opened"}, "no": "end"}),
    ("exit", {}),
]


def steps_of(dice: Random) -> Steps:
    """Some steps, of which the first sends."""
    chosen = [STEPS[0], *(dice.choice(STEPS[:-1]) for _ in range(7)), STEPS[-1]]
    return [(f"s{place}", kind, config) for place, (kind, config) in enumerate(chosen)]


def assumed(dice: Random, path: Path) -> list[tuple[str, str, dt.datetime]]:
    """Opens and clicks of the contacts, also as a file."""
    events = [
        (f"c{1 + dice.randrange(CONTACTS)}", dice.choice(["opened", "clicked"]), at_second(dice))
        for _ in range(2 * CONTACTS)
    ]
    write_events(path, events)
    return events


def at_second(dice: Random) -> dt.datetime:
    """An instant of the days."""
    return START + dt.timedelta(seconds=dice.randrange(DAYS * 86_400))


def send_due(engine: sa.Engine, now: dt.datetime) -> None:
    """Sends every message that may go."""
    for channel in CHANNELS:
        while True:
            with engine.begin() as connection:
                settling.prepare(connection, now.date())
                claimed = claiming.claim(
                    connection,
                    channel,
                    limit=1_000,
                    lease=TICK,
                    now=now,
                    zone=ZoneInfo("UTC"),
                )
                ends = [settling.ended(one, "sent", sent_at=now) for one in claimed.messages]
                settling.settle(connection, ends)
            if not claimed.judged:
                break


def messages(world: ProgramWorld) -> list[tuple[Any, ...]]:
    """The messages of the run: contact, step, instant, state, reason."""
    return world.rows(
        "select contact.external_id, step.external_id, coalesce(message.sent_at, message.due_at),"
        " message.channel || ' ' || message.state from delivery.messages as message"
        " join crm.contacts as contact on contact.id = message.contact_id"
        " join lifecycle.steps as step on step.id = message.step_id order by 1, 2, 3"
    )


@pytest.mark.soak
@soak_only
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_messages_are_those_of_a_run_of_every_tick(
    installation: Installation, tmp_path: Path, seed: int
) -> None:
    dice = Random(seed)
    world = ProgramWorld(installation.engine)
    program = world.program(steps_of(dice), status="draft")
    contacts = [world.contacts(1, timezone=dice.choice(ZONES))[0] for _ in range(CONTACTS)]
    world.enrol(program, contacts, START)
    world.execute(
        "update crm.organizations set settings = cast(:settings as jsonb)",
        settings=json.dumps(dice.choice(SETTINGS)),
    )
    world.execute(
        "insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)"
        " select organization_id, id, 'email', 'unsubscribed', '2026-01-01' from crm.contacts"
        " where external_id = 'c3'"
    )
    path = tmp_path / "assumed.jsonl"
    events = sorted(assumed(dice, path), key=lambda event: event[2])
    order = Order(
        kind=declared()["campaign"],
        name="welcome",
        organization_id=world.organization_id,
        starts_at=START,
        days=DAYS,
        events=path,
    )
    found = rehearse(installation.engine, installation.settings, order)

    world.execute("update campaigns.campaigns set status = 'active', resumed_at = :at", at=START)
    numbers = dict(zip((f"c{n}" for n in range(1, CONTACTS + 1)), contacts, strict=True))
    now = START
    while now < START + dt.timedelta(days=DAYS):
        while events and events[0][2] <= now:
            contact, kind, instant = events.pop(0)
            world.event([numbers[contact]], kind, instant)
        move(world.engine, now)
        send_due(world.engine, now)
        now += TICK
    expected = messages(world)
    assert sorted(
        (one.contact, one.step, one.at, one.what)
        for one in found.timelines
        if one.what.split()[0] in CHANNELS
    ) == sorted(expected)
    assert len(expected) >= CONTACTS
