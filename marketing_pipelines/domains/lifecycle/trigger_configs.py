"""The keys of a trigger's `config`, by its type, and the columns that each type uses."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from marketing_pipelines.domains.lifecycle.model_errors import sentence
from marketing_pipelines.domains.lifecycle.steps import (
    StepError,
    Text,
    TimeOfDay,
    read_object,
)
from marketing_pipelines.domains.segments import rules
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.domains.segments.rules import EventCondition

MAX_DAYS = 36_600
# The columns that define the contacts to enrol.
USES: Mapping[str, tuple[str, ...]] = {
    "segment": ("segment",),
    "event": ("event_type", "config"),
    "date": ("config",),
}


class DateTrigger(BaseModel):
    """Lets a contact in on a date that stands in one of its attributes.

    Attributes:
        days_before: Days by which it comes earlier; negative: later.
        yearly: Every year on that day; otherwise on that day alone.
        at: Time of day; None: when the day begins.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    attribute: Text
    days_before: int = 0
    yearly: bool = False
    at: TimeOfDay | None = None

    @field_validator("days_before")
    @classmethod
    def _near(cls, days: int) -> int:
        if abs(days) > MAX_DAYS:
            raise ValueError(f"is more than {MAX_DAYS} days")
        return days


def parse_date(config: Mapping[str, Any]) -> DateTrigger:
    """The trigger that an object describes.

    Raises:
        StepError: it says what is wrong where.
    """
    try:
        return DateTrigger.model_validate(config)
    except ValidationError as error:
        raise StepError(f"{sentence(error, 'config', DateTrigger)}.") from None


def parse_event(event_type: str, config: Mapping[str, Any]) -> EventCondition:
    """The events that let their contact in, as the condition of a rule.

    Args:
        config: `where`, comparisons with properties of the event, or nothing.

    Raises:
        StepError: it says what is wrong where.
    """
    for key in config:
        if key != "where":
            raise StepError(f"{key}: is an unknown key: use where.")
    try:
        condition: EventCondition = rules.parse_value({"event": event_type, **config})
    except RuleError as error:
        raise StepError(str(error)) from None
    return condition


def problem_of_date(text: str) -> str | None:
    """Returns the problem of a date trigger's config given as JSON text; None: it is right."""
    return _problem(text, parse_date)


def problem_of_event(text: str) -> str | None:
    """Returns the problem of an event trigger's config given as JSON text; None: it is right."""
    return _problem(text, lambda config: parse_event("any", config))


def unused(trigger_type: str, column: str) -> str | None:
    """Returns the problem of a value in a column that the trigger's type does not use. None: the
    type uses it."""
    if column in USES.get(trigger_type, (column,)):
        return None
    return f"is not used by a trigger of type {trigger_type}: leave it empty"


def require_used(trigger_type: str, given: Mapping[str, Any]) -> None:
    """Refuses a stored trigger with a value that would have no effect.

    Args:
        given: Values by column of a file.

    Raises:
        StepError: it names the column.
    """
    for column, value in given.items():
        problem = unused(trigger_type, column)
        if problem is not None and value not in (None, {}):
            raise StepError(f"{column}: {problem}.")


def _problem(text: str, parse: Callable[[Mapping[str, Any]], object]) -> str | None:
    try:
        parse(read_object(text))
    except ValueError as error:
        return str(error)
    except StepError as error:
        return str(error).removesuffix(".")
    return None
