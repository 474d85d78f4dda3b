"""After every tick of a random history, contacts are where the specification says.

The engine is held against `naive`, a model in memory that moves one contact after the other.
"""

import contextlib
import datetime as dt
import json
import uuid
from collections.abc import Iterator
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from marketing_pipelines.domains.lifecycle.engine import PassReport
from marketing_pipelines_tests.lifecycle import naive
from marketing_pipelines_tests.lifecycle.naive import (
    Contact,
    Enrolment,
    Event,
    Program,
    Step,
    Trigger,
)
from marketing_pipelines_tests.lifecycle.world import TABLES, ProgramWorld
from marketing_pipelines_tests.scale import PATIENCE, SOAK

# In parts, which several processes share.
PARTS = 4
MINUTES = [0, 1, 5, 5, 5, 30, 60, 60, 720, 1_440, 1_440, 10_080]
TIMES = ["0min", "5min", "1h", "1h", "1d"]
CLOCKS = ["00:00", "02:30", "09:00", "23:59"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
# Mondays: among them those before the clocks change.
STARTS = [dt.datetime(2026, 3, 2), dt.datetime(2026, 3, 28), dt.datetime(2026, 10, 24)]
EVENTS = ["opened", "clicked"]
AGES = [dt.timedelta(), dt.timedelta(), naive.LATEST, naive.LATEST + dt.timedelta(seconds=1)]
SUPPRESSIONS = [
    ("unsubscribed", {}, "unsubscribed"),
    ("complained", {}, "complaint"),
    ("bounced", {"bounce_type": "hard"}, "hard_bounce"),
    ("bounced", {"bounce_type": "soft"}, None),
]
STEP_TYPES = [
    *("send_email", "send_sms", "send_push", "webhook", "create_task", "exit"),
    *(
        "wait",
        "wait",
        "wait",
        "branch",
        "branch",
        "wait_for",
        "wait_for",
        "split",
        "update_contact",
    ),
]
PLAIN: dict[str, dict[str, Any]] = {
    "send_email": {"subject": "s", "text": "t"},
    "send_sms": {"text": "t"},
    "send_push": {"title": "t", "text": "t"},
    "webhook": {"url": "https://example.org"},
    "create_task": {"title": "t"},
    "exit": {},
}


class KilledError(Exception):
    """The process that moves contacts is gone."""


def config_of(dice: Random, step_type: str, program: Program) -> dict[str, Any]:
    """A step of the type, without the steps that it leads to."""
    field = f"{program.name}_k"
    if step_type == "wait":
        if dice.random() < 0.6:
            return {"for": dice.choice(TIMES)}
        config = {"until": dice.choice(CLOCKS), "weekday": dice.choice(naive.WEEKDAYS)}
        for name in dice.choice([[], ["until"], ["weekday"]]):
            del config[name]
        return config
    if step_type == "branch":
        attribute = {"attribute": field, "op": "=", "value": dice.choice("ab")}
        return {"rule": dice.choice([attribute, {"event": dice.choice(EVENTS)}])}
    if step_type == "wait_for":
        config = {"event": dice.choice(EVENTS), "timeout": dice.choice(TIMES)}
        return config | (
            {"source": "program"} if program.kind == "campaign" and dice.random() < 0.3 else {}
        )
    if step_type == "split":
        first = dice.choice([0, 30, 50, 100])
        return {"ways": [{"name": "A", "percent": first}, {"name": "B", "percent": 100 - first}]}
    if step_type == "update_contact":
        return {"set": {field: dice.choice(["a", "b", None])}}
    return dict(PLAIN[step_type])


BROKEN: dict[str, Any] = {
    "wait": {"until": "9"},
    "branch": {"rule": {"attribute": "misspelt", "op": "exists"}},
    "wait_for": {"event": "opened"},
    "split": {"ways": [{"percent": 100}]},
    "update_contact": {"set": {}},
}


class Life:
    """A random organization: in memory, and in a database."""

    def __init__(self, engine: sa.Engine, dice: Random) -> None:
        self.stored = ProgramWorld(engine, name=uuid.uuid4().hex)
        self.world = naive.World(self.stored.name)
        self.stored.endpoint("https://example.org")
        self.now = dice.choice(STARTS).replace(tzinfo=dt.UTC)
        self.now += dt.timedelta(minutes=dice.choice([0, 5, 550, 1_435]))
        self.numbers: dict[str, int] = {}
        self.events = 0
        self.report = PassReport()
        kind = dice.choice(list(TABLES))
        kinds = [kind, *dice.choice([[], [kind], [dice.choice(list(TABLES))]])]
        for place, each in enumerate(kinds):
            self._add_program(dice, f"p{place}", each)
        for _ in range(dice.randint(1, 4)):
            self.enrol(dice, new=True)

    def _add_program(self, dice: Random, name: str, kind: str) -> None:
        program = Program(name, kind, [])
        if dice.random() < 0.3:
            program.exit, program.goal = dice.choice([None, *EVENTS]), dice.choice([None, *EVENTS])
        self.world.programs.append(program)
        for place in range(dice.randint(1, 7)):
            program.steps.append(self._step(dice, f"s{place}", program))
        for place, step in enumerate(program.steps):
            later = [each.name for each in program.steps[place + 1 :]]
            ways = ["next", "yes", "no"] if step.type in ("branch", "wait_for") else ["next"]
            for way in ways:
                if dice.random() < 0.25:
                    step.config[way] = dice.choice([*later, *later, "end"])
            for named in step.config.get("ways", []):
                if dice.random() < 0.5:
                    named["next"] = dice.choice([*later, *later, "end"])
        steps = [(each.name, each.type, each.config) for each in program.steps]
        # Events let contacts in from the start of the program and of the trigger on.
        begins_at = self.now + dt.timedelta(minutes=dice.choice([-10_000, -60, 0, 60]))
        self.numbers[name] = self.stored.program(steps, kind=kind, name=name, started_at=begins_at)
        if program.exit or program.goal:
            self.stored.set_endings(
                self.numbers[name],
                kind=kind,
                exit={"event": program.exit} if program.exit else None,
                goal=[{"event": program.goal}] if program.goal else None,
            )
        for step in program.steps:
            if not step.enabled:
                self._store_step(program, step)
        if kind != "sequence" and dice.random() < 0.6:
            self._add_trigger(dice, program, begins_at)

    def _add_trigger(self, dice: Random, program: Program, created_at: dt.datetime) -> None:
        policy = dice.choice(["once", "each_entry", "unless_active", "backfill"])
        plan = dice.choice([None, None, "pro"])
        trigger = Trigger(program, dice.choice(EVENTS), policy, created_at, plan)
        self.world.triggers.append(trigger)
        self.stored.trigger(
            self.numbers[program.name],
            trigger.event,
            kind=program.kind,
            policy=policy,
            created_at=created_at,
            where=[{"property": "plan", "op": "=", "value": plan}] if plan else [],
        )

    def _step(self, dice: Random, name: str, program: Program) -> Step:
        step_type = dice.choice(STEP_TYPES)
        broken = step_type in BROKEN and dice.random() < 0.1
        config = dict(BROKEN[step_type]) if broken else config_of(dice, step_type, program)
        return Step(name, step_type, config, dice.random() > 0.1, broken)

    def _store_step(self, program: Program, step: Step, **columns: Any) -> None:
        self.stored.change_step(
            self.numbers[program.name],
            step.name,
            kind=program.kind,
            config=step.config,
            enabled=step.enabled,
            type=step.type,
            **columns,
        )

    def enrol(self, dice: Random, *, new: bool = False) -> None:
        """A new contact enters, or one that has left enters again."""
        program = dice.choice(self.world.programs)
        contact = self._add_contact(dice) if new else dice.choice(self.world.contacts)
        before = self.world.enrolments_of(program, contact)
        if any(each.status == "active" for each in before):
            return
        entered_at = self.now + dt.timedelta(minutes=dice.choice([-5, 0, 0, 1, 90]))
        entered = Enrolment(program, contact, len(before) + 1, entered_at)
        self.world.enrolments.append(entered)
        self.stored.enrol(
            self.numbers[program.name],
            [self.numbers[contact.name]],
            entered_at,
            kind=program.kind,
            rotation=entered.rotation,
        )

    def _add_contact(self, dice: Random) -> Contact:
        contact = Contact(f"c{len(self.world.contacts)}", ZoneInfo(dice.choice(ZONES)))
        # An address of its own: of several contacts with one address, one gets the message.
        email, phone = f"{contact.name}@example.org", f"+4144000{len(self.world.contacts):04}"
        contact.email = dice.choice([email, email, None])
        contact.phone = dice.choice([phone, phone, ""])
        contact.attributes = {f"{program.name}_k": "a" for program in self.world.programs}
        if dice.random() < 0.6:
            contact.attributes |= {"push_token": f"t-{contact.name}"}
        self.world.contacts.append(contact)
        self.numbers[contact.name] = self.stored.scalar(
            "insert into crm.contacts (organization_id, external_id, email, phone, timezone,"
            " attributes) values (:organization, :name, :email, :phone, :zone,"
            " cast(:attributes as jsonb)) returning id",
            organization=self.stored.organization_id,
            name=contact.name,
            email=contact.email,
            phone=contact.phone,
            zone=contact.zone.key,
            attributes=json.dumps(contact.attributes),
        )
        return contact

    def happen(self, dice: Random) -> None:
        """Events that are late, early or in time."""
        campaigns = [each.name for each in self.world.programs if each.kind == "campaign"]
        for _ in range(dice.randint(1, 3)):
            contact = dice.choice(self.world.contacts)
            late = dice.choice([-1_440, -60, -5, -1, 0, 0, 1, 5, 60])
            event_type = dice.choice(EVENTS)
            happened_at = self.now + dt.timedelta(minutes=late)
            campaign = dice.choice([None, None, *campaigns])
            age, plan = dice.choice(AGES), dice.choice(["pro", "free"])
            [event_id] = self.stored.event(
                [self.numbers[contact.name]],
                event_type,
                happened_at,
                campaign=self.numbers[campaign] if campaign else None,
                properties={"plan": plan},
                age=age,
            )
            event = Event(event_type, happened_at, campaign, event_id, age, plan)
            contact.events.append(event)

    def suppress(self, dice: Random) -> None:
        """A contact unsubscribes, complains or bounces."""
        contact = dice.choice(self.world.contacts)
        event, properties, reason = dice.choice(SUPPRESSIONS)
        channel = dice.choice(["email", "email", "sms", "all"])
        # No two at one instant, so that there is a first.
        self.events += 1
        since = self.now - dt.timedelta(minutes=dice.choice([0, 600]), seconds=self.events)
        # A bounce is that of an address: of mail where it names no other channel.
        where = "email" if event == "bounced" and channel == "all" else channel
        known = [row[1:] for row in contact.suppressed]
        if reason is not None and (where, reason) not in known:
            contact.suppressed = sorted([*contact.suppressed, (since, where, reason)])
        if event == "bounced" and channel != "sms":
            contact.bounces.append(since)
        number = self.numbers[contact.name]
        self.stored.event([number], event, since, properties={**properties, "channel": channel})

    def switch(self, dice: Random) -> None:
        """A program is paused, resumed or cancelled."""
        program = dice.choice(self.world.programs)
        if program.status == "cancelled":
            return
        program.status = "paused" if program.status == "active" else "active"
        number = self.numbers[program.name]
        if dice.random() < 0.1:
            program.status, program.cancelled_at = "cancelled", self.now
            self.stored.execute(
                f"update {TABLES[program.kind]} set cancelled_at = :at where id = :program",
                at=self.now,
                program=number,
            )
        self.stored.set_status(number, program.status, kind=program.kind)

    def correct(self, dice: Random) -> None:
        """A file corrects when a contact entered that has not come to a step, or a time zone."""
        for enrolment in self.world.enrolments:
            if enrolment.status == "active" and enrolment.step is None:
                enrolment.entered_at = self.now + dt.timedelta(minutes=dice.choice([-30, 0, 7, 60]))
                self.stored.execute(
                    "update lifecycle.enrolments set entered_at = :at where program_kind = :kind"
                    " and program_id = :program and contact_id = :contact and rotation = :rotation",
                    at=enrolment.entered_at,
                    kind=enrolment.program.kind,
                    program=self.numbers[enrolment.program.name],
                    contact=self.numbers[enrolment.contact.name],
                    rotation=enrolment.rotation,
                )
        contact = dice.choice(self.world.contacts)
        zone = ZoneInfo(dice.choice(ZONES))
        if zone is not contact.zone:
            contact.zone, contact.moved = zone, set(TABLES)
            self.stored.execute(
                "update crm.contacts set timezone = :zone where id = :contact",
                zone=zone.key,
                contact=self.numbers[contact.name],
            )

    def edit(self, dice: Random) -> None:
        """A step is changed, mended, switched on or off, moved, added or made another."""
        program = dice.choice(self.world.programs)
        step = dice.choice(program.steps)
        before = (step.type, step.config, step.enabled)
        change = dice.choice(["config", "config", "type", "mend", "enabled", "move", "add"])
        if change == "add":
            self._add_step(dice, program)
        elif change == "move":
            program.steps.remove(step)
            program.steps.insert(dice.randint(0, len(program.steps)), step)
        elif change == "enabled":
            step.enabled = not step.enabled
        elif change != "mend" or step.broken:
            if change == "type":
                step.type = dice.choice(STEP_TYPES)
            is_fork = step.type in ("branch", "wait_for")
            names = ("next", "yes", "no") if is_fork else ("next",)
            ways = {way: step.config[way] for way in names if way in step.config}
            step.config = config_of(dice, step.type, program) | ways
            step.broken = False
        step.edited = step.edited or before != (step.type, step.config, step.enabled)
        for place, each in enumerate(program.steps):
            self._store_step(program, each, position=place)

    def _add_step(self, dice: Random, program: Program) -> None:
        if len(program.steps) > 9:
            return
        step = self._step(dice, f"s{len(program.steps)}", program)
        program.steps.insert(dice.randint(0, len(program.steps)), step)
        self.stored.execute(
            "insert into lifecycle.steps (organization_id, program_kind, program_id, external_id,"
            " position, type) values (:organization, :kind, :program, :name, 0, :type)",
            organization=self.stored.organization_id,
            kind=program.kind,
            program=self.numbers[program.name],
            name=step.name,
            type=step.type,
        )

    def tick(self, dice: Random) -> None:
        """Time passes; passes over each kind, some of them more than once, some of them killed."""
        self.now += dt.timedelta(minutes=dice.choice(MINUTES))
        if dice.random() < 0.2:
            with killed(self.stored.engine, dice):
                self.stored.start(self.now)
        for _ in range(dice.choice([1, 1, 2])):
            self.stored.start(self.now)
        self.world.start(self.now)
        for kind in sorted({program.kind for program in self.world.programs}):
            way = dice.choice(["once", "once", "twice", "killed", "killed"])
            batch = dice.choice([1, 2, 3, 20_000])
            if way == "killed":
                with killed(self.stored.engine, dice):
                    self.stored.move(self.now, kind=kind, batch=batch)
                self.check_counts()
            self.report = self.stored.move(
                self.now, kind=kind, batch=batch, connections=dice.choice([1, 2])
            )
            if way == "twice":
                self.report = self.stored.move(self.now, kind=kind)
            self.world.move(kind, self.now)
            self.check(kind)

    def check_counts(self) -> None:
        """Nobody is lost, in the middle of a pass either."""
        found = self.stored.rows(
            "select sum(entered), sum(active + completed + exited + failed)"
            " from lifecycle.program_counts where organization_id = :organization",
            organization=self.stored.organization_id,
        )
        assert found == [(len(self.world.enrolments),) * 2]

    def check(self, kind: str) -> None:
        """Everything is as the model has it."""
        self.check_counts()
        own = [each for each in self.world.enrolments if each.program.kind == kind]
        found = {row[:3]: row[3:] for row in self._read(ENROLMENTS, kind=kind)}
        assert {key: row[:-1] for key, row in found.items()} == {
            key_of(each): place_of(each) for each in own
        }
        for each in own:
            self._check_next(each, found[key_of(each)][-1])
        results = {
            (*key_of(each), step): tuple(result)
            for each in own
            for step, result in each.results.items()
        }
        rows = self._read(RESULTS, kind=kind)
        assert {row[:4]: row[4:] for row in rows} == results
        assert len(rows) == len(results)
        assert sorted(self._read(MESSAGES)) == sorted(self.world.messages)
        assert sorted(self._read(WEBHOOKS)) == sorted(self.world.webhooks)
        assert sorted(self._read(SILENCED)) == sorted(self.world.silenced)
        assert sorted(self._read(GOALS)) == sorted(self.world.goals)
        assert sorted(self._read(TASKS)) == sorted(self.world.tasks)
        assert sorted(self._read(CONTACTS)) == sorted(
            (each.name, each.attributes) for each in self.world.contacts
        )

    def _check_next(self, enrolment: Enrolment, next_at: dt.datetime | None) -> None:
        """A contact that is still due at a step of an active program has a reason to be."""
        if enrolment.status != "active":
            assert next_at is None
            return
        assert next_at is not None
        program = enrolment.program
        if program.status != "active" or not program.steps:
            return
        if enrolment.step is None:
            assert next_at == enrolment.entered_at > self.now
            return
        step = naive.step_of(enrolment)
        if naive.awaits_event(enrolment, step) and not enrolment.was_held:
            assert enrolment.arrived_at is not None
            ends_at = enrolment.arrived_at + naive.length(step.config["timeout"])
            assert self.now < next_at <= ends_at
        elif enrolment.until is not None and enrolment.until > self.now:
            assert next_at == enrolment.until
        else:
            assert next_at <= self.now
            held = self.report.blocked[f"{program.kind} {program.name} of {self.stored.name}"]
            assert held.startswith("step ")

    def _read(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.stored.rows(statement, organization=self.stored.organization_id, **parameters)


def key_of(enrolment: Enrolment) -> tuple[str, str, int]:
    """The key of an enrolment."""
    return (enrolment.program.name, enrolment.contact.name, enrolment.rotation)


def place_of(enrolment: Enrolment) -> tuple[Any, ...]:
    """Its step and the instant of its arrival, or its end."""
    ended_at = {enrolment.status: enrolment.ended_at}
    return (
        enrolment.status,
        enrolment.reason,
        enrolment.step,
        enrolment.arrived_at,
        ended_at.get("completed"),
        ended_at.get("exited"),
    )


_NAMED = """
    join lifecycle.programs as program
        on program.kind = it.program_kind and program.id = it.program_id
    join crm.contacts as contact on contact.id = it.contact_id
"""
ENROLMENTS = f"""
select program.external_id, contact.external_id, it.rotation, it.status, it.reason,
       step.external_id, case when step.id is not null then it.arrived_at end, it.completed_at,
       it.exited_at, it.next_step_at
from lifecycle.enrolments as it {_NAMED}
left join lifecycle.steps as step on step.id = it.step_id
where it.organization_id = :organization and it.program_kind = :kind
"""
RESULTS = f"""
select program.external_id, contact.external_id, it.rotation, step.external_id, result.outcome,
       case when result.reason like 'event e%' then 'event' else coalesce(way, result.reason) end,
       result.at
from lifecycle.step_results as result
join lifecycle.enrolments as it on it.id = result.enrolment_id {_NAMED}
join lifecycle.steps as step on step.id = result.step_id
where it.organization_id = :organization and it.program_kind = :kind
"""
MESSAGES = f"""
select program.external_id, step.external_id, contact.external_id, it.rotation, it.channel,
       it.queued_at
from delivery.messages as it {_NAMED}
join lifecycle.steps as step on step.id = it.step_id
where it.organization_id = :organization
"""
WEBHOOKS = f"""
select program.external_id, step.external_id, contact.external_id, it.rotation
from webhooks.deliveries as delivery
join lifecycle.enrolments as it on it.id = split_part(event_id, ':', 2)::bigint {_NAMED}
join lifecycle.steps as step on step.id = split_part(event_id, ':', 3)::bigint
where it.organization_id = :organization
"""
SILENCED = MESSAGES.rstrip() + " and it.state = 'suppressed'"
GOALS = f"""
select program.external_id, contact.external_id, it.rotation
from lifecycle.goals as goal
join lifecycle.enrolments as it on it.id = goal.enrolment_id {_NAMED}
where it.organization_id = :organization
"""
TASKS = """
select program.external_id, step.external_id, contact.external_id, period::int
from crm.tasks
join lifecycle.steps as step on step.id = split_part(subject, ' ', 2)::bigint
join lifecycle.programs as program
    on program.kind = step.program_kind and program.id = step.program_id
join crm.contacts as contact on contact.id = tasks.contact_id
where tasks.organization_id = :organization
"""
CONTACTS = """
select external_id, attributes from crm.contacts where organization_id = :organization
"""


@contextlib.contextmanager
def killed(engine: sa.Engine, dice: Random) -> Iterator[None]:
    """Whoever works with the database is gone, or loses its session, before some statement."""
    left = dice.randint(1, 60)
    loses_session = dice.random() < 0.2

    def kill(connection: sa.Connection, *_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0 and loses_session:
            pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
            with engine.connect() as other:
                other.execute(sa.text("select pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        elif left == 0:
            raise KilledError

    sa.event.listen(engine, "before_cursor_execute", kill)
    try:
        with contextlib.suppress(KilledError, sa.exc.OperationalError):
            yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", kill)


ACTS = {
    "tick": Life.tick,
    "events": Life.happen,
    "suppress": Life.suppress,
    "switch": Life.switch,
    "edit": Life.edit,
    "correct": Life.correct,
    "enrol": Life.enrol,
}
SEEDS = st.integers(0, 2**24 - 1)
LIVES = st.lists(
    st.tuples(
        st.sampled_from(["tick", "tick", "tick", "events", "events", *ACTS]),
        SEEDS,
    ),
    min_size=6,
    max_size=12,
)


@pytest.mark.soak
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("part", range(PARTS))
@settings(
    max_examples=(10_000 if SOAK else 8) // PARTS,
    deadline=None,
    # A failure is told at once; with the phase `shrink` it becomes smaller, which takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=SEEDS, acts=LIVES)
def test_contacts_are_where_the_specification_says_after_every_tick(
    shared_engine: sa.Engine, part: int, seed: int, acts: list[tuple[str, int]]
) -> None:
    life = Life(shared_engine, Random(f"{part} {seed}"))
    try:
        for act, own_seed in [*acts, ("tick", seed)]:
            ACTS[act](life, Random(f"{own_seed} {act}"))
    finally:
        life.stored.retire()
