"""The step engine: moves contacts who are due through the steps of their programs.

A pass works in batches, each one transaction: it locks contacts who are due, does their steps, type
by type, until nobody in hand is due any more, and writes where they stand. Locks are those of rows:
any number of passes share the work, passing over what another has in hand. Whatever a step writes
is committed with the contact's next place, so a pass that is killed leaves a batch done or undone;
and each thing that it writes has a unique key made of step, contact and rotation.

The engine knows no program kind: it is told which it moves and what an unsubscribed contact means.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import contents, doorbell
from marketing_pipelines.domains.lifecycle import branching, plan
from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.programs import Program, read_sql
from marketing_pipelines.domains.lifecycle.steps import SETTABLE
from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines.redaction import redact

BATCH = 20_000
ARRIVALS = 10_000
# Steps lead only forward, so nobody passes more steps at once than the longest program has.
MOST_ROUNDS = 1_000
# So many contacts of one program in a day whose step cannot be done are no accident of theirs.
MOST_QUARANTINED = 20
CHANNELS = {"send_email": "email", "send_sms": "sms", "send_push": "push", "webhook": "webhook"}
# Classes of errors: of data, constraints, triggers, and limits of what one row may be.
_OF_DATA = ("0A", "21", "22", "23", "54", "P0")
_PASSING = (plan.ENTRANCE, plan.SWITCHED_OFF)

Begin = Callable[[], AbstractContextManager[sa.Connection]]


class StuckError(MarketingPipelinesError):
    """Contacts cannot be moved; it says why, and they stay where they are."""


class Failures(Protocol):
    """Where items that fail are counted; as `stores.items.ItemFailures`."""

    def all_succeeded(self, connection: sa.Connection, items: Sequence[str]) -> None: ...

    def failed_with(self, connection: sa.Connection, item: str, error: Exception) -> None: ...


@dataclass
class Report:
    """What a pass did.

    Attributes:
        programs: Active programs with contacts who were due.
        idle: Those without.
        taken: Contacts who were due and taken in hand.
        outcomes: Steps that were done, by their type and outcome.
        ended: Enrolments that ended, by status.
        woken: Contacts whose awaited event has arrived.
        held: Programs with contacts who stay where they are, with the reason.
        held_programs: Their numbers.
    """

    programs: int = 0
    idle: int = 0
    taken: int = 0
    batches: int = 0
    woken: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0
    held: dict[str, str] = field(default_factory=dict)
    held_programs: set[int] = field(default_factory=set)


@dataclass
class Pass:
    """One pass over the programs of a kind.

    Attributes:
        begin: Opens a transaction at read committed; all of them on one connection.
        tick: What is due at it is moved.
        zone: The reporting zone.
        suppressed_exit: Whether an unsubscribed contact leaves the program; otherwise it passes
            steps that send.
        job: Asset key, for what names it.
    """

    begin: Begin
    kind: str
    tick: dt.datetime
    zone: ZoneInfo
    failures: Failures
    job: str
    suppressed_exit: bool = False
    batch: int = BATCH
    arrivals: int = ARRIVALS
    report: Report = field(default_factory=Report)
    planned: list[PlannedStep] = field(default_factory=list)
    _quarantined: Counter[int] = field(default_factory=Counter)
    _rounds: int = 0

    def run(self) -> Report:
        """Moves everybody who is due.

        Raises:
            DBAPIError: the database is in the way; batches before it are done.
        """
        self._wake()
        with self.begin() as connection:
            programs = self._due_programs(connection)
            active = self._do(connection, "count_active", kind=self.kind).scalar_one()
            if programs:
                self._plan(connection, programs)
        self.report.programs = len(programs)
        self.report.idle = max(active - len(programs), 0)
        place: tuple[int, Any, int] | None = (0, None, 0)
        left = [program.id for program in programs]
        while left and place is not None:
            with self.begin() as connection:
                place = self._move_batch(connection, left, place)
            left = [number for number in left if place is not None and number >= place[0]]
        if programs:
            with self.begin() as connection:
                self._conclude(connection, programs)
        return self.report

    def _wake(self) -> None:
        """Has the contacts looked at whose awaited event has arrived."""
        taken, last = self.arrivals, 0
        while taken == self.arrivals:
            with self.begin() as connection:
                page = self._do(connection, "wake", after=last, size=self.arrivals).one()
            taken, last = page.arrivals, page.last
            self.report.woken += page.woken

    def _due_programs(self, connection: sa.Connection) -> list[Program]:
        rows = connection.execute(read_sql("due_programs"), {"kind": self.kind, "tick": self.tick})
        return [Program(self.kind, *row) for row in rows]

    def _plan(self, connection: sa.Connection, programs: Sequence[Program]) -> None:
        """Reads the steps once: a pass does them as they were when it began."""
        connection.execute(read_sql("create_workspace"))
        self.planned = plan.read(connection, self.kind, programs)
        wanted = {
            one.id: (one.program.organization_id, one.config)
            for one in self.planned
            if one.type in CHANNELS and one.problem is None
        }
        plan.write(
            connection,
            self.planned,
            contents.store(connection, wanted),
            plan.named_campaigns(connection, self.planned),
        )

    def _move_batch(
        self, connection: sa.Connection, programs: list[int], after: tuple[int, Any, int]
    ) -> tuple[int, Any, int] | None:
        """Takes the next contacts in hand and moves them; returns the last place, or None where
        there were no more."""
        taken = self._do(
            connection,
            "claim",
            kind=self.kind,
            programs=programs,
            after_program=after[0],
            after_at=after[1],
            after_id=after[2],
            size=self.batch,
        ).rowcount
        if not taken:
            return None
        place = connection.execute(read_sql("last_claimed")).one()
        connection.execute(sa.text("analyze moving"))
        if any(one.type == "update_contact" for one in self.planned):
            connection.execute(read_sql("lock_contacts"))
        self.report.taken += taken
        self.report.batches += 1
        self._move_or_split(connection, taken)
        return (place.program_id, place.due_at, place.enrolment_id)

    def _move_or_split(self, connection: sa.Connection, taken: int) -> None:
        """Moves those in hand; if one of them makes a statement fail, the others are moved."""
        try:
            with connection.begin_nested():
                counted = self._move(connection)
        except sa.exc.DBAPIError as error:
            if not _is_of_data(error):
                raise
            connection.execute(read_sql("copy_claimed"))
            counted = self._move_in_halves(connection, 1, taken, error)
        for counts, more in zip((self.report.outcomes, self.report.ended), counted, strict=True):
            counts.update(more)

    def _move_in_halves(
        self, connection: sa.Connection, first: int, last: int, error: sa.exc.DBAPIError
    ) -> tuple[Counter[str], Counter[str]]:
        if first == last:
            return self._move_as_far_as_possible(connection, first, error)
        middle = (first + last) // 2
        total: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        for start, end in ((first, middle), (middle + 1, last)):
            try:
                with connection.begin_nested():
                    self._take(connection, start, end)
                    counted = self._move(connection)
            except sa.exc.DBAPIError as own:
                if not _is_of_data(own):
                    raise
                counted = self._move_in_halves(connection, start, end, own)
            for counts, more in zip(total, counted, strict=True):
                counts.update(more)
        return total

    def _move_as_far_as_possible(
        self, connection: sa.Connection, place: int, error: sa.exc.DBAPIError
    ) -> tuple[Counter[str], Counter[str]]:
        """Does the steps that one contact can do, and takes it out at the one that it cannot."""
        rounds = self._rounds
        counted: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        try:
            with connection.begin_nested():
                self._take(connection, place, place)
                counted = self._move(connection, rounds)
        except sa.exc.DBAPIError as own:
            if not _is_of_data(own):
                raise
        self._quarantine(connection, place, error)
        return counted

    def _take(self, connection: sa.Connection, first: int, last: int) -> None:
        """Has some of those who were claimed in hand, as they were."""
        connection.execute(sa.text("truncate moving, outcomes"))
        connection.execute(read_sql("take_claimed"), {"first": first, "last": last})

    def _quarantine(self, connection: sa.Connection, place: int, error: sa.exc.DBAPIError) -> None:
        """Takes one contact out; where a program loses many, it is the program that is stopped."""
        program_id = connection.execute(
            sa.text("select program_id from claimed where place = :place"), {"place": place}
        ).scalar_one()
        reason = redact(str(error.orig).strip().splitlines()[0])
        if program_id not in self._quarantined:
            self._quarantined[program_id] = self._do(
                connection, "count_failed", kind=self.kind, program=program_id
            ).scalar_one()
        if self._quarantined[program_id] >= MOST_QUARANTINED:
            self._hold_program(connection, program_id, reason)
            return
        try:
            with connection.begin_nested():
                self._do(connection, "quarantine", place=place, reason=reason)
        except sa.exc.DBAPIError as own:
            if not _is_of_data(own):
                raise
            self._hold_program(connection, program_id, reason)
            return
        self._quarantined[program_id] += 1
        self.report.quarantined += 1

    def _hold_program(self, connection: sa.Connection, program_id: int, reason: str) -> None:
        own = [one for one in self.planned if one.program.id == program_id]
        for one in own:
            one.problem = one.problem or reason
        self._hold(connection, own)

    def _move(
        self, connection: sa.Connection, most_rounds: int = MOST_ROUNDS
    ) -> tuple[Counter[str], Counter[str]]:
        """Does the steps of those in hand until none of them is due."""
        outcomes: Counter[str] = Counter()
        channels: set[str] = set()
        self._rounds = 0
        if self.suppressed_exit and self._do(connection, "exit_suppressed").rowcount:
            outcomes.update(self._advance(connection))
        for self._rounds in range(most_rounds):
            types = sorted(self._do(connection, "due_types").scalars())
            if not types:
                break
            for step_type in types:
                self._perform(connection, step_type)
            channels |= {CHANNELS[name] for name in types if name in CHANNELS}
            outcomes.update(self._advance(connection))
        ended = {row.status: row.number for row in connection.execute(read_sql("count_ended"))}
        if ended:
            self._do(connection, "mark_day")
        self._do(connection, "write_back")
        if channels:
            doorbell.ring(connection, sorted(channels))
        return outcomes, Counter(ended)

    def _perform(self, connection: sa.Connection, step_type: str) -> None:
        """One statement for everybody who is due at a step of this type."""
        of_type = {"type": step_type}
        if step_type in CHANNELS:
            channel = CHANNELS[step_type]
            self._do(connection, "send", channel=channel, kind=self.kind, **of_type)
        elif step_type == "wait":
            self._do(connection, "begin_wait", zone=self.zone.key, **of_type)
            self._do(connection, "pass", **of_type)
        elif step_type in _PASSING:
            self._do(connection, "pass", **of_type)
        elif step_type == "branch":
            self._branch(connection)
        elif step_type == "wait_for":
            self._do(connection, "wait_for", **of_type)
            self._do(connection, "keep_waiting")
        elif step_type == "update_contact":
            self._do(connection, "update_contact", columns=list(SETTABLE), **of_type)
        elif step_type == "create_task":
            self._do(connection, "create_task", job=self.job, **of_type)
        else:
            self._do(connection, "exit", **of_type)

    def _branch(self, connection: sa.Connection) -> None:
        due = set(self._do(connection, "due_steps", type="branch").scalars())
        own = [branch for branch in plan.branches(self.planned) if branch[0].id in due]
        # What was found before a savepoint was undone is not asked again: it may have taken long.
        asked = [branch for branch in own if branch[0].problem is None]
        problems = branching.answer(connection, asked, now=self.tick, reporting_zone=self.zone)
        for one, _ in asked:
            one.problem = problems.get(one.id)
        self._hold(connection, [one for one, _ in own if one.problem is not None])
        self._do(connection, "branch", type="branch")

    def _hold(self, connection: sa.Connection, steps: Sequence[PlannedStep]) -> None:
        """Has contacts stay where they are."""
        if steps:
            connection.execute(read_sql("hold_steps"), {"steps": [one.id for one in steps]})

    def _advance(self, connection: sa.Connection) -> Counter[str]:
        """Notes what the steps came to and moves those in hand on."""
        self._do(connection, "record_results")
        self._do(connection, "advance")
        rows = connection.execute(read_sql("count_outcomes")).all()
        connection.execute(sa.text("truncate outcomes"))
        return Counter({f"{row.type} {row.outcome}": row.number for row in rows})

    def _conclude(self, connection: sa.Connection, programs: Sequence[Program]) -> None:
        """Counts each program as an item: done, or failed where contacts wait at a step of it."""
        broken = [one for one in self.planned if one.problem is not None]
        stuck = set(
            self._do(
                connection, "held_steps", kind=self.kind, steps=[one.id for one in broken]
            ).scalars()
            if broken
            else ()
        )
        first = {one.program.id: one for one in reversed(broken) if one.id in stuck}
        done = []
        for program in programs:
            held = first.get(program.id)
            if held is None:
                done.append(str(program))
                continue
            reason = f"{held}: {held.problem}"
            self.report.held[str(program)] = reason
            self.report.held_programs.add(program.id)
            self.failures.failed_with(connection, str(program), StuckError(reason))
        self.failures.all_succeeded(connection, done)

    def _do(self, connection: sa.Connection, name: str, **values: Any) -> Any:
        return connection.execute(read_sql(name), {"tick": self.tick, **values})


def _is_of_data(error: sa.exc.DBAPIError) -> bool:
    """Whether what a row holds made the statement fail: data, a constraint, a trigger's refusal."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return not error.connection_invalidated and state[:2] in _OF_DATA
