"""The scores that rules of stages ask for, which are computed before the rule is compiled."""

from typing import Any

from marketing_pipelines.domains.leads.conditions import GradeCondition, ScoreCondition
from marketing_pipelines.domains.segments.rules import walk


def scores_in(rule: Any) -> set[str]:
    """The scores that a rule asks for: intent, lead."""
    found: set[str] = set()
    for condition, _, _ in walk(rule):
        if isinstance(condition, ScoreCondition):
            found.add(condition.score)
        elif isinstance(condition, GradeCondition):
            found.add("lead")
    return found
