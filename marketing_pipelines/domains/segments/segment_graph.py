"""The segments of an organization: their rules, their references, their order of evaluation."""

import datetime as dt
import graphlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.segments.compiler import (
    Compiler,
    Frame,
    Segments,
    references,
)
from marketing_pipelines.domains.segments.event_names import EventFields
from marketing_pipelines.domains.segments.rule_errors import MissingNameError, RuleError, similar
from marketing_pipelines.domains.segments.rules import parse
from marketing_pipelines.domains.segments.tables import manual_members, memberships
from marketing_pipelines.domains.segments.values import Condition
from marketing_pipelines.failures import BadInputError


@cache
def read_sql(name: str) -> sa.TextClause:
    """The statement in `sql/<name>.sql`."""
    return sa.text(resources.files(__package__).joinpath("sql", f"{name}.sql").read_text())


@dataclass
class Definition:
    """One segment: its rule, and the state of its evaluation.

    Attributes:
        rule: Result of `rules.parse`; None if it cannot be parsed.
        problem: Why it cannot be evaluated; None where it can.
        refers_to: Numbers of the segments that its rule names.
        in_full: True if every contact is evaluated, not only the touched ones.
        by_time_alone: True if that is because an instant has passed, for itself or for a segment
            that it refers to.
        by_rebuild: True if a segment that it refers to has another rule or other data, not
            confirmed yet.
        removals: Number of members that its rule removes.
    """

    id: int
    external_id: str
    rule_text: str
    version: int
    evaluated: str
    evaluated_version: int | None = None
    evaluated_at: dt.datetime | None = None
    next_change_at: dt.datetime | None = None
    members: int = 0
    attempted_version: int | None = None
    attempted_at: dt.datetime | None = None
    held_version: int | None = None
    confirmed_version: int | None = None
    rule: Any = None
    problem: BadInputError | None = None
    refers_to: set[int] = field(default_factory=set)
    in_full: bool = True
    by_time_alone: bool = False
    by_rebuild: bool = False
    removals: int = 0


class Catalogue:
    """The segments of one organization, found by external id or number."""

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self.by_id = {definition.id: definition for definition in definitions}
        self._by_name = {str(number): d for number, d in self.by_id.items()}
        self._by_name |= {d.external_id: d for d in self.by_id.values()}

    def find(self, name: int | str) -> Definition | None:
        """The segment with this external id or, if there is none, this number."""
        return self._by_name.get(str(name))

    def require(self, name: int | str, path: str) -> Definition:
        """The same, refusing unknown segments."""
        found = self.find(name)
        if found is None:
            names = (definition.external_id for definition in self.by_id.values())
            raise MissingNameError(path, f"there is no segment '{name}'{similar(name, names)}")
        return found


def read(connection: sa.Connection, organization_id: int) -> Catalogue:
    """Every segment of an organization, its rule read and its references found."""
    rows = connection.execute(read_sql("definitions"), {"organization_id": organization_id})
    catalogue = Catalogue(Definition(**row) for row in rows.mappings())
    for definition in catalogue.by_id.values():
        try:
            definition.rule = parse(definition.rule_text)
            definition.refers_to = {
                catalogue.require(name, path).id for name, path in references(definition.rule)
            }
        except RuleError as error:
            definition.problem = error
    return catalogue


def in_order(catalogue: Catalogue) -> list[Definition]:
    """The segments to evaluate, each after the ones that it refers to. Segments on a cycle get a
    `problem` that names it, and are included.
    """
    used = _used(catalogue)
    edges = {d.id: set(d.refers_to) for d in used}
    while True:
        try:
            order = list(graphlib.TopologicalSorter(edges).static_order())
            return [catalogue.by_id[number] for number in order]
        except graphlib.CycleError as error:
            cycle: Sequence[int] = list(reversed(error.args[1]))
            names = " → ".join(catalogue.by_id[number].external_id for number in cycle)
            for number in cycle:
                catalogue.by_id[number].problem = RuleError("", f"refers to itself: {names}")
                edges[number] -= set(cycle)


def _used(catalogue: Catalogue) -> list[Definition]:
    found: dict[int, Definition] = {}
    waiting = [d for d in catalogue.by_id.values() if d.evaluated == "always"]
    while waiting:
        definition = waiting.pop()
        if definition.id not in found:
            found[definition.id] = definition
            waiting += [catalogue.by_id[number] for number in definition.refers_to]
    return sorted(found.values(), key=lambda definition: definition.id)


class Published:
    """A reference means the members that are published.

    If none ever were, `not` would match every contact; an evaluation refuses that.
    """

    def __init__(self, catalogue: Catalogue, *, refuse_unpublished: bool = False) -> None:
        self._catalogue = catalogue
        self._refuse_unpublished = refuse_unpublished

    def is_member(self, compiler: Compiler, name: int | str, path: str) -> Condition:
        segment = self._catalogue.require(name, path)
        if self._refuse_unpublished and segment.evaluated_version is None:
            raise MissingNameError(path, f"segment '{segment.external_id}' was never evaluated")
        own = (
            memberships.c.segment_id == segment.id,
            memberships.c.contact_id == compiler.contact.c.id,
            memberships.c.left_at.is_(None),
        )
        if compiler.sources.hold_everybody:
            return sa.exists().where(*own)
        # Each of a few contacts by index; for `exists` the planner would read all members.
        found = sa.select(sa.true()).where(*own).scalar_subquery()
        return sa.func.coalesce(found, sa.false(), type_=sa.Boolean)


class Inlined:
    """A reference means the other rule and its manual members as of this very instant."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._under_way: list[str] = []

    def is_member(self, compiler: Compiler, name: int | str, path: str) -> Condition:
        segment = self._catalogue.require(name, path)
        if segment.external_id in self._under_way:
            around = self._under_way[self._under_way.index(segment.external_id) :]
            cycle = " → ".join([*around, segment.external_id])
            raise RuleError(path, f"segment '{segment.external_id}' refers to itself: {cycle}")
        # A rule that cannot be read has no references either, so `problem` is about the rule.
        if segment.rule is None:
            raise RuleError(path, f"segment '{segment.external_id}': {segment.problem}")
        self._under_way.append(segment.external_id)
        try:
            holds = compiler.condition(segment.rule)
        except RuleError as error:
            if error.path == path or "refers to itself" in error.reason:
                raise RuleError(path, error.reason) from None
            raise RuleError(path, f"segment '{segment.external_id}': {error}") from None
        finally:
            self._under_way.pop()
        return with_manual_members(compiler, segment.id, holds)


def with_manual_members(compiler: Compiler, segment_id: int, holds: Condition) -> Condition:
    """Returns the condition of membership: the rule, overridden by manual members.

    The contacts of the compiler are joined with the segment's manual members.
    """
    manual = manual_members.alias()
    compiler.source = compiler.source.outerjoin(
        manual,
        sa.and_(manual.c.segment_id == segment_id, manual.c.contact_id == compiler.contact.c.id),
    )
    return sa.case(
        (manual.c.action == "add", sa.true()),
        (manual.c.action == "remove", sa.false()),
        else_=holds,
    )


def zone_of(connection: sa.Connection, organization_id: int, reporting_zone: ZoneInfo) -> ZoneInfo:
    """The organization's zone, or the reporting zone where it has none.

    Raises:
        BadInputError: the stored value is not a zone.
    """
    row = connection.execute(
        sa.select(organizations.c.external_id, organizations.c.timezone).where(
            organizations.c.id == organization_id
        )
    ).one()
    if row.timezone is None:
        return reporting_zone
    try:
        return ZoneInfo(row.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise BadInputError(
            f"The time zone of organization {row.external_id}, '{row.timezone}', is "
            "not an IANA zone: load the organization again with one."
        ) from None


def frame(
    connection: sa.Connection,
    organization_id: int,
    *,
    zone: ZoneInfo,
    now: dt.datetime,
    segments: Segments,
) -> Frame:
    """Reads the frame in which the organization's rules are evaluated."""
    organization = {"organization_id": organization_id}
    fields = connection.execute(read_sql("contact_fields"), organization).scalars()
    campaigns = {
        row.external_id: row.id for row in connection.execute(read_sql("campaigns"), organization)
    }
    return Frame(
        organization_id,
        zone,
        now,
        frozenset(fields),
        event_fields(connection, organization_id),
        campaigns,
        segments,
    )


def event_fields(connection: sa.Connection, organization_id: int) -> EventFields:
    """The types of events that the organization has received, with their properties."""
    found = connection.execute(read_sql("event_fields"), {"organization_id": organization_id})
    return {row.event_type: frozenset(row.fields) for row in found}
