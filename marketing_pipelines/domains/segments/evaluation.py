"""The evaluation of an organization's segments: the members of each, as of one instant.

A segment whose rule is new, or with too many changes, is evaluated for every contact. Otherwise
only those contacts are evaluated whose answer can differ: their data changed (`touched_contacts`,
written by triggers in the transaction that changed it), time moved an event of theirs in or out of
a window, or a segment that the rule refers to took them in or let them go. The result is the same.

Everything of one organization happens in one transaction, under the job's lock: the touched
contacts are removed as its snapshot saw them, so that later commits are left to the next pass.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import Segmentation, settings_of
from marketing_pipelines.domains.segments import publishing, segment_graph, staging, time_effects
from marketing_pipelines.domains.segments.compiler import Compiler, Frame
from marketing_pipelines.domains.segments.counting import Counted, count_together, sources_for
from marketing_pipelines.domains.segments.preview import require_patterns, statement_timeout
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.domains.segments.segment_graph import Catalogue, Definition, read_sql
from marketing_pipelines.domains.segments.tables import memberships
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.runs.items import Items

JOB = "segments/memberships"
# Evaluating more than this share of the contacts costs as much as evaluating all.
FEW = 0.25
ALWAYS_FEW = 20_000
# So many new rows are unknown to the planner, which then loops over them.
ANALYZE_FROM = 100_000
CURRENT_MEMBERS = sa.select(memberships).where(memberships.c.left_at.is_(None)).subquery()
LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)


class DueOrganization(Protocol):
    """The organization whose segments are evaluated."""

    id: int
    external_id: str


@dataclass
class EvaluationReport:
    """Counts of one pass over the segments.

    Attributes:
        segments: Number of evaluated ones, for all or for some contacts.
        unchanged: Number of segments without a contact to evaluate.
        guarded: Segments whose result waits for a confirmation.
    """

    segments: int = 0
    unchanged: int = 0
    in_full: int = 0
    entered: int = 0
    left: int = 0
    guarded: list[str] = field(default_factory=list)


def due(connection: sa.Connection, *, by_time: bool) -> Sequence[DueOrganization]:
    """The organizations with segments that a pass evaluates; ones that fail come last.

    Args:
        by_time: Every one, since time moves windows; otherwise the ones with touched contacts.
    """
    connection.execute(read_sql("forget_unsegmented"))
    rows = connection.execute(read_sql("due_organizations"), {"by_time": by_time})
    return rows.all()


def is_due(connection: sa.Connection) -> bool:
    """Returns true if contacts were touched, or a rule is new or confirmed, since the last pass."""
    return bool(connection.execute(read_sql("is_due")).scalar_one())


@dataclass
class SegmentPass:
    """One evaluation of one organization, inside an open transaction.

    Attributes:
        instant: The tick; the segments are never taken back to an earlier one.
        retry: True if segments that failed before are tried again.
    """

    connection: sa.Connection
    organization: DueOrganization
    instant: dt.datetime
    reporting_zone: ZoneInfo
    retry: bool
    report: EvaluationReport = field(default_factory=EvaluationReport)

    def run(self, items: Items) -> EvaluationReport:
        """Evaluates due segments, each in a savepoint of its own.

        Args:
            items: As `Tick.items`.
        """
        self.connection.execute(read_sql("create_stages"))
        catalogue = segment_graph.read(self.connection, self.organization.id)
        ordered = segment_graph.in_order(catalogue)
        unused = catalogue.by_id.keys() - {definition.id for definition in ordered}
        self.connection.execute(read_sql("forget_unused"), {"ids": list(unused)})
        waiting = [d for d in ordered if self.retry or not _failed_before(d)]
        before = (at for d in ordered for at in (d.evaluated_at, d.attempted_at))
        self.now = max([self.instant, *(at for at in before if at is not None)])
        self._prepare(catalogue, waiting)
        self.moved = self._move(waiting)
        self._forget_what_is_no_longer_right(waiting)
        self.are_staged = self._stage(waiting)
        self.counted = self._count_together(waiting)
        self.dependents = _dependents(ordered)
        self.changes = 0
        unchanged: list[int] = []
        for item in items(self.connection, self._changed(waiting, unchanged), self._name):
            with item as definition:
                self._evaluate(definition)
        self.connection.execute(read_sql("keep"), {"ids": unchanged, "now": self.now})
        self.report.unchanged += len(unchanged)
        if self.changes >= ANALYZE_FROM:
            self.connection.execute(sa.text("analyze segments.memberships"))
        return self.report

    def _prepare(self, catalogue: Catalogue, waiting: Sequence[Definition]) -> None:
        """Reads the settings and the frame of the organization. If they cannot be used, every
        segment fails with that reason."""
        self.limits = Segmentation()
        self.frame: Frame | None = None
        try:
            self.limits = settings_of(self.connection, self.organization.id).segments
            self.frame = segment_graph.frame(
                self.connection,
                self.organization.id,
                zone=segment_graph.zone_of(
                    self.connection, self.organization.id, self.reporting_zone
                ),
                now=self.now,
                segments=segment_graph.Published(catalogue, refuse_unpublished=True),
            )
        except BadInputError as error:
            for definition in waiting:
                definition.problem = definition.problem or error
        self.patience = dt.timedelta(seconds=self.limits.timeout_seconds)

    def _forget_what_is_no_longer_right(self, waiting: Sequence[Definition]) -> None:
        """Takes the touched contacts; resets segments that need all contacts evaluated."""
        touched = self.connection.execute(
            read_sql("take_touched"), {"organization_id": self.organization.id}
        ).one()
        self.touched: int = touched.contacts
        everybody = touched.everybody or not self._are_few(self.touched)
        for definition in waiting:
            outdated = definition.evaluated_version != definition.version
            if everybody or outdated or definition.problem is not None:
                definition.evaluated_at = None

    def _are_few(self, number: int) -> bool:
        if number <= ALWAYS_FEW:
            return True
        counted = {"organization_id": self.organization.id}
        contacts: int = self.connection.execute(read_sql("count_contacts"), counted).scalar_one()
        return number <= FEW * contacts

    def _move(self, waiting: Sequence[Definition]) -> dict[int, int]:
        """Finds the contacts that time touches; returns their number by segment."""
        if self.frame is None:
            return {}
        found = [
            (definition.id, edge)
            for definition in waiting
            if definition.evaluated_at is not None
            and definition.evaluated_version == definition.version
            and definition.problem is None
            for edge in time_effects.edges(
                definition.rule, definition.evaluated_at, self.now, self.frame.zone
            )
        ]
        for is_prefix in (False, True):
            some = [(number, edge) for number, edge in found if edge.is_prefix is is_prefix]
            if some:
                self.connection.execute(
                    read_sql("move_by_prefix" if is_prefix else "move_by_type"),
                    {
                        "organization_id": self.organization.id,
                        "segments": [number for number, _ in some],
                        "types": [edge.event_type for _, edge in some],
                        "starts": [edge.start for _, edge in some],
                        "ends": [edge.end for _, edge in some],
                    },
                )
        rows = self.connection.execute(read_sql("count_moved"))
        return {row.segment_id: row.contacts for row in rows}

    def _stage(self, waiting: Sequence[Definition]) -> bool:
        """Copies the rows of the contacts to evaluate; returns false if there are too many."""
        rules = [d.rule for d in waiting if d.evaluated_at is not None]
        if self.frame is None or not rules or not (self.touched or self.moved):
            return False
        number = self.connection.execute(read_sql("look_at")).rowcount
        if not self._are_few(number):
            return False
        staging.stage(self.connection, rules, self.frame)
        return True

    def _may_differ(self, definition: Definition) -> bool:
        touched = self.touched or self.moved.get(definition.id)
        return bool(touched) or definition.evaluated_at is None or self._time_is_up(definition)

    def _is_rebuilt(self, definition: Definition) -> bool:
        is_new = definition.evaluated_at is None
        return is_new or not self.are_staged or self._time_is_up(definition)

    def _time_is_up(self, definition: Definition) -> bool:
        next_change_at = definition.next_change_at
        return next_change_at is not None and next_change_at < self.now

    def _count_together(self, waiting: Sequence[Definition]) -> Counted:
        """Counts the totals that several of the rebuilt segments need.

        If that fails or takes longer than a rule may, each of them counts for itself.
        """
        rules = [
            d.rule
            for d in waiting
            if d.problem is None and self._may_differ(d) and self._is_rebuilt(d)
        ]
        if self.frame is None or not rules:
            return {}
        try:
            with self.connection.begin_nested(), statement_timeout(self.connection, self.patience):
                return count_together(self.connection, rules, self.frame)
        except RuleError:
            return {}
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated:
                raise
            return {}

    def _changed(self, waiting: Iterable[Definition], unchanged: list[int]) -> Iterator[Definition]:
        """Yields the segments whose members may differ. Each is judged when its turn comes, because
        segments before it may have changed; the attempt is noted first, so that a failure starts
        anew."""
        for definition in waiting:
            if not self._may_differ(definition):
                unchanged.append(definition.id)
                continue
            definition.in_full = self._is_rebuilt(definition)
            definition.by_time_alone = (
                definition.in_full
                and definition.evaluated_at is not None
                and not definition.by_rebuild
            )
            self.connection.execute(
                read_sql("note_attempt"),
                {"id": definition.id, "version": definition.version, "now": self.now},
            )
            yield definition

    def _name(self, definition: Definition) -> str:
        return f"segment {definition.external_id} of {self.organization.external_id}"

    def _rebuild(self, definition: Definition) -> str:
        # Another matter than that the segment fails, which ends as soon as it can be evaluated.
        return f"rebuild of {self._name(definition)}"

    def _evaluate(self, definition: Definition) -> None:
        if definition.problem is not None:
            raise definition.problem
        assert self.frame is not None
        with statement_timeout(self.connection, self.patience):
            require_patterns(self.connection, definition.rule)
            compiler = self._compiler(definition)
            holds = segment_graph.with_manual_members(
                compiler, definition.id, compiler.condition(definition.rule)
            )
            members = CURRENT_MEMBERS if definition.in_full else staging.STAGED_MEMBERS
            found = publishing.find_changes(self.connection, definition, compiler, holds, members)
            next_change_at = self._next_change(definition)
        item = self._rebuild(definition)
        changes = publishing.MembershipChanges(0, 0)
        if found:
            if definition.in_full and publishing.must_wait(
                self.connection, definition, self.limits
            ):
                publishing.guard_rebuild(self.connection, JOB, item, definition, self.now)
                self.report.guarded.append(definition.external_id)
                return
            changes = publishing.publish(
                self.connection, definition, self.organization.id, self.now
            )
            self._pass_on(definition, found)
        publishing.end_guard(self.connection, JOB, item, definition)
        self.connection.execute(
            read_sql("note_success"),
            {
                "id": definition.id,
                "version": definition.version,
                "now": self.now,
                "next_change_at": next_change_at,
                "difference": changes.entered - changes.left,
            },
        )
        definition.evaluated_version = definition.version
        self.changes += found
        self.report.segments += 1
        self.report.in_full += definition.in_full
        self.report.entered += changes.entered
        self.report.left += changes.left

    def _compiler(self, definition: Definition) -> Compiler:
        assert self.frame is not None
        if not definition.in_full:
            return Compiler(self.frame, staging.STAGED)
        return Compiler(self.frame, sources_for(definition.rule, self.counted))

    def _next_change(self, definition: Definition) -> dt.datetime | None:
        """Returns the next instant at which time alone may change members. It applies to all
        contacts, or to the ones evaluated now and before."""
        assert self.frame is not None
        known = [time_effects.pause(definition.rule, self.now, self.frame.zone)]
        if not definition.in_full:
            known.append(definition.next_change_at)
        for query in time_effects.boundaries(definition.rule, self._compiler(definition)):
            known.append(self.connection.execute(query).scalar())
        return min((instant for instant in known if instant is not None), default=None)

    def _pass_on(self, definition: Definition, number: int) -> None:
        """Makes dependent segments evaluate the contacts that entered or left this one.

        Of a rebuild these are any contacts, so what refers to it is rebuilt too.
        """
        for dependent in self.dependents.get(definition.id, []):
            self.moved[dependent.id] = self.moved.get(dependent.id, 0) + number
            if definition.in_full:
                dependent.next_change_at = LONG_AGO
                is_confirmed = definition.confirmed_version == definition.version
                dependent.by_rebuild |= not (definition.by_time_alone or is_confirmed)


def _dependents(ordered: Sequence[Definition]) -> dict[int, list[Definition]]:
    found: dict[int, list[Definition]] = {}
    for definition in ordered:
        for number in definition.refers_to:
            found.setdefault(number, []).append(definition)
    return found


def _failed_before(definition: Definition) -> bool:
    """Returns true if the present rule was tried and not published."""
    return definition.evaluated_at is None and definition.attempted_version == definition.version
