"""The rules of lead scores: those of an organization, or the shipped ones where it has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from marketing_pipelines.domains.leads.conditions import (
    ActivityCondition,
    GradeCondition,
    ScoreCondition,
    parse_stage_rule,
    parse_stage_text,
    refuse_stored_scores,
)
from marketing_pipelines.domains.leads.tables import score_rules
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.domains.segments.rules import Attribute, EventCondition, InSegment, walk
from marketing_pipelines.domains.segments.segment_graph import Catalogue
from marketing_pipelines.failures import BadInputError

PointCounts = Literal["once", "each", "per_day"]
# Columns that the rules themselves fill.
SCORED = frozenset({"lead_score", "lead_grade"})


@dataclass(frozen=True)
class ScoreRule:
    """A rule that earns points.

    Attributes:
        rule: Result of `parse_stage_rule`.
        most: Most points, without sign; None: any.
    """

    external_id: str
    name: str
    rule: Any
    points: int
    counts: PointCounts = "once"
    most: int | None = None


def _shipped(
    external_id: str,
    name: str,
    points: int,
    rule: dict[str, Any],
    counts: PointCounts = "once",
    most: int | None = None,
) -> ScoreRule:
    return ScoreRule(external_id, name, parse_stage_rule(rule), points, counts, most)


def _exists(name: str) -> dict[str, Any]:
    return {"attribute": name, "op": "exists"}


SHIPPED = (
    _shipped("email", "Has an e-mail address", 5, _exists("email")),
    _shipped("phone", "Has a phone number", 5, _exists("phone")),
    _shipped("name", "Has both names", 5, {"all": [_exists("first_name"), _exists("last_name")]}),
    _shipped("company", "Belongs to a company", 10, _exists("company_id")),
    _shipped("visits", "Page views", 1, {"event": "page_view", "within": "30d"}, "each", 10),
    _shipped("clicks", "Days with clicks", 5, {"event": "clicked", "within": "30d"}, "per_day", 15),
    _shipped("replies", "Replies", 10, {"event": "replied", "within": "90d"}, "each", 20),
    _shipped("forms", "Forms", 15, {"event": "form_submission", "within": "90d"}, "each", 30),
    _shipped("demo", "Asked for a demo", 25, {"event": "demo_request", "within": "180d"}),
    _shipped("purchase", "Bought", 10, {"event": "purchase", "within": "365d"}),
    _shipped("unsubscribed", "Unsubscribed", -20, {"event": "unsubscribed", "within": "365d"}),
    _shipped("bounced", "Mail bounced", -10, {"event": "bounced", "within": "90d"}),
)


def problem_of(rule: str, counts: str | None = None) -> str | None:
    """Returns the problem of a rule's JSON, without looking at data; None: it is right."""
    try:
        _check(parse_stage_text(rule), counts or "once")
    except RuleError as error:
        return error.problem
    return None


def rules_of(connection: sa.Connection, organization_id: int) -> Sequence[ScoreRule]:
    """The rules that score the contacts of an organization, in the order of their names.

    Raises:
        BadInputError: rules cannot be read; the sentences name each.
    """
    rows = connection.execute(
        sa.select(score_rules)
        .where(score_rules.c.organization_id == organization_id)
        .order_by(sa.collate(score_rules.c.external_id, "C"))
    ).all()
    if not rows:
        return SHIPPED
    found, problems = [], {}
    for row in rows:
        if row.enabled:
            try:
                found.append(_read(row))
            except RuleError as error:
                problems[row.external_id] = error
    if problems:
        raise broken(problems)
    return found


def broken(problems: Mapping[str, RuleError]) -> BadInputError:
    """Returns one error about all rules that cannot be used, by their external ids."""
    return BadInputError(
        " ".join(f"Score rule '{name}': {error.problem}." for name, error in problems.items())
    )


def refuse_own_scores(rule: ScoreRule, catalogue: Catalogue) -> None:
    """Refuses a rule whose segments name the scores that it is to give, however deep.

    Raises:
        RuleError: the sentence names the segment.
    """
    waiting = [(rule.rule, "")]
    seen: set[int] = set()
    while waiting:
        below, segment = waiting.pop()
        for condition, path, _ in walk(below):
            if isinstance(condition, Attribute) and condition.attribute in SCORED:
                raise RuleError(
                    segment or path, f"names {condition.attribute}, which score rules give"
                )
            if isinstance(condition, InSegment):
                found = catalogue.find(condition.segment)
                if found is not None and found.id not in seen and found.rule is not None:
                    seen.add(found.id)
                    waiting.append((found.rule, f"segment '{found.external_id}'"))


def _read(row: Any) -> ScoreRule:
    rule = parse_stage_rule(row.rule)
    _check(rule, row.counts)
    return ScoreRule(
        row.external_id, row.name or row.external_id, rule, row.points, row.counts, row.most
    )


def _check(rule: Any, counts: str) -> None:
    for condition, path, _ in walk(rule):
        if isinstance(condition, Attribute) and condition.attribute in SCORED:
            raise RuleError(path, f"names {condition.attribute}, which score rules give")
        is_lead_score = isinstance(condition, ScoreCondition) and condition.score == "lead"
        if is_lead_score or isinstance(condition, GradeCondition):
            raise RuleError(path, "asks for the lead score, which score rules give")
    refuse_stored_scores(rule)
    if counts == "once":
        return
    if not isinstance(rule, (EventCondition, ActivityCondition)):
        raise RuleError(
            "", f"is no single condition on events or activities, which counts '{counts}' needs"
        )
    for key in ("op", "times", "last", "since_stage"):
        if key in rule.model_fields_set:
            raise RuleError(key, f"does not go with counts '{counts}', which counts occurrences")
