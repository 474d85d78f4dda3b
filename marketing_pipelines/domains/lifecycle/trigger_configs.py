"""What a trigger of type `date` may say; those of other types say all in their columns."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from marketing_pipelines.domains.lifecycle.steps import (
    Clock,
    StepError,
    Text,
    read_object,
    sentence,
)

MOST_DAYS = 36_600


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
    at: Clock | None = None

    @field_validator("days_before")
    @classmethod
    def _near(cls, days: int) -> int:
        if abs(days) > MOST_DAYS:
            raise ValueError(f"is more than {MOST_DAYS} days")
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


def problem_of_date(text: str) -> str | None:
    """What is wrong with such an object given as JSON text; None: nothing."""
    try:
        parse_date(read_object(text))
    except ValueError as error:
        return str(error)
    except StepError as error:
        return str(error).removesuffix(".")
    return None
