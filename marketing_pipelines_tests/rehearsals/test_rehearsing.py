"""Rehearsals: the same messages as in a real run, and nothing of the installation changes."""

import datetime as dt
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle.program_kinds import declared
from marketing_pipelines.domains.rehearsals.outcome import Rehearsal
from marketing_pipelines.domains.rehearsals.rehearsing import Order, rehearse
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores.postgres import committing_each
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.lifecycle.test_campaign_by_hand import STEPS, fifty_contacts
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at
from marketing_pipelines_tests.rehearsals.assumed import write_events
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until


def order(world: ProgramWorld, **options: object) -> Order:
    """Ten days of the program from 2 March, 10:05 on."""
    given = {
        "kind": declared()["campaign"],
        "name": "welcome",
        "organization_id": world.organization_id,
        "starts_at": at("03-02 10:01"),
        "days": 10,
    }
    return Order(**(given | options))  # type: ignore[arg-type]


def outcomes(found: Rehearsal) -> dict[tuple[str, str], int]:
    """Contacts by step and outcome."""
    return {(one.step, one.outcome): one.contacts for one in found.steps}


def sent(found: Rehearsal) -> dict[str, int]:
    """Messages that leave, by step."""
    counts: dict[str, int] = {}
    for one in found.messages:
        if one.state == "sent":
            counts[one.step] = counts.get(one.step, 0) + one.messages
    return counts


def state_of(engine: sa.Engine) -> list[tuple[object, ...]]:
    """The hash of every table of the business schemas."""
    with engine.connect() as connection:
        tables = connection.exec_driver_sql(
            "select schemaname || '.' || tablename from pg_tables where schemaname in"
            " ('crm', 'campaigns', 'lifecycle', 'segments', 'delivery', 'analytics', 'journey',"
            " 'ops') order by 1"
        ).scalars()
        return [
            (
                table,
                connection.exec_driver_sql(
                    f"select md5(string_agg(one::text, ',' order by one::text)) from {table} as one"
                ).scalar(),
            )
            for table in tables.all()
        ]


def test_a_campaign_of_eight_steps_goes_as_it_would_by_hand(
    installation: Installation, tmp_path: Path
) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program(STEPS, status="draft", started_at=at("01-01 00:00"))
    contacts = fifty_contacts(world)
    world.enrol(program, contacts, at("03-02 10:00"))
    events = [
        *((f"c{n}", "opened", at("03-02 12:00")) for n in range(1, 21)),
        *((f"c{n}", "clicked", at("03-03 10:07")) for n in range(1, 4)),
        *((f"c{n}", "clicked", at("03-05 10:04:59")) for n in range(4, 9)),
        ("c9", "clicked", at("03-05 10:05")),
    ]
    path = tmp_path / "assumed.jsonl"
    write_events(path, events)
    before = state_of(installation.engine)
    found = rehearse(installation.engine, installation.settings, order(world, events=path))
    assert state_of(installation.engine) == before
    assert outcomes(found) == {
        ("hello", "done"): 50,
        ("pause", "done"): 50,
        ("opened", "yes"): 20,
        ("opened", "no"): 30,
        ("link", "yes"): 8,
        ("link", "no"): 12,
        ("text", "done"): 41,
        ("text", "skipped"): 1,
        ("app", "done"): 8,
        ("stage", "done"): 8,
        ("stop", "exited"): 8,
    }
    assert sent(found) == {"hello": 50, "text": 41, "app": 8}
    assert found.problems == []
    first = [(one.step, one.what) for one in found.timelines if one.contact == "c1"]
    assert first == [
        ("hello", "done"),
        ("hello", "email sent"),
        ("pause", "done"),
        ("opened", "yes"),
        ("link", "yes"),
        ("app", "done"),
        ("app", "push sent"),
        ("stage", "done"),
        ("stop", "exited"),
        (None, "exited"),
    ]


def databases(world: ProgramWorld) -> list[str]:
    """The scratch databases of the installation."""
    prefix = f"{world.engine.url.database}_rehearsal_"
    found = world.rows(
        "select datname from pg_database where starts_with(datname, :prefix)", prefix=prefix
    )
    return [name for (name,) in found]


@pytest.mark.soak
@soak_only
def test_a_killed_rehearsal_is_removed_by_the_next(installation: Installation) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program([("hello", "send_email", {"subject": "Hello", "text": "Hi"})])
    world.enrol(program, world.contacts(1), at("03-02 10:00"))
    killed = Forked(
        "marketing_pipelines",
        "program",
        "rehearse",
        "campaign",
        "welcome",
        "--organization",
        "acme",
    )
    until(lambda: databases(world) != [], what="the scratch database to be made")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    left = databases(world)
    assert len(left) == 1
    found = rehearse(installation.engine, installation.settings, order(world, days=1))
    assert sent(found) == {"hello": 1}
    assert databases(world) == []
    assert world.messages() == {}


def test_rehearsals_at_once_do_not_disturb_each_other(installation: Installation) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program([("hello", "send_email", {"subject": "Hello", "text": "Hi"})])
    world.enrol(program, world.contacts(1), at("03-02 10:00"))
    with ThreadPoolExecutor(3) as pool:
        under_way = [
            pool.submit(rehearse, installation.engine, installation.settings, order(world, days=1))
            for _ in range(3)
        ]
    assert [sent(one.result()) for one in under_way] == [{"hello": 1}] * 3
    assert databases(world) == []


def test_the_command_prints_who_gets_what_when(installation: Installation) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program(
        [
            ("hello", "send_email", {"subject": "Hello", "text": "Hi"}),
            ("pause", "wait", {"for": "1d"}),
            ("app", "send_push", {"title": "New", "text": "Welcome"}),
        ]
    )
    contacts = world.contacts(2)
    world.enrol(program, contacts, at("03-02 10:00"))
    # Numbers of events of the rehearsal follow those of the copied ones, also at one instant.
    world.event(contacts, "opened", at("03-02 10:05"))
    words = ("program", "rehearse", "campaign", "welcome", "--organization", "acme")
    done = call_here(*words, "--from", "2026-03-02T10:01:00Z", "--days", "3")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0].startswith(
        "campaign welcome of acme with 2 contacts from 2026-03-02 10:05Z to 2026-03-05 10:05Z ("
    )
    assert "hello send_email done 2 2026-03-02 10:05Z 2026-03-02 10:05Z" in lines
    assert "app push sent 2" in lines
    assert "2026-03-03 app push 2" in lines
    assert "completed 2" in lines
    assert "c2 2026-03-03 10:05Z app push sent" in lines
    both = call_here(*words, "--contacts", "2", "--contact", "c1")
    assert (both.returncode, both.stderr) == (
        2,
        "marketing-pipelines: Give --contacts or --contact, not both.\n",
    )


def test_faults_are_said_before_anybody_is_mailed(installation: Installation) -> None:
    world = ProgramWorld(installation.engine)
    mail = {"subject": "Hello", "text": "Hi"}
    program = world.program(
        [
            ("first", "send_email", mail),
            ("second", "send_email", mail),
            ("third", "send_email", mail),
            ("pause", "wait", {"for": "30d"}),
            ("who", "branch", {"rule": {"segment": "gone"}}),
        ],
        status="draft",
    )
    contacts = world.contacts(4, timezone="Europe/Berlin")
    world.enrol(program, contacts, at("03-02 10:00"))
    world.execute("""update crm.organizations set settings = '{"frequency_caps": {"day": 1}}'""")
    # One that a killed rehearsal left.
    with committing_each(installation.engine) as connection:
        connection.exec_driver_sql(
            f'create database "{installation.engine.url.database}_rehearsal_0123abcd"'
        )
    found = rehearse(installation.engine, installation.settings, order(world, days=40))
    assert databases(world) == []
    assert sent(found) == {"first": 4, "second": 4, "third": 4}
    assert found.problems == [
        "campaign welcome of acme, step who: rule.segment: there is no segment 'gone'."
    ]
    waiting = [one for one in found.steps if one.outcome == "waiting"]
    assert [(one.step, one.contacts) for one in waiting] == [("who", 4)]
    late = {one.step: (one.late, one.late_by) for one in found.messages}
    assert late["first"] == (0, None)
    assert late["second"] == (4, dt.timedelta(days=1))
    notes = "\n".join(found.notes)
    assert "It is draft; it is rehearsed as if it were activated at the beginning." in notes
    assert "8 of 12 messages leave later than their step." in notes
    assert "the contact has had as many messages as its caps allow" in notes
    assert "Clocks change in Europe/Berlin at 2026-03-29 01:00 UTC (4 contacts)" in notes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"contacts": 0}, "--contacts 0: give 1 to 100,000."),
        ({"days": 401}, "--days 401: give 1 to 400."),
        (
            {"name": "nothing"},
            "There is no campaign 'nothing': give its external id or its number.",
        ),
        ({"contact": "nobody"}, "There is no contact 'nobody'"),
        ({}, "Nobody would enter campaign welcome: it has no enrolled contact and no enabled"),
    ],
)
def test_wrong_orders_are_refused(
    installation: Installation, options: dict[str, object], sentence: str
) -> None:
    world = ProgramWorld(installation.engine)
    world.program([("hello", "send_email", {"subject": "Hello", "text": "Hi"})])
    with pytest.raises(BadInputError, match=re.escape(sentence)):
        rehearse(installation.engine, installation.settings, order(world, **options))
