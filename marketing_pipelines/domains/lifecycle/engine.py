"""The step engine: moves due contacts through the steps of their programs.

A pass reads the programs and their steps once, and has workers do the work: one, or several where
more than a batch is due, each on a connection of its own. Passes and workers share the work
alike: each locks the contacts that it claims and skips contacts of others. The engine knows a kind
    of program only by its declaration (`program_kinds`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import contents
from marketing_pipelines.domains.lifecycle import endings, plan
from marketing_pipelines.domains.lifecycle.batch_worker import BatchWorker, ExtraConnection
from marketing_pipelines.domains.lifecycle.changes import Changes
from marketing_pipelines.domains.lifecycle.parallel import run_parallel
from marketing_pipelines.domains.lifecycle.pass_plan import BATCH, Moved, PassPlan
from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import Program, read_sql
from marketing_pipelines.domains.lifecycle.step_endpoints import endpoints_of
from marketing_pipelines.domains.lifecycle.step_messages import messages_of
from marketing_pipelines.domains.webhooks.publishing import REACHED
from marketing_pipelines.domains.webhooks.tasks import ring
from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines.stores.postgres import Begin

ARRIVALS = 10_000


class StuckError(MarketingPipelinesError):
    """Contacts cannot be moved; it says why, and they stay where they are."""


class Failures(Protocol):
    """The counter of failed items; `runs.items.ItemFailures` is one."""

    def all_succeeded(self, connection: sa.Connection, items: Sequence[str]) -> None: ...

    def failed_with(self, connection: sa.Connection, item: str, error: Exception) -> None: ...


@dataclass
class PassReport(Moved):
    """Counts of a pass.

    Attributes:
        programs: Active programs with contacts who were due.
        idle: Those without.
        woken: Contacts whose awaited event has arrived.
        connections: Number of connections over which contacts were moved.
        blocked: Programs with contacts who stay where they are, with the reason.
        blocked_programs: Their numbers.
    """

    programs: int = 0
    idle: int = 0
    woken: int = 0
    connections: int = 0
    blocked: dict[str, str] = field(default_factory=dict)
    blocked_programs: set[int] = field(default_factory=set)


@dataclass
class StepPass:
    """One pass over the programs of a kind.

    Attributes:
        begin: Opens a transaction at read committed; all of them on one connection.
        tick: Contacts that are due at it are moved.
        zone: The reporting zone.
        extra_connection: Opens another connection for a thread of its own; yields its `begin`.
        connections: Largest number of connections if more than a batch is due.
    """

    begin: Begin
    kind: ProgramKind
    tick: dt.datetime
    zone: ZoneInfo
    failures: Failures
    batch: int = BATCH
    arrivals: int = ARRIVALS
    extra_connection: ExtraConnection | None = None
    connections: int = 1
    report: PassReport = field(default_factory=PassReport)

    def run(self) -> PassReport:
        """Moves all contacts that are due.

        Raises:
            DBAPIError: the database is in the way; batches before it are done.
        """
        changes = Changes(self.begin, self.kind, self.tick)
        self._take_up(changes)
        self._wake()
        self._take_over_webhooks()
        self._count_ended(changes.end_at_events())
        with self.begin() as connection:
            programs = self._due_programs(connection)
            active = self._do(connection, "count_active", kind=self.kind.name).scalar_one()
            if programs:
                work = self._plan(connection, programs)
                number = self._workers_needed(connection, work)
        self.report.programs = len(programs)
        self.report.idle = max(active - len(programs), 0)
        if programs:
            self._move_all(work, number)
            with self.begin() as connection:
                self._conclude(connection, programs, work.planned)
        return self.report

    def _take_up(self, changes: Changes) -> None:
        """Takes up the changes since the last pass."""
        changes.renew()
        left = changes.end_cancelled()
        if self.kind.exits_unreachable:
            left += changes.end_unreachable()
        self._count_ended(left)

    def _count_ended(self, ended: int) -> None:
        if ended:
            self.report.ended["exited"] += ended
            self.report.moved_on += ended

    def _wake(self) -> None:
        """Makes contacts due whose awaited event has arrived."""
        taken, last = self.arrivals, 0
        while taken == self.arrivals:
            with self.begin() as connection:
                page = self._do(connection, "wake", after=last, size=self.arrivals).one()
            taken, last = page.arrivals, page.last
            self.report.woken += page.woken

    def _take_over_webhooks(self) -> None:
        """Makes deliveries of webhooks that former releases queued as messages."""
        taken = self.arrivals
        while taken == self.arrivals:
            with self.begin() as connection:
                rows = self._do(
                    connection,
                    "take_over_webhooks",
                    kind=self.kind.name,
                    event=REACHED,
                    size=self.arrivals,
                )
                endpoints = list(rows.scalars())
                ring(connection, set(endpoints))
            taken = len(endpoints)

    def _due_programs(self, connection: sa.Connection) -> list[Program]:
        rows = connection.execute(
            read_sql("due_programs"), {"kind": self.kind.name, "tick": self.tick}
        )
        return [Program(self.kind, *row) for row in rows]

    def _plan(self, connection: sa.Connection, programs: Sequence[Program]) -> PassPlan:
        """Reads the steps once: a pass does them as they were when it began."""
        planned = plan.read(connection, self.kind, programs)
        ends, problems = endings.read(connection, self.kind, programs)
        for one in planned:
            one.problem = one.problem or problems.get(one.program.id)
        messages, unknown = messages_of(connection, planned)
        endpoints, without = endpoints_of(connection, planned)
        unknown |= without
        for one in planned:
            one.problem = one.problem or unknown.get(one.id)
        wanted = {
            one.id: (one.program.organization_id, messages[one.id].content)
            for one in planned
            if one.id in messages
        }
        return PassPlan(
            kind=self.kind,
            tick=self.tick,
            zone=self.zone,
            batch=self.batch,
            programs=[program.id for program in programs],
            planned=planned,
            messages=messages,
            contents=contents.store(connection, wanted),
            endpoints=endpoints,
            campaigns=plan.named_campaigns(connection, planned),
            endings=ends,
        )

    def _workers_needed(self, connection: sa.Connection, work: PassPlan) -> int:
        """As many as there are batches due, and allowed."""
        most = work.batch * self.connections
        due: int = self._do(
            connection, "count_due", kind=self.kind.name, programs=work.programs, most=most
        ).scalar_one()
        return max(-(-due // work.batch), 1)

    def _move_all(self, work: PassPlan, number: int) -> None:
        """Moves every due contact over the given number of workers."""
        workers = [BatchWorker(work) for _ in range(number)]
        run_parallel(workers, self.begin, self.extra_connection)
        for worker in workers:
            self.report.add(worker.moved)
        self.report.connections = sum(worker.has_begun for worker in workers)

    def _conclude(
        self,
        connection: sa.Connection,
        programs: Sequence[Program],
        planned: Sequence[PlannedStep],
    ) -> None:
        """Counts each program as an item: done, or failed where contacts wait at a step of it."""
        broken = [one for one in planned if one.problem is not None]
        stuck = set(
            self._do(
                connection, "blocked_steps", kind=self.kind.name, steps=[one.id for one in broken]
            ).scalars()
            if broken
            else ()
        )
        first = {one.program.id: one for one in reversed(broken) if one.id in stuck}
        done = []
        for program in programs:
            blocked = first.get(program.id)
            if blocked is None:
                done.append(str(program))
                continue
            reason = f"{blocked}: {blocked.problem}"
            self.report.blocked[str(program)] = reason
            self.report.blocked_programs.add(program.id)
            self.failures.failed_with(connection, str(program), StuckError(reason))
        self.failures.all_succeeded(connection, done)

    def _do(self, connection: sa.Connection, name: str, **values: Any) -> Any:
        return connection.execute(read_sql(name), {"tick": self.tick, **values})
