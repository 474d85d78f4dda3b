"""Explains a contact's place in a program: results of its steps, and the next step."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import contacts, organizations
from marketing_pipelines.domains.lifecycle import plan
from marketing_pipelines.domains.lifecycle.entry_rules import entry_rules
from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
from marketing_pipelines.domains.lifecycle.programs import Program, find_program, read_sql
from marketing_pipelines.domains.lifecycle.steps import CHANNELS, Fork, Split, WaitFor
from marketing_pipelines.domains.lifecycle.ways import way_of, way_outcome
from marketing_pipelines.domains.segments.buckets import BUCKETS, bucket
from marketing_pipelines.domains.segments.explaining import written_instant
from marketing_pipelines.stores.tables import item_failures

MAX_ENROLMENTS = 10
REASONS = {
    "no_address": "it has no address for that",
    "unsubscribed": "the contact unsubscribed",
    "not_subscribed": "the contact did not subscribe to the category of the message",
    "unconfirmed": "the contact has not confirmed its subscription",
    "hard_bounce": "messages to the contact bounce for good",
    "bounced": "a mail to the contact bounced",
    "complaint": "the contact complained",
    "soft_bounce": "messages to the contact bounced again and again",
    "do_not_contact": "the contact is marked as do not contact",
    "invalid_number": "its phone number is not valid",
    "same_address": "another contact with its address gets the message",
    "expired": "it was not sent in time",
    "quiet_hours": "it waits for the end of the contact's quiet hours",
    "frequency_cap": "the contact has had as many messages as its caps allow",
    "warmup": "the domain's day of warm-up is full",
    "exit step": "it came to an exit",
    "cancelled": "the program was cancelled",
    "time is out": "the time was out",
    "goal": "it reached the goal of the program",
    "endpoint_disabled": "the webhook endpoint of the step is disabled",
    "exit": "the exit of the program applied to it",
}


@dataclass(frozen=True)
class Happened:
    """The result of one step.

    Attributes:
        step: Its name and type.
        because: Its reason, and the state of its message; empty: the outcome is enough.
    """

    at: dt.datetime
    step: str
    outcome: str
    because: str


@dataclass(frozen=True)
class Enrolment:
    """One time in the program.

    Attributes:
        trigger: The trigger that enrolled the contact; None: a file or a person did.
        ended_at: None: it is under way.
        reason: Why it ended, in words; empty: it went through the last step, or has not ended.
        step: Its present or last step.
        since: Instant of its arrival there.
        following: Sentences about what happens next and when; none where it has ended.
    """

    rotation: int
    entered_at: dt.datetime
    trigger: str | None
    status: str
    ended_at: dt.datetime | None
    reason: str
    step: str
    since: dt.datetime
    happened: list[Happened]
    following: list[str]


@dataclass(frozen=True)
class ProgramExplanation:
    """The state of one contact in one program.

    Attributes:
        program: Its kind and external id.
        enrolments: The latest times that the contact was in it, oldest first.
        earlier: Number of earlier ones.
        entry_rules: Sentences about the triggers that could enrol a contact that never was in the
            program.
    """

    program: str
    status: str
    enrolments: list[Enrolment]
    earlier: int
    entry_rules: list[str]


def explain(
    connection: sa.Connection,
    organization_id: int,
    contact_id: int,
    kind: ProgramKind,
    name: str,
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> ProgramExplanation:
    """Explains the past and the next steps of a contact in a program.

    Args:
        name: External id of the program, or its number.
        reporting_zone: The zone of organizations that have none.

    Raises:
        BadInputError: the organization has no such program.
    """
    program, status = find_program(connection, organization_id, kind, name)
    who = {"kind": kind.name, "program": program.id, "contact": contact_id}
    latest = {"most": MAX_ENROLMENTS, "tick": now}
    rows = connection.execute(read_sql("enrolments_of_contact"), who | latest).all()[::-1]
    future = _Future(connection, program, status, contact_id, now)
    happened = _happened(connection, [row.id for row in rows])
    enrolments = [
        Enrolment(
            rotation=row.rotation,
            entered_at=row.entered_at,
            trigger=row.trigger,
            status=row.status,
            ended_at=row.ended_at,
            reason=in_words(row.reason),
            step=future.name_of(row.step_id),
            since=row.since,
            happened=happened.get(row.id, []),
            following=list(future.of(row)) if row.status == "active" else [],
        )
        for row in rows
    ]
    return ProgramExplanation(
        program=program.name,
        status=status,
        enrolments=enrolments,
        earlier=rows[0].number - len(rows) if rows else 0,
        entry_rules=[]
        if rows
        else list(
            entry_rules(
                connection, program, status, contact_id, now=now, reporting_zone=reporting_zone
            )
        ),
    )


def _happened(connection: sa.Connection, enrolments: Sequence[int]) -> dict[int, list[Happened]]:
    found: dict[int, list[Happened]] = {}
    for row in connection.execute(read_sql("enrolment_results"), {"enrolments": list(enrolments)}):
        parts = [in_words(row.reason), _of_message(row)]
        found.setdefault(row.enrolment_id, []).append(
            Happened(
                at=row.at,
                step=f"{row.step} ({row.type})" if row.type else row.step,
                outcome=way_outcome(row.way) if row.way else row.outcome,
                because="; ".join(part for part in parts if part),
            )
        )
    return found


def _of_message(row: Any) -> str:
    if row.message is None:
        return ""
    sent = f"was sent at {written_instant(row.sent_at)}" if row.sent_at else "was sent"
    became = {
        "queued": f"is queued, to be sent from {written_instant(row.due_at)} on",
        "claimed": "is being sent",
        "sent": sent,
        "delivered": f"{sent} and delivered",
        "bounced": f"{sent} and bounced",
        "suppressed": "was not sent",
        "failed": "could not be sent",
        "unknown": "may have been sent or not",
    }[row.state]
    text = f"message {row.message} {became}"
    return f"{text}: {in_words(row.message_reason)}" if row.message_reason else text


def in_words(reason: str | None) -> str:
    """A stored reason as a clause without a period; empty: there is none."""
    return REASONS.get(reason, reason).rstrip(".") if reason else ""


@dataclass
class _Future:
    """The expected next steps of one contact in one program."""

    connection: sa.Connection
    program: Program
    status: str
    contact_id: int
    now: dt.datetime

    @cached_property
    def planned(self) -> dict[int, PlannedStep]:
        """The steps by number, in their order."""
        steps = plan.read(self.connection, self.program.kind, [self.program])
        return {one.id: one for one in steps}

    @cached_property
    def unreachable(self) -> Mapping[str, Any]:
        """The reasons against writing to the contact, by channel."""
        rows = self.connection.execute(
            read_sql("unreachable"), {"contact": self.contact_id, "now": self.now}
        )
        return {row.channel: row for row in rows}

    def leaves(self, row: Any) -> Any:
        """Returns the reason for which the next pass removes the contact; None: it stays."""
        if not self.program.kind.exits_unreachable:
            return None
        mail = self.unreachable.get("email")
        if mail is not None and mail.reason != "no_address":
            return mail
        asked = {"contact": self.contact_id, "entered_at": row.entered_at, "now": self.now}
        return self.connection.execute(read_sql("bounced"), asked).first()

    def name_of(self, step_id: int | None) -> str:
        """A step's name and type; the entrance is before the first."""
        if step_id is None or step_id not in self.planned:
            return "the entrance"
        one = self.planned[step_id]
        return f"step {one.name} ({'switched off' if one.type == plan.SWITCHED_OFF else one.type})"

    def of(self, row: Any) -> Iterator[str]:
        """Sentences about the next step of an enrolment that is under way."""
        if self.status == "cancelled":
            yield f"The {self.program.kind} is cancelled: it leaves at the next pass."
            return
        if self.status != "active":
            yield (f"The {self.program.kind} is {self.status}: nothing moves until it is active.")
        elif not self.planned:
            yield f"The {self.program.kind} has no steps: nothing moves until it has one."
            return
        one = self.planned.get(-self.program.id if row.step_id is None else row.step_id)
        if one is None:
            return
        if row.is_due and self.status == "active":
            blocked = one.problem or self._blocked(one)
            if blocked:
                yield f"It is held at {self.name_of(row.step_id)}: {blocked}"
                return
        yield from self._moves(row, one)
        if self.leaves(row) is None:
            yield from self._unreached(one)

    def _blocked(self, one: PlannedStep) -> str | None:
        """Returns the last pass's reason for holding contacts at this step; None: it moved them."""
        failure = self.connection.execute(
            sa.select(item_failures.c.error, item_failures.c.last_failed_at).where(
                item_failures.c.job == self.program.kind.moved_by,
                item_failures.c.item == str(self.program),
            )
        ).first()
        # Of a whole program that is held, the first step is named, which is the entrance.
        entrance = self.planned[-self.program.id]
        for place in (entrance,) if one.type == plan.SWITCHED_OFF else (one, entrance):
            if failure is not None and failure.error.startswith(f"{place}: "):
                reason = failure.error.removeprefix(f"{place}: ")
                tried = written_instant(failure.last_failed_at)
                return f"{reason} The pass of {tried} said so; the next one tries again."
        return None

    def _moves(self, row: Any, one: PlannedStep) -> Iterator[str]:
        when = written_instant(row.next_step_at)
        moved = "when it is active" if self.status != "active" else "at the next pass"
        leaves = self.leaves(row)
        if leaves is not None:
            since = written_instant(leaves.since)
            yield f"It leaves {moved}: {in_words(leaves.reason)} at {since}."
        elif isinstance(one.step, WaitFor) and not row.is_due:
            yield from self._waits_for(row, one, one.step, moved)
        elif not row.is_due and one.problem:
            held = f"it is held until its step is corrected: {one.problem}"
            yield f"It waits until {when}; then {held}"
        elif not row.is_due:
            yield f"It waits until {when}; then {self._does(one)}."
        else:
            yield f"It is due since {when}: {moved} {self._does(one)}."

    def _waits_for(self, row: Any, one: PlannedStep, step: WaitFor, moved: str) -> Iterator[str]:
        campaigns = plan.named_campaigns(self.connection, [one])
        event = self.connection.execute(
            read_sql("awaited_event"),
            {
                "contact": self.contact_id,
                "event": step.event,
                "since": row.since,
                "until": row.next_step_at,
                "let_in_by": row.let_in_by,
                "sources": plan.source_ids(one, step, campaigns),
            },
        ).first()
        names = [step.source] if isinstance(step.source, str) else step.source or []
        own = f"this {self.program.kind}"
        of = " or ".join(own if name == "program" else f"campaign {name}" for name in names)
        waited = f"It waits for an event '{step.event}'" + (f" of {of}" if of else "")
        if event is not None:
            yield (
                f"{waited}, which has come, {event.event_id} at "
                f"{written_instant(event.occurred_at)}: {moved} {self._leads(one, 'yes')}."
            )
        else:
            yield (
                f"{waited} until {written_instant(row.next_step_at)}; `yes`, it comes: "
                f"{self._leads(one, 'yes')}; `no`, it does not: {self._leads(one, 'no')}."
            )

    def _does(self, one: PlannedStep) -> str:
        """Describes the effect of the step, as the end of a sentence."""
        if isinstance(one.step, Fork):
            asked = "the rule is asked" if one.type == "branch" else "its event is looked for"
            return f"{asked}; `yes`: {self._leads(one, 'yes')}; `no`: {self._leads(one, 'no')}"
        if isinstance(one.step, Split):
            bucket, way = self._way(one, one.step)
            leads = self._leads(one, way_outcome(way))
            return f"it goes way {way}, its bucket being {bucket} of {BUCKETS}, and {leads}"
        if one.type in (plan.ENTRANCE, plan.SWITCHED_OFF, "wait"):
            return self._leads(one, "next")
        if one.type == "exit":
            return "it leaves by the exit"
        is_unreachable = CHANNELS.get(one.type) in self.unreachable
        if is_unreachable and self.program.kind.exits_unreachable:
            return f"it leaves at step {one.name} ({one.type})"
        does = "is skipped" if is_unreachable else "is done"
        return f"step {one.name} ({one.type}) {does}, and {self._leads(one, 'next')}"

    def _way(self, one: PlannedStep, step: Split) -> tuple[int, str]:
        """The contact's bucket at a split, and the way that it goes."""
        own = self.connection.execute(
            sa.select(bucket(organizations.c.external_id, contacts.c.external_id, one.salt)).where(
                contacts.c.id == self.contact_id, organizations.c.id == contacts.c.organization_id
            )
        ).scalar_one()
        return own, way_of(step.ways, own)

    def _leads(self, one: PlannedStep, outcome: str) -> str:
        target = one.targets.get(outcome)
        if target is None:
            return f"it has completed the {self.program.kind}"
        return f"it goes on to {self.name_of(target)}"

    def _unreached(self, current: PlannedStep) -> Iterator[str]:
        """Steps from here on that do not reach the contact on any path."""
        numbers = list(self.planned)
        ahead = [self.planned[number] for number in numbers[numbers.index(current.id) :]]
        for channel, row in self.unreachable.items():
            steps = [one.name for one in ahead if CHANNELS.get(one.type) == channel]
            if steps:
                since = f" at {written_instant(row.since)}" if row.since else ""
                reason = f"{in_words(row.reason)}{since}."
                if self.program.kind.exits_unreachable:
                    yield f"It leaves where it comes to {' or '.join(steps)}: {reason}"
                else:
                    yield f"Of the steps ahead, {', '.join(steps)} will be skipped: {reason}"
