"""Rules of stages as SQL: conditions on scores, activities and deals, computed for the tick."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.deals.tables import deals
from marketing_pipelines.domains.leads.conditions import (
    ActivityCondition,
    DealCondition,
    GradeCondition,
    ScoreCondition,
)
from marketing_pipelines.domains.segments import dates
from marketing_pipelines.domains.segments.compiler import Compiler
from marketing_pipelines.domains.segments.rules import Not
from marketing_pipelines.domains.segments.values import Condition

# The least lead score of each grade, from the best on.
GRADES: Mapping[str, int] = {"A": 80, "B": 60, "C": 40, "D": 20, "F": 0}
timeline = sa.table(
    "timeline",
    sa.column("organization_id", sa.BigInteger),
    sa.column("contact_id", sa.BigInteger),
    sa.column("kind", sa.Text),
    sa.column("direction", sa.Text),
    sa.column("occurred_at", sa.DateTime(timezone=True)),
    schema="crm",
)


@dataclass
class StageCompiler(Compiler):
    """Compiles rules with the further conditions.

    Attributes:
        since: When the contact came to its stage; None: rules with `since_stage` are not compiled.
        scores: Tables `(contact_id, score)` by the name of the score. A condition on a score that
            is missing here holds, also below a `not`: the rule then holds for every contact for
            which it can hold.
    """

    since: sa.ColumnElement[Any] | None = None
    scores: Mapping[str, sa.FromClause] = field(default_factory=dict)
    _is_negated: bool = field(init=False, default=False)

    def condition(self, rule: Any, path: str = "") -> Condition:
        """As of segment rules."""
        if isinstance(rule, Not):
            self._is_negated = not self._is_negated
            try:
                return super().condition(rule, path)
            finally:
                self._is_negated = not self._is_negated
        if isinstance(rule, ScoreCondition):
            return self._score(rule.score, rule.op, rule.value)
        if isinstance(rule, GradeCondition):
            return self._score("lead", ">=", GRADES.get(rule.grade, 0))
        if isinstance(rule, ActivityCondition):
            return self._activity(rule)
        if isinstance(rule, DealCondition):
            return self._deal(rule)
        return super().condition(rule, path)

    def _score(self, name: str, op: str, value: Any) -> Condition:
        if name not in self.scores:
            return sa.false() if self._is_negated else sa.true()
        score = sa.func.coalesce(self._joined(self.scores[name]).c.score, 0)
        bound = sa.literal(value, sa.Numeric)
        answer: Condition = score.op(_OPERATORS[op], is_comparison=True)(bound)
        return answer

    def _activity(self, rule: ActivityCondition) -> Condition:
        """The latest such activity decides: an earlier one lies in no later span."""
        at = timeline.c.occurred_at
        found = sa.select(timeline.c.contact_id, sa.func.max(at).label("answer")).where(
            self.is_activity(rule)
        )
        latest = self._joined(found.group_by(timeline.c.contact_id).subquery()).c.answer
        if rule.since_stage:
            assert self.since is not None
            return sa.func.coalesce(latest >= self.since, sa.false(), type_=sa.Boolean)
        was_found: Condition = latest.is_not(None)
        return was_found

    def is_activity(self, rule: ActivityCondition) -> Condition:
        """Returns the condition that a row of the timeline is such an activity with a contact."""
        at = timeline.c.occurred_at
        tests = [
            timeline.c.organization_id == self.frame.organization_id,
            timeline.c.contact_id.is_not(None),
            timeline.c.kind == sa.any_(sa.cast(rule.activity, pg.ARRAY(sa.Text))),
            at < self.frame.now,
        ]
        if rule.direction is not None:
            tests.append(timeline.c.direction == rule.direction)
        if rule.within is not None:
            tests.append(at >= self.frame.now - dates.length(rule.within))
        return sa.and_(*tests)

    def _deal(self, rule: DealCondition) -> Condition:
        deal = deals.c
        found = sa.select(deal.contact_id, sa.true().label("answer")).where(
            deal.organization_id == self.frame.organization_id,
            deal.contact_id.is_not(None),
            deal.created_at <= self.frame.now,
            # A stub is no deal yet.
            deal.status.is_not(None),
        )
        if rule.deal == "open":
            found = found.where(deal.status == "open")
        if rule.deal == "won":
            found = found.where(deal.status == "won", deal.closed_at <= self.frame.now)
        has_deal: Condition = self._joined(found.distinct().subquery()).c.answer.is_not(None)
        return has_deal


_OPERATORS = {"=": "=", "!=": "<>", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
