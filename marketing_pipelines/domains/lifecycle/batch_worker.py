"""A batch worker: one connection's share of a pass of the step engine.

It works in batches, each one transaction: it locks contacts who are due, does their steps, type by
type, until none of them is due any more, and writes their places. Locks are row locks: any number
of workers share the work, skipping rows that another has locked. The effects of a step are
committed with the contact's next place, so a worker that is killed leaves a batch done or undone;
and each thing that it writes has a unique key made of step, contact and rotation.
"""

import contextlib
import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import notify
from marketing_pipelines.domains.lifecycle import branching, endings, plan
from marketing_pipelines.domains.lifecycle.contact_fields import SETTABLE
from marketing_pipelines.domains.lifecycle.pass_plan import Moved, PassPlan
from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.programs import read_sql
from marketing_pipelines.domains.lifecycle.steps import CHANNELS
from marketing_pipelines.domains.webhooks.publishing import REACHED
from marketing_pipelines.domains.webhooks.tasks import ring
from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines.redaction import redact
from marketing_pipelines.stores.change_dates import date_changes
from marketing_pipelines.stores.postgres import Begin, cancel, cut

# Steps lead only forward, so no contact passes more steps at once than the longest program has.
MAX_ROUNDS = 1_000
# So many contacts of one program in a day whose step cannot be done are no accident of theirs.
MAX_QUARANTINED = 20
# Others may be in the way of a batch so often.
MAX_ATTEMPTS = 3
# Classes of errors: of data, constraints, triggers, and limits of a row.
_OF_DATA = ("0A", "21", "22", "23", "54", "P0")
_PASSING = (plan.ENTRANCE, plan.SWITCHED_OFF)

ExtraConnection = Callable[[], AbstractContextManager[Begin]]
Place = tuple[int, dt.datetime | None, int]
_logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """A worker has to stop: the claimed batch is rolled back."""


@dataclass
class BatchWorker:
    """Moves contacts, batch by batch, over one connection.

    Attributes:
        moved: Counts of the committed batches.
        has_begun: True if it had a connection and started to work.
    """

    work: PassPlan
    moved: Moved = field(default_factory=Moved)
    has_begun: bool = False
    _place: Place = (0, None, 0)
    _stopped: bool = False
    _driver: Any = None
    _channels: set[str] = field(default_factory=set)
    _endpoints: set[int] = field(default_factory=set)
    _rounds: int = 0

    def run(self, begin: Begin) -> None:
        """Moves contacts until no unclaimed one is due.

        Args:
            begin: Opens a transaction at read committed; all of them on one connection.

        Raises:
            DBAPIError: the database failed; earlier batches are done. StoppedError: it had to stop.
        """
        while self._move_batch(begin):
            pass

    def run_on_extra_connection(self, extra_connection: ExtraConnection) -> None:
        """The same over a connection of its own; where there is none to be had, it does nothing."""
        with contextlib.ExitStack() as stack:
            try:
                begin = stack.enter_context(extra_connection())
            except (sa.exc.OperationalError, StoreUnavailableError) as error:
                reason = redact(str(getattr(error, "orig", error)).strip().splitlines()[0])
                _logger.warning("No more connections for %s: %s", self.work.kind.moved_by, reason)
                return
            self.run(begin)

    def halt(self) -> None:
        """Stops the worker before its next statement."""
        self._stopped = True

    def stop(self, *, by_force: bool = False) -> None:
        """Stops the worker from another thread. The statement that it waits for is canceled, or its
        connection is cut."""
        self._stopped = True
        if self._driver is not None:
            (cut if by_force else cancel)(self._driver)

    def _move_batch(self, begin: Begin) -> int:
        """Claims the next contacts and moves them; returns their number."""
        place = self._place
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                with begin() as connection:
                    self._driver = connection.connection.driver_connection
                    batch = self._do_batch(connection)
                break
            except sa.exc.DBAPIError as error:
                if not _is_collision(error) or attempt == MAX_ATTEMPTS:
                    raise
                self._place = place
        self.has_begun = True
        self.moved.add(batch)
        return batch.taken

    def _do_batch(self, connection: sa.Connection) -> Moved:
        if not self.has_begun:
            self._prepare(connection)
        # Errors that another worker, or a batch that was rolled back, found.
        self._block(connection, [one for one in self.work.planned if one.problem is not None])
        batch = Moved(taken=self._claim(connection))
        if batch.taken:
            batch.batches = 1
            self._channels.clear()
            self._endpoints.clear()
            batch.add(self._move_or_split(connection, batch.taken))
            # Last, in every worker: a bell that another has rung is waited for.
            if self._channels:
                notify.notify_workers(connection, sorted(self._channels))
            ring(connection, self._endpoints)
        return batch

    def _prepare(self, connection: sa.Connection) -> None:
        connection.execute(read_sql("create_workspace"))
        work = self.work
        given = (work.messages, work.contents, work.endpoints, work.campaigns)
        plan.write(connection, work.planned, *given)
        if self.work.endings:
            endings.write(connection, self.work.endings)

    def _claim(self, connection: sa.Connection) -> int:
        """Locks the next due contacts."""
        program, due_at, enrolment = self._place
        taken: int = self._do(
            connection,
            "claim",
            kind=self.work.kind.name,
            programs=[number for number in self.work.programs if number >= program],
            after_program=program,
            after_at=due_at,
            after_id=enrolment,
            size=self.work.batch,
        ).rowcount
        if taken:
            last = connection.execute(read_sql("last_claimed")).one()
            self._place = (last.program_id, last.due_at, last.enrolment_id)
            # Later batches are planned for by the same figures, scaled by the server.
            if not self.has_begun:
                connection.execute(sa.text("analyze batch"))
        return taken

    def _move_or_split(self, connection: sa.Connection, taken: int) -> Moved:
        """Moves the claimed contacts; one that makes a statement fail does not stop the others."""
        try:
            with connection.begin_nested():
                return self._move(connection)
        except sa.exc.DBAPIError as error:
            if not _is_of_data(error):
                raise
            self._do(connection, "copy_claimed")
            return self._move_in_halves(connection, 1, taken, error)

    def _move_in_halves(
        self, connection: sa.Connection, first: int, last: int, error: sa.exc.DBAPIError
    ) -> Moved:
        if first == last:
            return self._move_as_far_as_possible(connection, first, error)
        middle = (first + last) // 2
        total = Moved()
        for start, end in ((first, middle), (middle + 1, last)):
            try:
                with connection.begin_nested():
                    self._take(connection, start, end)
                    moved = self._move(connection)
            except sa.exc.DBAPIError as own:
                if not _is_of_data(own):
                    raise
                moved = self._move_in_halves(connection, start, end, own)
            total.add(moved)
        return total

    def _move_as_far_as_possible(
        self, connection: sa.Connection, place: int, error: sa.exc.DBAPIError
    ) -> Moved:
        """Does the steps that one contact can do, and fails it at the first that it cannot."""
        rounds = self._rounds
        moved = Moved()
        try:
            with connection.begin_nested():
                self._take(connection, place, place)
                moved = self._move(connection, rounds)
        except sa.exc.DBAPIError as own:
            if not _is_of_data(own):
                raise
        moved.quarantined += self._quarantine(connection, place, error)
        return moved

    def _take(self, connection: sa.Connection, first: int, last: int) -> None:
        """Copies a part of the claimed contacts into the batch, in their state at the claim."""
        connection.execute(sa.text("truncate batch, outcomes"))
        connection.execute(read_sql("take_claimed"), {"first": first, "last": last})

    def _quarantine(self, connection: sa.Connection, place: int, error: sa.exc.DBAPIError) -> int:
        """Takes one contact out; where a program loses many, it is the program that is stopped.

        Returns:
            Contacts taken out.
        """
        program_id = connection.execute(
            sa.text("select program_id from claimed where place = :place"), {"place": place}
        ).scalar_one()
        reason = redact(str(error.orig).strip().splitlines()[0])
        if not self._may_lose_one(connection, program_id):
            self._block_program(connection, program_id, reason)
            return 0
        try:
            with connection.begin_nested():
                self._do(connection, "quarantine", place=place, reason=reason)
        except sa.exc.DBAPIError as own:
            if not _is_of_data(own):
                raise
            self._block_program(connection, program_id, reason)
            return 0
        return 1

    def _may_lose_one(self, connection: sa.Connection, program_id: int) -> bool:
        """Counts a contact that is about to be taken out, over all workers."""
        lost = self.work.quarantined
        with self.work.guard:
            if program_id not in lost:
                known = self._do(
                    connection, "count_failed", kind=self.work.kind.name, program=program_id
                )
                lost[program_id] = known.scalar_one()
            if lost[program_id] >= MAX_QUARANTINED:
                return False
            lost[program_id] += 1
            return True

    def _block_program(self, connection: sa.Connection, program_id: int, reason: str) -> None:
        own = [one for one in self.work.planned if one.program.id == program_id]
        for one in own:
            one.problem = one.problem or reason
        self._block(connection, own)

    def _move(self, connection: sa.Connection, most_rounds: int = MAX_ROUNDS) -> Moved:
        """Does the steps of the batch until none of its contacts is due."""
        moved = Moved()
        self._rounds = 0
        if self.work.kind.exits_unreachable and self._do(connection, "exit_suppressed").rowcount:
            moved.outcomes.update(self._advance(connection))
        for self._rounds in range(most_rounds):
            if self.work.endings and self._end_due(connection):
                moved.outcomes.update(self._advance(connection))
            types = sorted(self._do(connection, "due_types").scalars())
            if not types:
                break
            for step_type in types:
                self._perform(connection, step_type)
            moved.outcomes.update(self._advance(connection))
        for row in self._do(connection, "count_ended"):
            moved.ended[row.status] = row.number
        if moved.ended:
            self._do(connection, "mark_day")
        moved.moved_on = self._do(connection, "write_back").rowcount
        return moved

    def _perform(self, connection: sa.Connection, step_type: str) -> None:
        """Runs one statement for all contacts that are due at a step of this type."""
        of_type = {"type": step_type}
        if step_type in CHANNELS:
            channel = CHANNELS[step_type]
            self._channels.add(channel)
            self._do(
                connection,
                "send",
                channel=channel,
                kind=self.work.kind.name,
                leaves=self.work.kind.exits_unreachable,
                **of_type,
            )
        elif step_type == "webhook":
            due = self._do(connection, "due_steps", **of_type).scalars()
            self._endpoints.update(self.work.endpoints[number] for number in due)
            self._do(connection, "webhook", event=REACHED, **of_type)
        elif step_type == "wait":
            self._do(connection, "begin_wait", zone=self.work.zone.key, **of_type)
            self._do(connection, "pass", **of_type)
        elif step_type in _PASSING:
            self._do(connection, "pass", **of_type)
        elif step_type == "branch":
            self._branch(connection)
        elif step_type == "wait_for":
            self._do(connection, "wait_for", **of_type)
            self._do(connection, "keep_waiting")
        elif step_type == "split":
            self._do(connection, "split", **of_type)
        elif step_type == "update_contact":
            self._do(connection, "lock_contacts")
            date_changes(connection, self.work.tick)
            self._do(connection, "update_contact", columns=list(SETTABLE), **of_type)
        elif step_type == "create_task":
            self._do(connection, "create_task", job=self.work.kind.moved_by, **of_type)
        else:
            self._do(connection, "exit", **of_type)

    def _branch(self, connection: sa.Connection) -> None:
        due = set(self._do(connection, "due_steps", type="branch").scalars())
        own = [branch for branch in plan.branches(self.work.planned) if branch[0].id in due]
        # Answers from before a savepoint was rolled back are kept: they may have taken long.
        asked = [branch for branch in own if branch[0].problem is None]
        problems = self._ask(connection, [branching.of_step(*branch) for branch in asked])
        for one, _ in asked:
            one.problem = one.problem or problems.get(one.id)
        self._block(connection, [one for one, _ in own if one.problem is not None])
        self._do(connection, "branch", type="branch")

    def _end_due(self, connection: sa.Connection) -> int:
        """Ends claimed contacts that are due and have reached the exit or goal of their program."""
        held = {
            one.program.id
            for one in self.work.planned
            if one.type == plan.ENTRANCE and one.problem is not None
        }
        asked = [
            one for one in self.work.endings if one.rule is not None and one.program.id not in held
        ]
        problems = self._ask(
            connection, [branching.of_program(one.id, one.program, one.rule) for one in asked]
        )
        for one in asked:
            if one.id in problems:
                self._block_program(connection, one.program.id, f"{one.column}: {problems[one.id]}")
        ended: int = self._do(connection, "end_due", kind=self.work.kind.name).rowcount
        return ended

    def _ask(
        self, connection: sa.Connection, questions: Sequence[branching.Question]
    ) -> dict[int, str]:
        """Evaluates rules for claimed contacts; returns why some cannot be, by question."""
        problems = branching.answer(
            connection, questions, now=self.work.tick, reporting_zone=self.work.zone
        )
        # A rule that was ended because of it is not broken.
        self._refuse_if_stopped()
        return problems

    def _block(self, connection: sa.Connection, steps: Sequence[PlannedStep]) -> None:
        """Leaves contacts at the steps, because these cannot be done."""
        if steps:
            connection.execute(read_sql("block_steps"), {"steps": [one.id for one in steps]})

    def _advance(self, connection: sa.Connection) -> Counter[str]:
        """Stores the results of the steps and advances the claimed contacts."""
        self._do(connection, "record_results")
        rows = self._do(connection, "advance").all()
        connection.execute(sa.text("truncate outcomes"))
        return Counter({f"{row.type} {row.outcome}": row.number for row in rows})

    def _do(self, connection: sa.Connection, name: str, **values: Any) -> Any:
        self._refuse_if_stopped()
        return connection.execute(read_sql(name), {"tick": self.work.tick, **values})

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise StoppedError


def _is_of_data(error: sa.exc.DBAPIError) -> bool:
    """Returns true if a row made the statement fail: by a value, a constraint, a trigger."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return not error.connection_invalidated and state[:2] in _OF_DATA


def _is_collision(error: sa.exc.DBAPIError) -> bool:
    """Returns true if another transaction was in the way, by a deadlock or a change."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return not error.connection_invalidated and state.startswith("40")
