"""The rules of stages in words, for the history of moves."""

from typing import Any

from marketing_pipelines.domains.leads.conditions import (
    ActivityCondition,
    DealCondition,
    GradeCondition,
    ScoreCondition,
)
from marketing_pipelines.domains.segments.rules import All, AnyOf, Not


def described(rule: Any) -> str:
    """A rule in words, for the history of moves."""
    if isinstance(rule, All):
        return " and ".join(map(_part, rule.all)) or "always"
    if isinstance(rule, AnyOf):
        return " or ".join(map(_part, rule.any)) or "never"
    if isinstance(rule, Not):
        return f"not {_part(rule.condition)}"
    if isinstance(rule, ScoreCondition):
        return f"{rule.score} score {rule.op} {rule.value}"
    if isinstance(rule, GradeCondition):
        return f"grade {rule.grade}" if rule.grade == "A" else f"grade {rule.grade} or better"
    if isinstance(rule, ActivityCondition):
        kinds = " or ".join(rule.activity)
        direction = f" {rule.direction}" if rule.direction else ""
        since = " since the stage began" if rule.since_stage else ""
        return f"{kinds}{direction}{f' within {rule.within}' if rule.within else since}"
    if isinstance(rule, DealCondition):
        return {"any": "a deal", "open": "an open deal", "won": "a won deal"}[rule.deal]
    return str(rule.model_dump_json(by_alias=True, exclude_unset=True))


def _part(rule: Any) -> str:
    is_group = isinstance(rule, (All, AnyOf))
    return f"({described(rule)})" if is_group else described(rule)
