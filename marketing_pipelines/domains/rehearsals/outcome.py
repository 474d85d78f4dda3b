"""The outcome of a rehearsal: who gets what when, and what keeps messages back."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle.explaining import in_words
from marketing_pipelines.domains.rehearsals.running import Run
from marketing_pipelines.domains.rehearsals.statements import read_sql
from marketing_pipelines.zones import offsets

MANY_LATE = 0.5


@dataclass(frozen=True)
class StepCount:
    """Contacts of a step with one outcome; `waiting`: they are still there at the end."""

    step: str
    type: str
    outcome: str
    contacts: int
    first_at: dt.datetime | None
    last_at: dt.datetime | None


@dataclass(frozen=True)
class MessageCount:
    """Messages of a step with one state and reason.

    Attributes:
        reason: In words; empty: there is none.
        late: Those that left five minutes or more after their step.
        late_by: Their median delay; None: there are none.
    """

    step: str
    channel: str
    state: str
    reason: str
    messages: int
    late: int
    late_by: dt.timedelta | None


@dataclass(frozen=True)
class DayCount:
    """Messages of a step that leave on a day of the reporting zone."""

    day: dt.date
    step: str
    channel: str
    messages: int


@dataclass(frozen=True)
class ContactEvent:
    """One thing that happens to a contact.

    Attributes:
        step: None: it is about the program as a whole.
    """

    contact: str
    at: dt.datetime
    step: str | None
    what: str
    reason: str


@dataclass(frozen=True)
class Rehearsal:
    """A program in the rehearsed days.

    Attributes:
        status: Present status of the program.
        contacts: Number of contacts of the rehearsal.
        problems: Sentences about what cannot be done as it is.
        notes: Sentences about what is otherwise than one may expect.
        ended: Contacts by status and reason of their enrolment.
        postponed: How often messages had to wait, by reason.
        instants: Number of instants at which something was due.
    """

    program: str
    organization: str
    status: str
    contacts: int
    starts_at: dt.datetime
    ends_at: dt.datetime
    problems: Sequence[str]
    notes: Sequence[str]
    steps: Sequence[StepCount]
    messages: Sequence[MessageCount]
    days: Sequence[DayCount]
    ended: Sequence[tuple[str, str, int]]
    postponed: dict[str, int]
    timelines: Sequence[ContactEvent]
    instants: int
    seconds: float


def read(
    connection: sa.Connection,
    run: Run,
    *,
    status: str,
    contacts: int,
    problems: Sequence[str],
    notes: Sequence[str],
    seconds: float,
) -> Rehearsal:
    """Reads the outcome from the scratch database."""
    values = {
        "kind": run.program.kind.name,
        "program": run.program.id,
        "since": run.starts_at,
        "zone": run.zone.key,
    }

    def rows(name: str) -> Sequence[Any]:
        return connection.execute(read_sql(name), values).all()

    with connection.begin():
        connection.exec_driver_sql(
            "analyze lifecycle.enrolments, lifecycle.step_results, delivery.messages"
        )
        messages = [
            MessageCount(
                step=row.step,
                channel=row.channel,
                state=row.state,
                reason=in_words(row.reason),
                messages=row.messages,
                late=row.late,
                late_by=None
                if row.late_seconds is None
                else dt.timedelta(seconds=round(row.late_seconds)),
            )
            for row in rows("message_counts")
        ]
        return Rehearsal(
            program=run.program.name,
            organization=run.program.organization,
            status=status,
            contacts=contacts,
            starts_at=run.starts_at,
            ends_at=run.ends_at,
            problems=[*problems, *_blocked(run, problems)],
            notes=[*notes, *_notes(run, status, messages, rows("zones"))],
            steps=[StepCount(*row) for row in rows("step_counts")],
            messages=messages,
            days=[DayCount(*row) for row in rows("sends_by_day")],
            ended=[
                (row.status, in_words(row.reason), row.contacts) for row in rows("enrolment_counts")
            ],
            postponed={in_words(reason): number for reason, number in run.postponed.items()},
            timelines=[
                ContactEvent(row.contact, row.at, row.step, row.what, in_words(row.reason))
                for row in rows("timelines")
            ],
            instants=run.instants,
            seconds=round(seconds, 3),
        )


def _blocked(run: Run, problems: Sequence[str]) -> Iterator[str]:
    """Sentences about contacts that could not be moved, where no known problem says so."""
    for reason, since in run.blocked.items():
        if not any(reason.rpartition(": ")[2] in problem for problem in problems):
            yield f"From {since:%Y-%m-%d %H:%M} UTC on, contacts wait: {reason}"


def _notes(
    run: Run, status: str, messages: Sequence[MessageCount], zones: Sequence[Any]
) -> Iterator[str]:
    if status != "active":
        yield f"It is {status}; it is rehearsed as if it were activated at the beginning."
    sent = sum(one.messages for one in messages if one.state == "sent")
    late = sum(one.late for one in messages)
    if sent and late >= MANY_LATE * sent:
        yield f"{late:,} of {sent:,} messages leave later than their step."
    for reason, number in run.postponed.items():
        yield f"Messages are put off {number:,} times: {in_words(reason)}."
    waiting = sum(one.messages for one in messages if one.state == "queued")
    if waiting:
        yield f"{waiting:,} messages have not left at the end."
    for row in zones:
        for offset in offsets(row.zone):
            if offset.starts_at is not None and run.starts_at <= offset.starts_at < run.ends_at:
                yield (
                    f"Clocks change in {row.zone} at {offset.starts_at:%Y-%m-%d %H:%M} UTC "
                    f"({row.contacts:,} contacts): a wait of days keeps the time of day, a wait of "
                    "hours does not; a time that is skipped comes at the next existing one."
                )
