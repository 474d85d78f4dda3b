"""Changes since the last pass that a pass looks at first.

The columns that an enrolment derives from its step are renewed if the step was edited, a wait until
a local time if the time zone changed. Contacts of cancelled programs leave, contacts of sequences
that unsubscribed or bounced, and contacts whose exit or goal is an event that arrived, also while
they wait.
"""

import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle import steps
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import read_sql
from marketing_pipelines.domains.lifecycle.steps import StepError, WaitFor
from marketing_pipelines.domains.segments import dates
from marketing_pipelines.stores.postgres import Begin

PAGE = 10_000


@dataclass(frozen=True)
class Changes:
    """Changes that the programs of one kind have not applied yet.

    Attributes:
        begin: Opens a transaction at read committed.
        page: Rows processed at once.
    """

    begin: Begin
    kind: ProgramKind
    tick: dt.datetime
    page: int = PAGE

    def renew(self) -> None:
        """Renews the columns that enrolments derive from edited rows."""
        with self.begin() as connection:
            edited = self._do(connection, "take_edited_steps").all()
            if edited:
                self._do(connection, "renew_at_steps", rows=[_renewal(step) for step in edited])
        last, changes = 0, self.page
        while changes == self.page:
            with self.begin() as connection:
                done = self._do(connection, "renew_zones", after=last, size=self.page).one()
            last, changes = done.last, done.changes

    def end_cancelled(self) -> int:
        """Ends active enrolments of cancelled programs; returns their number."""
        total, ended = 0, self.page
        while ended == self.page:
            with self.begin() as connection:
                self._do(connection, "mark_by_itself")
                done = self._do(connection, "end_cancelled", size=self.page).one()
                if done.ended and self.kind.has_own_events:
                    self._do(connection, "mark_days", instants=done.instants)
            ended = done.ended
            total += ended
        return total

    def end_unreachable(self) -> int:
        """Ends enrolments of contacts that are not to be written to; returns how many."""
        total, last, changes = 0, 0, self.page
        while changes == self.page:
            with self.begin() as connection:
                done = self._do(connection, "end_unreachable", after=last, size=self.page).one()
            last, changes = done.last, done.changes
            total += done.ended
        return total

    def end_at_events(self) -> int:
        """Ends enrolments whose exit or goal is an event that has arrived; returns how many."""
        total, last, arrivals = 0, 0, self.page
        while arrivals == self.page:
            with self.begin() as connection:
                self._do(connection, "mark_by_itself")
                done = self._do(connection, "end_at_events", after=last, size=self.page).one()
                if done.ended and self.kind.has_own_events:
                    self._do(connection, "mark_days", instants=[self.tick])
            last, arrivals = done.last, done.arrivals
            total += done.ended
        return total

    def _do(self, connection: sa.Connection, name: str, **values: Any) -> Any:
        return connection.execute(
            read_sql(name), {"kind": self.kind.name, "tick": self.tick, **values}
        )


def _renewal(edited: Any) -> Mapping[str, Any]:
    """An edited step as `renew_at_steps` takes it; without a timeout where it cannot be read."""
    timeout = None
    if edited.type == "wait_for":
        with contextlib.suppress(StepError):
            step = steps.parse(edited.type, steps.read_stored(edited.config))
            assert isinstance(step, WaitFor)
            timeout = dates.length_or_zero(step.timeout) / dt.timedelta(seconds=1)
    return {
        "step_id": edited.id,
        "program_id": edited.program_id,
        "type": edited.type,
        "enabled": edited.enabled,
        "timeout_seconds": timeout,
    }
