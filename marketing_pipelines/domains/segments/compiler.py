"""Rules become SQL: one statement per rule, every value a bound parameter.

A condition on events is a sub-query grouped by contact and joined with the contacts. The same
statement is read from the tables or, for a few contacts, from copies of their rows (`Sources`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.tables import contacts, organizations
from marketing_pipelines.domains.segments import dates
from marketing_pipelines.domains.segments.buckets import bucket, buckets_of
from marketing_pipelines.domains.segments.event_names import EventFields, require_names
from marketing_pipelines.domains.segments.rule_errors import MissingNameError, RuleError, similar
from marketing_pipelines.domains.segments.rules import (
    All,
    AnyOf,
    Attribute,
    EventCondition,
    InSegment,
    InShare,
    Not,
    children,
    predicates,
    walk,
)
from marketing_pipelines.domains.segments.values import (
    NOT_FIELDS,
    Condition,
    Document,
    at,
    column_of,
    compare,
    fits,
    stored,
)


@dataclass(frozen=True)
class Sources:
    """The tables that a rule reads: contacts and their events. Columns as in `crm.contacts` and
    `analytics.contact_activity`.

    Attributes:
        counted: Columns with known numbers of events per contact, by the counted condition
            (`counting_key`); each is in a table with the `id` of every contact.
    """

    contacts: sa.FromClause
    events: sa.FromClause
    counted: Mapping[str, sa.ColumnElement[Any]] = field(default_factory=dict)

    @property
    def hold_everybody(self) -> bool:
        """True if the tables hold every contact, not a selection."""
        return self.contacts is contacts or bool(self.counted)


TABLES = Sources(contacts, contact_activity)


class Segments(Protocol):
    """Resolves a rule's references to other segments."""

    def is_member(self, compiler: "Compiler", name: int | str, path: str) -> Condition:
        """Returns the condition that the compiler's contact is a member.

        Raises:
            RuleError: there is no such segment, or it refers back to the rule.
        """
        ...


@dataclass(frozen=True)
class Frame:
    """The surroundings in which a rule is evaluated: organization, zone, instant, known names.

    Attributes:
        zone: The organization's.
        now: Events at or after it are not seen.
        fields: Attributes that a contact of the organization has or has had.
        event_fields: Properties that events of each type have or have had.
        campaigns: Numbers of its campaigns by external id.
    """

    organization_id: int
    zone: ZoneInfo
    now: dt.datetime
    fields: frozenset[str]
    event_fields: EventFields
    campaigns: Mapping[str, int]
    segments: Segments


@dataclass
class Compiler:
    """Compiles rules over one row source of contacts.

    Attributes:
        source: The contacts, joined with the counts that conditions on events need.
    """

    frame: Frame
    sources: Sources = TABLES
    source: Any = field(init=False)
    _answers: list[Any] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.source = self.contact

    @property
    def contact(self) -> sa.FromClause:
        """The contacts."""
        return self.sources.contacts

    def condition(self, rule: Any, path: str = "") -> Condition:
        """Compiles the rule into a condition on a contact that is true or false, never null.

        Raises:
            RuleError: it names a thing that the organization does not have.
        """
        below = (
            self.condition(child, f"{path}.{key}" if path else key) for child, key in children(rule)
        )
        if isinstance(rule, All):
            return sa.and_(sa.true(), *below)
        if isinstance(rule, AnyOf):
            return sa.or_(sa.false(), *below)
        if isinstance(rule, Not):
            return sa.not_(next(below))
        if isinstance(rule, Attribute):
            return self._attribute(rule, path)
        if isinstance(rule, InSegment):
            return self.frame.segments.is_member(
                self, rule.segment, f"{path}.segment" if path else "segment"
            )
        if isinstance(rule, InShare):
            return self.bucket(rule.random.salt) < buckets_of(rule.random.percent)
        assert isinstance(rule, EventCondition)
        require_names(rule, self.frame.event_fields, self.frame.campaigns, path)
        return self._event(rule)

    def bucket(self, salt: str) -> sa.ColumnElement[int]:
        """Returns the contact's bucket under a salt."""
        organization = (
            sa.select(organizations.c.external_id)
            .where(organizations.c.id == self.frame.organization_id)
            .scalar_subquery()
        )
        return bucket(organization, self.contact.c.external_id, salt)

    def _attribute(self, rule: Attribute, path: str) -> Condition:
        if column_of(rule.attribute) is None and rule.attribute not in self.frame.fields:
            names = {*contacts.c.keys(), *self.frame.fields} - NOT_FIELDS
            raise MissingNameError(
                f"{path}.attribute" if path else "attribute",
                f"no contact has or has had '{rule.attribute}'{similar(rule.attribute, names)}",
            )
        problem = fits(rule, rule.attribute)
        if problem is not None:
            key, reason = problem
            raise RuleError(f"{path}.{key}" if path else key, reason)
        return compare(rule, stored(self.contact, rule.attribute), self.frame.now, self.frame.zone)

    def _event(self, rule: EventCondition) -> Condition:
        known = self.sources.counted.get(counting_key(rule))
        if known is not None:
            if known.table is not self.contact and known.table not in self._answers:
                self._answers.append(known.table)
                same = known.table.c.id == self.contact.c.id
                self.source = self.source.join(known.table, same)
            return counted(rule, known)
        activity = self.sources.events.alias()
        found = sa.select(activity.c.contact_id).where(
            self.of_organization(activity),
            is_of_type(rule, activity.c.event_type),
            self.matches(rule, activity),
        )
        if rule.last is not None:
            passes = sa.and_(*(self._property(p, activity.c.properties) for p in rule.last))
            latest = (activity.c.occurred_at.desc(), sa.collate(activity.c.event_id, "C").desc())
            found = (
                found.add_columns(passes.label("answer"))
                .ext(pg.distinct_on(activity.c.contact_id))
                .order_by(activity.c.contact_id, *latest)
            )
            answer = self._joined(found.subquery()).c.answer
            return sa.func.coalesce(answer, sa.false(), type_=sa.Boolean)
        found = found.add_columns(sa.func.count().label("answer")).group_by(activity.c.contact_id)
        return counted(rule, sa.func.coalesce(self._joined(found.subquery()).c.answer, 0))

    def _joined(self, answers: Any) -> Any:
        if answers not in self._answers:
            self._answers.append(answers)
            same = answers.c.contact_id == self.contact.c.id
            self.source = self.source.outerjoin(answers, same)
        return answers

    def of_organization(self, activity: Any) -> Condition:
        """Returns the condition that an event is the organization's and before the tick."""
        return sa.and_(
            activity.c.organization_id == self.frame.organization_id,
            activity.c.occurred_at < self.frame.now,
        )

    def matches(self, rule: EventCondition, activity: Any) -> Condition:
        """Returns the condition that an event of the rule's type passes its other tests."""
        start, end = window_of(rule, self.frame.now, self.frame.zone)
        tests = [activity.c.occurred_at < end]
        if start is not None:
            tests.append(activity.c.occurred_at >= start)
        if rule.sources is not None:
            ids = [self.frame.campaigns[k] for k in rule.sources if k in self.frame.campaigns]
            tests.append(activity.c.source_type == "campaign")
            tests.append(activity.c.source_id == sa.any_(sa.cast(ids, pg.ARRAY(sa.BigInteger))))
        return sa.and_(*tests, *(self._property(p, activity.c.properties) for p in rule.where))

    def _property(self, predicate: Any, properties: sa.ColumnElement[Any]) -> Condition:
        value = Document(at(properties, predicate.property))
        return compare(predicate, value, self.frame.now, self.frame.zone)


def counting_key(rule: EventCondition) -> str:
    """Returns a key of the events that a condition counts, without its comparison of the number."""
    return repr(
        (rule.event, rule.within, rule.since, rule.until, rule.sources, rule.where, rule.last)
    )


def counted(rule: EventCondition, number: sa.ColumnElement[Any]) -> Condition:
    """Returns the condition that a number of events satisfies the rule."""
    answer: Condition = {
        "=": number == rule.times,
        "!=": number != rule.times,
        ">": number > rule.times,
        ">=": number >= rule.times,
        "<": number < rule.times,
        "<=": number <= rule.times,
    }[rule.count_op]
    return answer


def is_of_type(rule: EventCondition, event_type: sa.ColumnElement[str]) -> Condition:
    """Returns the condition that an event is of the rule's type."""
    if rule.prefix is None:
        return event_type == rule.event
    return sa.func.starts_with(event_type, rule.prefix, type_=sa.Boolean)


def window_of(
    rule: EventCondition, now: dt.datetime, zone: ZoneInfo
) -> tuple[dt.datetime | None, dt.datetime]:
    """The span of instants whose events count; no start: from the first event on."""
    starts = []
    if rule.within is not None:
        starts.append(now - dates.length(rule.within))
    if rule.since is not None:
        starts.append(dates.period(rule.since, now, zone).start)
    ends = [now]
    if rule.until is not None:
        ends.append(dates.period(rule.until, now, zone).end)
    return (max(starts) if starts else None), min(ends)


def references(rule: Any) -> list[tuple[int | str, str]]:
    """The segments that a rule names, each with the path of its name."""
    return [
        (condition.segment, f"{path}.segment" if path else "segment")
        for condition, path, _ in walk(rule)
        if isinstance(condition, InSegment)
    ]


def patterns(rule: Any) -> list[tuple[str, str]]:
    """The regular expressions of a rule, each with its path."""
    found = []
    for condition, path, _ in walk(rule):
        comparisons: Sequence[tuple[Any, str]] = []
        if isinstance(condition, Attribute):
            comparisons = [(condition, path)]
        elif isinstance(condition, EventCondition):
            comparisons = [
                (predicate, f"{path}.{key}" if path else key)
                for predicate, key in predicates(condition)
            ]
        found += [
            (c.value, f"{p}.value" if p else "value") for c, p in comparisons if c.op == "matches"
        ]
    return found
