"""However contacts, events and time change between evaluations, members are what the rules say.

Most of these passes look at few contacts only; the reference evaluator looks at everybody.
"""

import datetime as dt
from dataclasses import replace
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketing_pipelines.domains import load_tasks
from marketing_pipelines.domains.segments import evaluation
from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import PATIENCE, SOAK
from marketing_pipelines_tests.segments import chance, naive, strategies
from marketing_pipelines_tests.segments.naive import Event, Segment, World
from marketing_pipelines_tests.segments.worlds import add_events, store, to_json

UTC = ZoneInfo("UTC")
# In parts, which several processes share.
PARTS = 2
STEPS = [dt.timedelta(), dt.timedelta(microseconds=1), *chance.SHIFTS]


class Life:
    """A world that goes on: what has happened so far, in memory and in a database."""

    def __init__(self, connection: sa.Connection, world: World) -> None:
        self.connection = connection
        self.world = replace(world, events={})
        self.to_come = [
            (contact, event) for contact, events in world.events.items() for event in events
        ]
        self.number = store(connection, self.world)

    def happen(self, count: int) -> None:
        """The next events are stored."""
        events = {name: list(known) for name, known in self.world.events.items()}
        new: dict[str, list[Event]] = {}
        for contact, event in self.to_come[:count]:
            events.setdefault(contact, []).append(event)
            new.setdefault(contact, []).append(event)
        del self.to_come[:count]
        self.world = replace(self.world, events=events)
        add_events(self.connection, self.number, new)

    def change_contact(self, dice: Random) -> None:
        """A contact gets other attributes; every key that was known stays known."""
        place = dice.randrange(len(self.world.contacts))
        old = self.world.contacts[place]
        names = sorted({name for each in self.world.contacts for name in each.attributes})
        made = chance.contact(dice, old.external_id, names, self.world)
        changed = replace(old, attributes=made.attributes)
        contacts = list(self.world.contacts)
        contacts[place] = changed
        self.world = replace(self.world, contacts=contacts)
        self._execute(
            "update crm.contacts set attributes = cast(:attributes as jsonb)"
            " where organization_id = :number and external_id = :name",
            name=old.external_id,
            attributes=to_json(changed.attributes),
        )

    def change_members(self, dice: Random, name: str) -> None:
        """Somebody puts a contact into a segment, takes it out, or leaves it to the rule."""
        contact = dice.choice(self.world.contacts).external_id
        action = dice.choice(["add", "remove", "clear"])
        old = self.world.segments[name]
        added, removed = set(old.added) - {contact}, set(old.removed) - {contact}
        {"add": added, "remove": removed, "clear": set()}[action].add(contact)
        segment = Segment(old.rule, frozenset(added), frozenset(removed))
        self.world = replace(self.world, segments={**self.world.segments, name: segment})
        self._execute(
            "insert into segments.manual_members (organization_id, segment_id, contact_id, action)"
            " select :number, segment.id, contact.id, :action"
            " from segments.segments as segment, crm.contacts as contact"
            " where segment.organization_id = :number and segment.external_id = :segment"
            " and contact.organization_id = :number and contact.external_id = :contact"
            " on conflict (segment_id, contact_id) do update set action = excluded.action",
            segment=name,
            contact=contact,
            action=action,
        )

    def change_rule(self, name: str, rule: Any) -> None:
        """A segment gets another rule."""
        old = self.world.segments[name]
        segment = old._replace(rule=rule)
        self.world = replace(self.world, segments={**self.world.segments, name: segment})
        self._execute(
            "update segments.segments set rule = cast(:rule as jsonb)"
            " where organization_id = :number and external_id = :name",
            name=name,
            rule=to_json(rule),
        )

    def pass_on(self, time: dt.timedelta) -> None:
        """Time passes."""
        self.world = replace(self.world, now=self.world.now + time)

    def evaluate(self) -> dict[str, int]:
        """A pass over the organization; returns how many it evaluated, and in full."""
        failures = ItemFailures(evaluation.JOB, self.world.now)
        [organization] = [
            row for row in evaluation.due(self.connection, by_time=True) if row.id == self.number
        ]
        report = evaluation.SegmentPass(
            self.connection, organization, self.world.now, UTC, retry=True
        ).run(failures.attempts)
        assert failures.last_error == ""
        self.connection.exec_driver_sql("drop table if exists touched, moved, looked_at")
        return {"segments": report.segments, "in_full": report.in_full}

    def members(self) -> dict[str, list[str]]:
        """Current members as stored."""
        found: dict[str, list[str]] = {name: [] for name in self.world.segments}
        rows = self.connection.execute(
            sa.text(
                "select segment.external_id, contact.external_id"
                " from segments.memberships"
                " join segments.segments as segment on segment.id = segment_id"
                " join crm.contacts as contact on contact.id = contact_id"
                " where segment.organization_id = :number and left_at is null"
            ),
            {"number": self.number},
        )
        for segment, contact in rows:
            found[segment].append(contact)
        return {name: sorted(contacts) for name, contacts in found.items()}

    def expected(self) -> dict[str, list[str]]:
        """The same by the reference evaluator."""
        return {
            name: sorted(naive.members({"segment": name}, self.world))
            for name in self.world.segments
        }

    def _execute(self, statement: str, **values: Any) -> None:
        self.connection.execute(sa.text(statement), values | {"number": self.number})


@st.composite
def lives(draw: Any) -> tuple[World, list[tuple[str, Any]]]:
    """A world whose segments end with a nested rule, and what is going to happen to it."""
    world, rule = draw(strategies.cases(depth=2))
    last = Segment(rule, frozenset(), frozenset())
    world = replace(world, segments={**world.segments, "last": last})
    steps: list[tuple[str, Any]] = []
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=8)):
        dice = Random(draw(st.integers(0, 2**24 - 1)))
        steps.append((kind, dice))
    return world, steps


KINDS = ["events", "events", "time", "time", "contact", "members", "rule"]


@pytest.fixture
def connection(shared_installation: Installation) -> Any:
    load_tasks()
    with shared_installation.engine.connect() as opened:
        yield opened


@pytest.mark.soak
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("part", range(PARTS))
@settings(
    max_examples=(5_000 if SOAK else 8) // PARTS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(life=lives())
def test_members_are_what_the_rules_say_after_every_pass(
    connection: sa.Connection, part: int, life: Any
) -> None:
    world, steps = life
    with connection.begin_nested() as undone:
        lived = Life(connection, world)
        lived.happen(len(lived.to_come) // 2)
        lived.evaluate()
        assert lived.members() == lived.expected()
        for kind, dice in steps:
            if kind == "events":
                lived.happen(dice.randint(1, 5))
            elif kind == "time":
                lived.pass_on(dice.choice(STEPS))
            elif kind == "contact":
                lived.change_contact(dice)
            elif kind == "members":
                lived.change_members(dice, dice.choice(sorted(lived.world.segments)))
            else:
                # The last is named by no other, so no cycle comes of it.
                kind = dice.choice(["attribute", "event"])
                lived.change_rule("last", chance.condition(dice, lived.world, kind))
            lived.evaluate()
            assert lived.members() == lived.expected()
        undone.rollback()
