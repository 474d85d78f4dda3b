"""Runs a program in a scratch database, from one due instant to the next.

At an instant come, in this order: memberships of segments, entries, steps, the gate. Jobs work at
their ticks, so an instant that is due between two ticks is worked at the later one; messages leave
at the instant at which the gate lets them through, as workers send them. Sending always succeeds.
"""

import contextlib
import datetime as dt
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.completions import complete_all
from marketing_pipelines.domains.campaigns.starts import start_scheduled
from marketing_pipelines.domains.delivery import claiming, due, lanes, settling
from marketing_pipelines.domains.journeys import entries, segment_entries
from marketing_pipelines.domains.lifecycle.engine import StepPass
from marketing_pipelines.domains.lifecycle.programs import Program
from marketing_pipelines.domains.rehearsals.assumed_events import AssumedEvents
from marketing_pipelines.domains.rehearsals.statements import read_sql
from marketing_pipelines.domains.segments import evaluation
from marketing_pipelines.runs.items import ItemFailures

# The jobs that move contacts run every five minutes, segments and completions every hour.
PASS, HOUR = dt.timedelta(minutes=5), dt.timedelta(hours=1)
# Times of day of triggers are those of zones whose offsets are multiples of this.
DATES = dt.timedelta(minutes=15)
CLAIM = 10_000
LEASE = dt.timedelta(minutes=5)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass
class Run:
    """A program on its way through some days.

    Attributes:
        connection: To the scratch database; one transaction after the other.
        zone: The reporting zone.
        ends_at: The first instant that is not worked.
        blocked: Reasons for which contacts could not be moved, each with its first instant.
        postponed: Messages that had to wait, by reason.
        instants: Number of worked instants.
    """

    connection: sa.Connection
    program: Program
    zone: ZoneInfo
    starts_at: dt.datetime
    ends_at: dt.datetime
    events: AssumedEvents
    blocked: dict[str, dt.datetime] = field(default_factory=dict)
    postponed: Counter[str] = field(default_factory=Counter)
    instants: int = 0

    def instants_worked(self) -> Iterator[dt.datetime]:
        """Works the instants one after the other; yields each when it is done."""
        with self._begin() as connection:
            self._uses = connection.execute(
                read_sql("uses"), {"kind": self.program.kind.name, "program": self.program.id}
            ).one()
        now: dt.datetime | None = self.starts_at
        while now is not None and now < self.ends_at:
            self._work(now)
            self.instants += 1
            yield now
            now = self._next(now)

    def _work(self, now: dt.datetime) -> None:
        if now == rounded_up(now, PASS):
            self.events.insert_until(now)
            if self._uses.segments:
                self._evaluate_segments(now)
            self._enter(now)
            self._move(now)
        self._send(now)

    def _evaluate_segments(self, now: dt.datetime) -> None:
        by_time = now == rounded_up(now, HOUR)
        with self._begin() as connection:
            if not by_time and not evaluation.is_due(connection):
                return
            organizations = evaluation.due(connection, by_time=by_time)
        failures = ItemFailures(evaluation.JOB, now)
        for organization in organizations:
            with self._begin("REPEATABLE READ") as connection:
                evaluation.SegmentPass(connection, organization, now, self.zone, retry=by_time).run(
                    failures.attempts
                )
        self._note(failures, now)

    def _enter(self, now: dt.datetime) -> None:
        failures = ItemFailures(segment_entries.JOB, now)
        if self._uses.schedule:
            with self._begin() as connection:
                start_scheduled(connection, now, failures)
        if self._uses.segments:
            segment_entries.start_by_segments(self._begin, now, failures.attempts)
        if self._uses.entries:
            entries.start_due(self._begin, now, self.zone, failures.attempts)
        self._note(failures, now)

    def _move(self, now: dt.datetime) -> None:
        kind = self.program.kind
        failures = ItemFailures(kind.moved_by, now)
        StepPass(self._begin, kind, now, self.zone, failures).run()
        self._note(failures, now)
        if kind.name == "campaign" and now == rounded_up(now, HOUR):
            with self._begin() as connection:
                complete_all(connection, now, failures.attempts)

    def _note(self, failures: ItemFailures, now: dt.datetime) -> None:
        if failures.failed:
            self.blocked.setdefault(failures.last_error, now)

    def _send(self, now: dt.datetime) -> None:
        """Hands over every message that may go."""
        for channel in self._waiting_channels():
            with self._begin() as connection:
                streams = lanes.streams(connection, channel, now, self.zone)
            servers = {one.server_id for one in streams if one.opens_at <= now}
            for server_id in sorted(servers, key=lambda one: one or 0):
                for _ in itertools.count():
                    if not self._send_some(channel, server_id, now):
                        break

    def _send_some(self, channel: str, server_id: int | None, now: dt.datetime) -> int:
        with self._begin() as connection:
            settling.prepare(connection, now.date())
            claimed = claiming.claim(
                connection,
                channel,
                limit=CLAIM,
                lease=LEASE,
                now=now,
                zone=self.zone,
                server_id=server_id,
            )
            self.postponed.update(claimed.postponed_by)
            ends = [settling.ended(one, "sent", sent_at=now) for one in claimed.messages]
            settling.settle(connection, ends)
        return claimed.judged

    def _waiting_channels(self) -> list[str]:
        with self._begin() as connection:
            return list(connection.execute(read_sql("waiting_channels")).scalars())

    def _next(self, now: dt.datetime) -> dt.datetime | None:
        """The next instant at which something is due; None: nothing is any more."""
        channels = self._waiting_channels()
        with self._begin() as connection:
            found = [
                at
                for at in (due.next_at(connection, channel, now) for channel in channels)
                if at is not None and at > now
            ]
            step_at = connection.execute(
                read_sql("next_step_at"),
                {"kind": self.program.kind.name, "program": self.program.id, "now": now},
            ).scalar()
        for at in (step_at, self.events.next_at()):
            if at is not None:
                found.append(rounded_up(max(at, now + dt.timedelta(microseconds=1)), PASS))
        for uses, every in ((self._uses.segments, HOUR), (self._uses.dates, DATES)):
            if uses:
                found.append(rounded_up(now + dt.timedelta(microseconds=1), every))
        return min(found, default=None)

    @contextlib.contextmanager
    def _begin(self, isolation: str = "READ COMMITTED") -> Iterator[sa.Connection]:
        connection = self.connection.execution_options(isolation_level=isolation)
        with connection.begin():
            yield connection


def rounded_up(instant: dt.datetime, step: dt.timedelta) -> dt.datetime:
    """The first whole step of UTC at or after an instant."""
    return _EPOCH - (_EPOCH - instant) // step * step
