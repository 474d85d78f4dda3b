"""The step engine as the specification says it, one contact after the other, in memory.

Steps are looked up by name in the program as it is at the tick. Nothing here is fast or clever.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from marketing_pipelines_tests.segments.naive import bucket

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
LATEST = dt.timedelta(hours=72)
UNITS = {"min": "minutes", "h": "hours", "d": "days"}
CHANNELS = {"send_email": "email", "send_sms": "sms", "send_push": "push"}


class Event(NamedTuple):
    """An act of a contact; `campaign` is the campaign it came from, `age` how old it was when it
    arrived, `plan` a property."""

    type: str
    at: dt.datetime
    campaign: str | None
    id: str
    age: dt.timedelta
    plan: str


class Message(NamedTuple):
    """A message to be sent."""

    program: str
    step: str
    contact: str
    rotation: int
    channel: str
    at: dt.datetime


class Result(NamedTuple):
    """The result of a step; `reason` without the number of an event, of a split the way."""

    outcome: str
    reason: str | None
    at: dt.datetime


@dataclass
class Contact:
    """A contact; `suppressed` holds since when, channel and reason, the earliest first, `bounces`
    when a mail to it bounced, `moved` the kinds whose next pass finds it in another zone."""

    name: str
    zone: ZoneInfo
    email: str | None = None
    phone: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    suppressed: list[tuple[dt.datetime, str, str]] = field(default_factory=list)
    bounces: list[dt.datetime] = field(default_factory=list)
    moved: set[str] = field(default_factory=set)


@dataclass
class Step:
    """A step; `broken` where its object cannot be done as it is written, `edited` since a pass."""

    name: str
    type: str
    config: dict[str, Any]
    enabled: bool = True
    broken: bool = False
    edited: bool = False


@dataclass
class Program:
    """A program with its steps in their order; exit and goal are types of events."""

    name: str
    kind: str
    steps: list[Step]
    status: str = "active"
    cancelled_at: dt.datetime | None = None
    exit: str | None = None
    goal: str | None = None


@dataclass
class Trigger:
    """Events of a type, or those of a plan, let their contacts into a program; `seen` holds those
    that did."""

    program: Program
    event: str
    policy: str
    created_at: dt.datetime
    plan: str | None
    seen: list[Event] = field(default_factory=list)


@dataclass
class Enrolment:
    """The place of a contact; `step` is None before the first.

    Attributes:
        let_in_by: The event that let the contact in.
        until: When its wait ends, from the arrival on; None: it is not known, or does not wait.
        awaits: Whether it waits for an event.
        was_held: Whether it was left at a broken step, so that the next pass has it in hand.
    """

    program: Program
    contact: Contact
    rotation: int
    entered_at: dt.datetime
    let_in_by: Event | None = None
    status: str = "active"
    reason: str | None = None
    step: str | None = None
    arrived_at: dt.datetime | None = None
    until: dt.datetime | None = None
    awaits: bool = False
    was_held: bool = False
    ended_at: dt.datetime | None = None
    results: dict[str, Result] = field(default_factory=dict)


@dataclass
class World:
    """Everything of one organization."""

    name: str = ""
    programs: list[Program] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    enrolments: list[Enrolment] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    tasks: list[tuple[str, str, str, int]] = field(default_factory=list)
    webhooks: list[tuple[str, str, str, int]] = field(default_factory=list)
    silenced: set[Message] = field(default_factory=set)
    goals: set[tuple[str, str, int]] = field(default_factory=set)

    def start(self, tick: dt.datetime) -> None:
        """Lets in the contacts of events that happened before the tick."""
        for trigger in self.triggers:
            if trigger.program.status == "active":
                for contact in self.contacts:
                    for event in sorted(contact.events, key=lambda each: (each.at, each.id)):
                        self._let_in(trigger, contact, event, tick)

    def _let_in(self, trigger: Trigger, contact: Contact, event: Event, tick: dt.datetime) -> None:
        before = self.enrolments_of(trigger.program, contact)
        is_young = trigger.created_at <= event.at and event.age <= LATEST
        if (
            event.type == trigger.event
            and trigger.plan in (None, event.plan)
            and event.at < tick
            and (is_young or trigger.policy == "backfill")
            and event not in trigger.seen
            and not (before and trigger.policy in ("once", "backfill"))
            and not (
                trigger.policy == "unless_active" and any(is_after(it, event) for it in before)
            )
        ):
            trigger.seen.append(event)
            rotation = len(before) + 1
            self.enrolments.append(Enrolment(trigger.program, contact, rotation, event.at, event))

    def enrolments_of(self, program: Program, contact: Contact) -> list[Enrolment]:
        """The times that a contact was in a program."""
        return [
            each for each in self.enrolments if each.program is program and each.contact is contact
        ]

    def move(self, kind: str, tick: dt.datetime) -> None:
        """Moves everybody in the active programs of a kind."""
        own = [each for each in self.enrolments if each.program.kind == kind]
        for enrolment in own:
            if enrolment.status == "active" and enrolment.step is not None:
                self._renew(enrolment, step_of(enrolment), tick)
        for program in self.programs:
            if program.kind == kind:
                for step in program.steps:
                    step.edited = False
        for contact in self.contacts:
            contact.moved.discard(kind)
        for enrolment in own:
            program = enrolment.program
            if program.status == "cancelled":
                self._cancel(enrolment, tick)
            elif program.status == "active" and program.steps:
                self._move(enrolment, tick)
            self._note_late_goal(enrolment, tick)

    def _renew(self, enrolment: Enrolment, step: Step, tick: dt.datetime) -> None:
        """Derives again what it remembers of a step that is another now, or of another zone."""
        waits = enrolment.until is not None and enrolment.until > tick
        if step.edited and enrolment.awaits:
            enrolment.awaits, enrolment.until = False, None
            if step.type == "wait_for" and not step.enabled and not step.broken:
                assert enrolment.arrived_at is not None
                enrolment.until = enrolment.arrived_at + length(step.config["timeout"])
        elif step.edited and step.enabled and step.type != "wait" and waits:
            enrolment.until = None
        if enrolment.program.kind in enrolment.contact.moved and is_local(step):
            waits = enrolment.until is not None and enrolment.until > tick
            enrolment.until = None if waits else enrolment.until

    def _cancel(self, enrolment: Enrolment, tick: dt.datetime) -> None:
        if enrolment.status == "active":
            assert enrolment.program.cancelled_at is not None
            since = enrolment.arrived_at or enrolment.entered_at
            ended_at = max(since, min(enrolment.program.cancelled_at, tick))
            self._end(enrolment, "exited", "cancelled", ended_at)

    def _move(self, enrolment: Enrolment, tick: dt.datetime) -> None:
        if enrolment.status != "active":
            return
        if enrolment.program.kind == "sequence" and enrolment.entered_at <= tick:
            reasons = suppressions(enrolment.contact, "email")
            if any(enrolment.entered_at <= bounce < tick for bounce in enrolment.contact.bounces):
                reasons.append("bounced")
            for reason in reasons:
                self._end(enrolment, "exited", reason, tick)
                return
        for reason, event in (("goal", enrolment.program.goal), ("exit", enrolment.program.exit)):
            if any(self._reached(enrolment, event, tick)):
                self._end(enrolment, "exited", reason, tick)
                self.silenced |= set(self._messages_of(enrolment))
                if reason == "goal":
                    self.goals.add(self._key(enrolment))
                return
        if not enrolment.was_held and not self._is_due(enrolment, tick):
            return
        enrolment.was_held = False
        while enrolment.status == "active" and self._is_due(enrolment, tick):
            if enrolment.step is None:
                self._arrive(enrolment, enrolment.program.steps[0].name, begin_of(enrolment, tick))
                continue
            step = step_of(enrolment)
            if is_broken(enrolment.program, step):
                enrolment.was_held = True
                return
            self._perform(enrolment, step, tick)

    def _reached(
        self, enrolment: Enrolment, event: str | None, tick: dt.datetime
    ) -> Iterator[Event]:
        """Events of a type since it entered and before the tick, but for the one that let it in."""
        for each in enrolment.contact.events:
            is_within = enrolment.entered_at <= each.at < tick
            if each.type == event and each != enrolment.let_in_by and is_within:
                yield each

    def _messages_of(self, enrolment: Enrolment) -> list[Message]:
        program, contact, rotation = self._key(enrolment)
        return [
            each
            for each in self.messages
            if (each.program, each.contact, each.rotation) == (program, contact, rotation)
        ]

    def _key(self, enrolment: Enrolment) -> tuple[str, str, int]:
        return (enrolment.program.name, enrolment.contact.name, enrolment.rotation)

    def _note_late_goal(self, enrolment: Enrolment, tick: dt.datetime) -> None:
        """A contact that went through reaches the goal up to 7 days after its last message."""
        messages = self._messages_of(enrolment)
        if enrolment.status == "completed" and messages:
            latest = max(message.at for message in messages) + dt.timedelta(days=7)
            events = self._reached(enrolment, enrolment.program.goal, tick)
            if any(event.at < latest for event in events):
                self.goals.add(self._key(enrolment))

    def _is_due(self, enrolment: Enrolment, tick: dt.datetime) -> bool:
        if enrolment.step is None:
            return enrolment.entered_at <= tick
        step = step_of(enrolment)
        if awaits_event(enrolment, step):
            assert enrolment.arrived_at is not None
            ends_at = enrolment.arrived_at + length(step.config["timeout"])
            enrolment.awaits = True
            return ends_at <= tick or any(self._events(enrolment, step, tick))
        if is_of(enrolment, step, "wait") and enrolment.until is None:
            enrolment.until = end_of_wait(enrolment, step)
        return enrolment.until is None or enrolment.until <= tick

    def _events(self, enrolment: Enrolment, step: Step, tick: dt.datetime) -> Iterator[Event]:
        """Events that happened from the arrival on, before time is out and before the tick."""
        assert enrolment.arrived_at is not None
        ends_at = enrolment.arrived_at + length(step.config["timeout"])
        source = step.config.get("source")
        wanted = enrolment.program.name if source == "program" else source
        for event in enrolment.contact.events:
            if (
                event.type == step.config["event"]
                and event != enrolment.let_in_by
                and enrolment.arrived_at <= event.at < tick
                and event.at < ends_at
                and (source is None or event.campaign == wanted)
            ):
                yield event

    def _perform(self, enrolment: Enrolment, step: Step, tick: dt.datetime) -> None:
        outcome, reason = "done", None
        if not step.enabled:
            outcome, reason = "skipped", "switched off"
        elif step.type in CHANNELS:
            channel = CHANNELS[step.type]
            reason = refusal(enrolment.contact, channel)
            if reason is not None and enrolment.program.kind == "sequence":
                self._end(enrolment, "exited", reason, tick)
                return
            if reason is not None:
                outcome = "skipped"
            elif not any(self._same_message(enrolment, step)):
                self.messages.append(
                    Message(
                        enrolment.program.name,
                        step.name,
                        enrolment.contact.name,
                        enrolment.rotation,
                        channel,
                        tick,
                    )
                )
        elif step.type == "branch":
            outcome = "yes" if holds(step.config["rule"], enrolment.contact, tick) else "no"
        elif step.type == "split":
            outcome, reason = "way", self._way(enrolment, step)["name"]
        elif step.type == "wait_for":
            came = any(self._events(enrolment, step, tick))
            outcome, reason = ("yes", "event") if came else ("no", "time is out")
        elif step.type == "update_contact":
            if step.name not in enrolment.results:
                update(enrolment.contact, step.config["set"])
        elif step.type == "create_task":
            task = (enrolment.program.name, step.name, enrolment.contact.name, enrolment.rotation)
            if task not in self.tasks:
                self.tasks.append(task)
        elif step.type == "webhook":
            hook = (enrolment.program.name, step.name, enrolment.contact.name, enrolment.rotation)
            if step.name not in enrolment.results:
                self.webhooks.append(hook)
        elif step.type == "exit":
            self._end(enrolment, "exited", step.config.get("reason", "exit step"), tick)
            return
        enrolment.results.setdefault(step.name, Result(outcome, reason, tick))
        self._lead_on(enrolment, step, outcome, tick)

    def _way(self, enrolment: Enrolment, step: Step) -> dict[str, Any]:
        """The way of a split whose share holds the contact's bucket."""
        program = enrolment.program
        left = bucket(self.name, enrolment.contact.name, program.kind, program.name, step.name)
        for way in step.config["ways"]:
            left -= way["percent"] * 100
            if left < 0:
                return dict(way)
        raise AssertionError(step.config)

    def _same_message(self, enrolment: Enrolment, step: Step) -> Iterator[Message]:
        wanted = (enrolment.program.name, step.name, enrolment.contact.name, enrolment.rotation)
        return (message for message in self.messages if message[:4] == wanted)

    def _lead_on(self, enrolment: Enrolment, step: Step, outcome: str, tick: dt.datetime) -> None:
        names = [each.name for each in enrolment.program.steps]
        place = names.index(step.name)
        target = step.config.get("next")
        if step.enabled:
            own = self._way(enrolment, step).get("next") if outcome == "way" else None
            target = own or step.config.get(outcome) or target
        if target is None and place + 1 < len(names):
            target = names[place + 1]
        if target is None or target == "end":
            enrolment.status, enrolment.ended_at = "completed", tick
        else:
            leads_only_on = step.type in ("branch", "split") or not step.enabled
            self._arrive(enrolment, target, begin_of(enrolment, tick) if leads_only_on else tick)

    def _arrive(self, enrolment: Enrolment, step: str, tick: dt.datetime) -> None:
        enrolment.step, enrolment.arrived_at, enrolment.until = step, tick, None
        target = step_of(enrolment)
        is_read = target.enabled and not target.broken
        enrolment.awaits = target.type == "wait_for" and is_read

    def _end(self, enrolment: Enrolment, status: str, reason: str, tick: dt.datetime) -> None:
        enrolment.status, enrolment.reason, enrolment.ended_at = status, reason, tick
        if enrolment.step is not None:
            enrolment.results.setdefault(enrolment.step, Result(status, reason, tick))


def is_after(enrolment: Enrolment, event: Event) -> bool:
    """True if it is under way, or ended after an event."""
    return enrolment.status == "active" or (
        enrolment.ended_at is not None and enrolment.ended_at > event.at
    )


def begin_of(enrolment: Enrolment, tick: dt.datetime) -> dt.datetime:
    """Since when a step counts to which an enrolment comes by a step that only leads on: from the
    event that let it in, where all before it did so too."""
    has_just_begun = enrolment.arrived_at in (None, enrolment.entered_at)
    return enrolment.entered_at if enrolment.let_in_by and has_just_begun else tick


def step_of(enrolment: Enrolment) -> Step:
    """The step at which it stands."""
    return next(step for step in enrolment.program.steps if step.name == enrolment.step)


def is_of(enrolment: Enrolment, step: Step, step_type: str) -> bool:
    """True if the step is of the type, switched on and in order."""
    is_whole = not is_broken(enrolment.program, step)
    return step.type == step_type and step.enabled and is_whole


def is_local(step: Step) -> bool:
    """True if contacts wait there by their clocks."""
    by_clock = "until" in step.config or "weekday" in step.config
    return step.type == "wait" and step.enabled and by_clock


def awaits_event(enrolment: Enrolment, step: Step) -> bool:
    """True if it waits for an event there, or would begin to; also while it is held afterwards."""
    is_read = step.type == "wait_for" and step.enabled and not step.broken
    return is_read and (enrolment.awaits or not is_broken(enrolment.program, step))


def is_broken(program: Program, step: Step) -> bool:
    """True if it cannot be done as it is written, or leads to no later step; of one that is
    switched off only `next` matters."""
    names = [each.name for each in program.steps]
    later = names[names.index(step.name) + 1 :]
    ways = ("next", "yes", "no") if step.enabled else ("next",)
    targets = [step.config.get(way) for way in ways]
    if step.enabled and not step.broken:
        targets += [way.get("next") for way in step.config.get("ways", [])]
    astray = [name for name in targets if name not in (None, "end", *later)]
    return (step.enabled and step.broken) or bool(astray)


def length(text: str) -> dt.timedelta:
    """`90min`, `2h`, `1d`."""
    digits = "".join(letter for letter in text if letter.isdigit())
    return dt.timedelta(**{UNITS[text.removeprefix(digits)]: int(digits)})


def end_of_wait(enrolment: Enrolment, step: Step) -> dt.datetime:
    """The first instant, from the arrival on, at which the contact's clock shows what is said."""
    arrived_at = enrolment.arrived_at
    assert arrived_at is not None
    if "for" in step.config:
        return arrived_at + length(step.config["for"])
    zone = enrolment.contact.zone
    day = arrived_at.astimezone(zone).date()
    clock = dt.time.fromisoformat(step.config.get("until", "00:00"))
    while True:
        weekday = step.config.get("weekday", WEEKDAYS[day.weekday()])
        instant = instant_of(dt.datetime.combine(day, clock), zone)
        if instant >= arrived_at and WEEKDAYS[day.weekday()] == weekday:
            return instant
        day += dt.timedelta(days=1)


def instant_of(local: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """A time that a day leaves out is an hour later; of one that comes twice, the first."""
    return local.replace(tzinfo=zone, fold=0).astimezone(dt.UTC)


def suppressions(contact: Contact, channel: str) -> list[str]:
    """The reason why the contact must get no message."""
    return [reason for _, where, reason in contact.suppressed if where in (channel, "all")]


def refusal(contact: Contact, channel: str) -> str | None:
    """The reason why this contact gets no message of this channel."""
    for reason in suppressions(contact, channel):
        return reason
    addresses = {
        "email": contact.email,
        "sms": contact.phone,
        "push": contact.attributes.get("push_token"),
    }
    return None if addresses[channel] else "no_address"


def holds(rule: dict[str, Any], contact: Contact, tick: dt.datetime) -> bool:
    """The few kinds of rules that random programs have."""
    if "event" in rule:
        return any(event.type == rule["event"] and event.at < tick for event in contact.events)
    return bool(contact.attributes.get(rule["attribute"]) == rule["value"])


def update(contact: Contact, values: dict[str, Any]) -> None:
    """Sets columns and attributes; None clears."""
    for name, value in values.items():
        if name in ("email", "phone"):
            setattr(contact, name, value)
        elif value is None:
            contact.attributes.pop(name, None)
        else:
            contact.attributes[name] = value
