"""What a step may say: one model per type, and what is wrong with one.

A step leads to the one after it unless it names another; only later steps of the program can be
named, so every way through a program ends. `end` leads out of it, as completed.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from marketing_pipelines.domains.segments import dates, rules
from marketing_pipelines.failures import BadInputError

END = "end"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Columns of a contact that a step may set; any other name is a key of its attributes.
SETTABLE = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "lifecycle_stage",
    "lead_grade",
    "intent_score",
    "timezone",
)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class StepError(BadInputError):
    """A step that cannot be done as it is written."""


def length(text: str) -> dt.timedelta:
    """A length of time, which may be none: `0d`.

    Raises:
        ValueError: it is no length.
    """
    if re.fullmatch(r"0(s|min|h|d|w)", text):
        return dt.timedelta()
    return dates.length(text)


def _check_length(text: str) -> str:
    length(text)
    return text


def _check_clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"'{text}' is no time of day: write hours and minutes, e.g. 09:00")
    return text


Text = Annotated[str, Field(min_length=1)]
Length = Annotated[str, AfterValidator(_check_length)]
Clock = Annotated[str, AfterValidator(_check_clock)]


class Step(BaseModel):
    """What all steps have.

    Attributes:
        next: Name of the step that follows; None: the one after it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    next: Text | None = None

    @property
    def targets(self) -> dict[str, str | None]:
        """The steps that it may lead to, by outcome."""
        return {"next": self.next}


class Fork(Step):
    """A step that leads one of two ways."""

    yes: Text | None = None
    no: Text | None = None

    @property
    def targets(self) -> dict[str, str | None]:
        return {"next": self.next, "yes": self.yes or self.next, "no": self.no or self.next}


class SendEmail(Step):
    """A mail; `{{ first_name }}` and other fields of the contact may stand in it."""

    subject: Text
    text: Text
    html: Text | None = None


class SendSms(Step):
    """A text message."""

    text: Text


class SendPush(Step):
    """A notification of an app."""

    title: Text
    text: Text


class Wait(Step):
    """A length of time, or until a time of day, a weekday or both, in the contact's zone."""

    duration: Length | None = Field(default=None, alias="for")
    until: Clock | None = None
    weekday: Literal[WEEKDAYS] | None = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_of_them(self) -> "Wait":
        if (self.duration is None) == (self.until is None and self.weekday is None):
            raise ValueError(
                'a wait has either "for", a length, or "until" and "weekday", or one of the two'
            )
        return self


class Branch(Fork):
    """Whether a segment rule holds for the contact.

    Attributes:
        rule: What `rules.parse` gives.
    """

    rule: Any

    @field_validator("rule")
    @classmethod
    def _readable(cls, rule: Any) -> Any:
        try:
            return rules.parse_value(rule)
        except rules.RuleError as error:
            raise ValueError(str(error).removesuffix(".")) from None


class WaitFor(Fork):
    """Whether an event of the contact happens before the time is out.

    Attributes:
        source: External ids of campaigns that it must come from; `program`: the step's own.
    """

    event: Text
    timeout: Length
    source: Text | list[Text] | None = None

    @field_validator("event")
    @classmethod
    def _exact(cls, event: str) -> str:
        if event.endswith("*"):
            raise ValueError("names one event type exactly: prefixes are for rules")
        return event


class UpdateContact(Step):
    """Fields of the contact to set; null clears one."""

    values: dict[Text, Any] = Field(alias="set", min_length=1)

    @field_validator("values")
    @classmethod
    def _fits(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, value in values.items():
            if name in ("id", "organization_id", "external_id", "company_id", "owner_id"):
                raise ValueError(f"'{name}' cannot be set by a step")
            if name == "intent_score" and not (value is None or type(value) is int):
                raise ValueError("'intent_score' is a whole number")
            if name in SETTABLE and name != "intent_score" and not isinstance(value, str | None):
                raise ValueError(f"'{name}' is a text")
        return values


class CreateTask(Step):
    """A task for whoever looks after the contact."""

    title: Text
    due_in: Length | None = None


class Webhook(Step):
    """A request to another system, with what is known of the contact."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
    body: dict[str, Any] | None = None


class Exit(Step):
    """The end of the program for the contact, before its last step."""

    reason: Text | None = None


TYPES: Mapping[str, type[Step]] = {
    "send_email": SendEmail,
    "send_sms": SendSms,
    "send_push": SendPush,
    "wait": Wait,
    "branch": Branch,
    "wait_for": WaitFor,
    "update_contact": UpdateContact,
    "create_task": CreateTask,
    "webhook": Webhook,
    "exit": Exit,
}


def parse(kind: str, config: Mapping[str, Any]) -> Step:
    """The step of a type that an object describes.

    Raises:
        StepError: it says what is wrong where.
    """
    try:
        return TYPES[kind].model_validate(_exact_numbers(config))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise StepError(f"{path}: {reason}." if path else f"{reason}.") from None


def problem_of(kind: str, text: str) -> str | None:
    """What is wrong with a step's object given as JSON text; None: nothing."""
    if kind not in TYPES:
        return None
    try:
        parse(kind, json.loads(text, parse_float=Decimal))
    except StepError as error:
        return str(error)
    return None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of every type's object, by type."""
    return {kind: TypeAdapter(model).json_schema(by_alias=True) for kind, model in TYPES.items()}


def _exact_numbers(config: Mapping[str, Any]) -> Any:
    # The database gives decimal numbers as floats, which rules do not take.
    return json.loads(json.dumps(config, default=str), parse_float=Decimal)
