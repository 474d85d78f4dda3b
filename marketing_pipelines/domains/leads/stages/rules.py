"""The moves that an organization's settings describe, checked and in the order of the stages."""

import graphlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from marketing_pipelines.domains.crm.organization_settings import OrganizationSettings
from marketing_pipelines.domains.crm.stage_settings import StageMove
from marketing_pipelines.domains.leads.conditions import parse_stage_rule, refuse_stored_scores
from marketing_pipelines.domains.leads.stages.conditions import described
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.failures import BadInputError


@dataclass(frozen=True)
class Move:
    """A move from a stage to the next.

    Attributes:
        before: Stage in lower case.
        to: The next stage, as it is written.
        rule: Result of `parse_stage_rule`.
        name: The rule's number and its stages.
        reason: The same, with the rule in words.
    """

    before: str
    to: str
    rule: Any
    name: str
    reason: str


def moves_of(moves: Sequence[StageMove]) -> list[Move]:
    """The moves, those of earlier stages first; moves of one stage keep their order.

    Raises:
        BadInputError: rules cannot be evaluated, or the stages lead back to an earlier one.
    """
    found, problems = [], []
    for place, move in enumerate(moves):
        try:
            found.append(_read(place, move))
        except BadInputError as error:
            problems.append(str(error))
    if problems:
        raise BadInputError(" ".join(problems))
    order = {stage: place for place, stage in enumerate(_in_order(found))}
    return sorted(found, key=lambda move: order[move.before])


def require_rules(settings: OrganizationSettings) -> None:
    """Refuses settings whose lifecycle rules cannot be used.

    Raises:
        BadInputError: as of `moves_of`.
    """
    moves_of(settings.lifecycle.rules)


def _read(place: int, move: StageMove) -> Move:
    try:
        rule = parse_stage_rule(move.rule)
        refuse_stored_scores(rule)
    except RuleError as error:
        path = f"lifecycle.rules[{place}].rule"
        at = f"{path}.{error.path}" if error.path else path
        raise BadInputError(f"{at}: {error.reason}.") from None
    name = f"rule {place + 1}, {move.before} to {move.to}"
    return Move(move.before.lower(), move.to, rule, name, f"{name}: {described(rule)}")


def _in_order(moves: Sequence[Move]) -> list[str]:
    before: dict[str, set[str]] = {}
    for move in moves:
        before.setdefault(move.before, set())
        before.setdefault(move.to.lower(), set()).add(move.before)
    try:
        return list(graphlib.TopologicalSorter(before).static_order())
    except graphlib.CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise BadInputError(
            f"lifecycle.rules leads back to an earlier stage: {circle}; a contact never moves back."
        ) from None
