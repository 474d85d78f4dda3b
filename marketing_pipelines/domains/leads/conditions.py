"""The rules of stages and scores: segment rules with four more conditions.

They are about a contact's scores, its activities with users and its deals. Segments do not know
them: their members would change with each score.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Discriminator, Field, Tag, TypeAdapter

from marketing_pipelines.domains.segments import dates
from marketing_pipelines.domains.segments.operators import CountOperator
from marketing_pipelines.domains.segments.rule_errors import RuleError, join
from marketing_pipelines.domains.segments.rules import (
    All,
    AnyOf,
    Attribute,
    EventCondition,
    InSegment,
    InShare,
    Not,
    RuleNode,
    kind_key_of,
    kinds_message,
    parse,
    parse_value,
    walk,
)

Grade = Literal["A", "B", "C", "D", "F"]
ActivityKind = Literal["email", "call", "meeting", "note", "task", "other"]


class ScoreCondition(RuleNode):
    """A comparison of the contact's score at the tick."""

    score: Literal["intent", "lead"]
    op: CountOperator
    value: int | Decimal


class GradeCondition(RuleNode):
    """The grade of the contact's lead score at the tick is this one or a better one."""

    grade: Grade


class ActivityCondition(RuleNode):
    """The timeline has such an activity with the contact, before the tick."""

    activity: list[ActivityKind] = Field(min_length=1)
    direction: Literal["in", "out"] | None = None
    within: str | None = None
    since_stage: bool = False


class DealCondition(RuleNode):
    """The contact has a deal, an open one, or one that was won by the tick."""

    deal: Literal["any", "open", "won"]


class AllOfStage(All):
    """`all` with the further conditions."""

    all: list["StageRule"]  # type: ignore[assignment]


class AnyOfStage(AnyOf):
    """`any` with the further conditions."""

    any: list["StageRule"]  # type: ignore[assignment]


class NotOfStage(Not):
    """`not` with the further conditions."""

    condition: "StageRule" = Field(alias="not")  # type: ignore[assignment]


_FURTHER = ("score", "grade", "activity", "deal")
StageRule: TypeAlias = Annotated[
    Annotated[AllOfStage, Tag("<all>")]
    | Annotated[AnyOfStage, Tag("<any>")]
    | Annotated[NotOfStage, Tag("<not>")]
    | Annotated[Attribute, Tag("<attribute>")]
    | Annotated[EventCondition, Tag("<event>")]
    | Annotated[InSegment, Tag("<segment>")]
    | Annotated[InShare, Tag("<random>")]
    | Annotated[ScoreCondition, Tag("<score>")]
    | Annotated[GradeCondition, Tag("<grade>")]
    | Annotated[ActivityCondition, Tag("<activity>")]
    | Annotated[DealCondition, Tag("<deal>")],
    Discriminator(
        kind_key_of(_FURTHER),
        custom_error_type="condition",
        custom_error_message=kinds_message(_FURTHER),
    ),
]
for _model in (AllOfStage, AnyOfStage, NotOfStage):
    _model.model_rebuild()
# Conditions that take the place of the columns of contacts that hold scores.
_COMPUTED = {
    "intent_score": '{"score": "intent", "op": ">", "value": 50}',
    "intent_band": '{"score": "intent", "op": ">", "value": 50}',
    "lead_score": '{"score": "lead", "op": ">", "value": 50}',
    "lead_grade": '{"grade": "B"}',
}
_ADAPTER: TypeAdapter[Any] = TypeAdapter(StageRule)


def parse_stage_text(text: str) -> BaseModel:
    """Reads a rule with the further conditions from JSON.

    Raises:
        RuleError: it cannot be evaluated, whatever the data.
    """
    return _with_right_windows(parse(text, language=_ADAPTER))


def parse_stage_rule(raw: Mapping[str, Any]) -> BaseModel:
    """Reads a rule with the further conditions.

    Raises:
        RuleError: it cannot be evaluated, whatever the data.
    """
    return _with_right_windows(parse_value(raw, language=_ADAPTER))


def refuse_stored_scores(rule: BaseModel) -> None:
    """Refuses a rule that reads a score from the contact, where it is that of another instant.

    Raises:
        RuleError: the sentence names the condition to use.
    """
    for condition, path, _ in walk(rule):
        if isinstance(condition, Attribute) and condition.attribute in _COMPUTED:
            raise RuleError(
                join(path, "attribute"),
                f"{condition.attribute} is a stored score: use the condition "
                f"{_COMPUTED[condition.attribute]}, which computes it for the tick",
            )


def _with_right_windows(rule: BaseModel) -> BaseModel:
    for condition, path, _ in walk(rule):
        if isinstance(condition, ActivityCondition) and condition.within is not None:
            if condition.since_stage:
                raise RuleError(join(path, "within"), "cannot be combined with since_stage")
            try:
                dates.length(condition.within)
            except ValueError as error:
                raise RuleError(join(path, "within"), str(error)) from None
    return rule
