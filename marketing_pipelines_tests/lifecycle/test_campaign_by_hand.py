"""One campaign of eight steps over fifty contacts, small enough to be checked by hand.

1 hello   mail                              50 contacts: c1–c50
2 pause   wait 1 day
3 opened  branch: opened the mail?          c1–c20 did; the others go on to `text`
4 link    wait for a click, 2 days          of c1–c20, c1–c8 click; yes → `app`, no → `text`
5 text    SMS, then the end                 c21–c50 and c9–c20; c50 has no phone, and
                                            passes the step, or leaves a sequence
6 app     push                              c1–c8
7 stage   update: lifecycle_stage = mql     c1–c8
8 stop    exit                              c1–c8
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.lifecycle.world import ProgramWorld, at

STEPS = [
    ("hello", "send_email", {"subject": "Hello", "text": "Hello {{ first_name }}"}),
    ("pause", "wait", {"for": "1d"}),
    ("opened", "branch", {"rule": {"event": "opened"}, "yes": "link", "no": "text"}),
    ("link", "wait_for", {"event": "clicked", "timeout": "2d", "yes": "app", "no": "text"}),
    ("text", "send_sms", {"text": "Have a look", "next": "end"}),
    ("app", "send_push", {"title": "New", "text": "Welcome"}),
    ("stage", "update_contact", {"set": {"lifecycle_stage": "mql", "source": "welcome"}}),
    ("stop", "exit", {"reason": "converted"}),
]


@pytest.mark.parametrize("kind", ["campaign", "sequence"])
def test_fifty_contacts_go_through_eight_steps(pooled_engine: sa.Engine, kind: str) -> None:
    world = ProgramWorld(pooled_engine)
    program = world.program(STEPS, kind=kind)
    contacts = fifty_contacts(world)
    world.enrol(program, contacts, at("03-02 10:00"), kind=kind)
    go_through(world, program, contacts, kind, lambda tick: world.move(tick, kind=kind))


def test_members_of_a_segment_go_through_the_same_steps_as_a_journey(
    installation: Installation,
) -> None:
    world = ProgramWorld(installation.engine)
    program = world.program(STEPS, kind="journey", started_at=at("03-01 00:00"))
    world.execute(
        "insert into segments.segments (organization_id, external_id, rule)"
        """ select id, 'welcomed', '{"attribute": "city", "op": "exists"}'"""
        " from crm.organizations"
    )
    world.execute(
        "insert into lifecycle.triggers (organization_id, program_kind, program_id, external_id,"
        " type, segment_id, policy) select organization_id, 'journey', :program, 'in', 'segment',"
        " id, 'each_entry' from segments.segments",
        program=program,
    )
    # The segment is there first; nobody is in it yet.
    world.contacts(1, attributes='{"city": null}')
    installation.run("segments/memberships", at=at("03-02 09:00"))
    installation.run("journeys/segment_entries", at=at("03-02 09:00"), only=True)
    contacts = fifty_contacts(world)
    installation.run("segments/memberships", at=at("03-02 10:00"))
    for _ in range(2):
        installation.run("journeys/segment_entries", at=at("03-02 10:00"), only=True)

    def move(tick: dt.datetime) -> None:
        installation.run("journeys/step_progress", at=tick, only=True)

    go_through(world, program, contacts, "journey", move)


def fifty_contacts(world: ProgramWorld) -> list[int]:
    """Contacts with an address of each kind, but for the last, who has no phone."""
    contacts = world.contacts(50, attributes='{"city": "Bern"}')
    world.execute(
        "update crm.contacts set attributes = attributes || jsonb_build_object('push_token', id)"
    )
    world.execute("update crm.contacts set phone = null where id = :last", last=contacts[-1])
    return contacts


def go_through(
    world: ProgramWorld,
    program: int,
    contacts: list[int],
    kind: str,
    do: Callable[[dt.datetime], object],
) -> None:
    """The story above, tick by tick."""

    def move(tick: str) -> dict[str, int]:
        do(at(tick))
        return world.standing(program, kind=kind)

    left = 1 if kind == "sequence" else 0
    gone = {"exited": left} if left else {}
    assert world.standing(program, kind=kind) == {"entrance": 50}
    # Monday 10:05: everybody gets the mail and waits a day from then.
    assert move("03-02 10:05") == {"pause": 50}
    assert world.messages() == {"hello": 50}
    # Twenty open it; nothing happens before the day is over.
    world.event(contacts[:20], "opened", at("03-02 12:00"))
    assert move("03-03 10:00") == {"pause": 50}
    # Tuesday 10:05: those who opened wait for a click; the others get the text and are through.
    assert move("03-03 10:05") == {"link": 20, "completed": 30 - left} | gone
    assert world.messages() == {"hello": 50, "text": 29}
    # Three click: the push, the update, and out by the exit, all at once.
    world.event(contacts[:3], "clicked", at("03-03 10:07"))
    assert move("03-03 10:10") == {
        "link": 17,
        "completed": 30 - left,
        "exited": 3 + left,
    }
    # Five more at the last moment; one a moment too late.
    world.event(contacts[3:8], "clicked", at("03-05 10:04:59"))
    world.event(contacts[8:9], "clicked", at("03-05 10:05"))
    assert move("03-05 10:05") == {"completed": 42 - left, "exited": 8 + left}
    assert world.messages() == {"hello": 50, "text": 41, "app": 8}
    assert world.results(program, kind=kind) == {
        ("hello", "done"): 50,
        ("pause", "done"): 50,
        ("opened", "yes"): 20,
        ("opened", "no"): 30,
        ("link", "yes"): 8,
        ("link", "no"): 12,
        ("text", "done"): 41,
        ("text", "exited" if left else "skipped"): 1,
        ("app", "done"): 8,
        ("stage", "done"): 8,
        ("stop", "exited"): 8,
    }
    assert world.rows(
        "select lifecycle_stage, attributes ->> 'source', count(*) from crm.contacts"
        " where attributes ->> 'city' is not null group by 1, 2"
    ) == unordered([(None, None, 42), ("mql", "welcome", 8)])
    assert world.rows(
        "select entered, active, completed, exited, failed from lifecycle.program_counts"
    ) == [(50, 0, 42 - left, 8 + left, 0)]
    # Later passes find nothing to do.
    before = fingerprint(world)
    do(at("03-09 10:00"))
    do(at("03-05 10:05"))
    assert fingerprint(world) == before


def unordered(rows: list[tuple[Any, ...]]) -> Any:
    """Equal to these rows in any order."""

    class Unordered:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, list) and sorted(map(repr, other)) == sorted(map(repr, rows))

    return Unordered()


def fingerprint(world: ProgramWorld) -> list[tuple[Any, ...]]:
    return world.rows("select * from lifecycle.enrolments order by id") + world.rows(
        "select id, step_id, contact_id, state from delivery.messages order by id"
    )
