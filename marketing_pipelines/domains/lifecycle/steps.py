"""The types of steps: one model per type, parsing, and the problems of a wrong one.

A step leads to the one after it unless it names another; only later steps of the program can be
named, so every way through a program ends. `end` leads out of it, as completed.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from marketing_pipelines.domains.delivery.named_templates.template import PARTS, missing_part
from marketing_pipelines.domains.delivery.tables import MESSAGE_KINDS, TEXTS
from marketing_pipelines.domains.lifecycle import contact_fields
from marketing_pipelines.domains.lifecycle.model_errors import sentence
from marketing_pipelines.domains.lifecycle.ways import Ways, names_of, way_outcome
from marketing_pipelines.domains.segments import dates, rules
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores.kinds import MAX_INDEXED

END = "end"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Step types that write a message, each with the channel of the message.
CHANNELS = {"send_email": "email", "send_sms": "sms", "send_push": "push"}
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class StepError(BadInputError):
    """A step that cannot be done as it is written."""


def event_problem(event: str) -> str | None:
    """Returns the problem of an event type to wait for; None: it is usable."""
    if event.endswith("*"):
        return "names one event type exactly: prefixes are for rules"
    if len(event.encode()) > MAX_INDEXED:
        return f"names an event type of more than {MAX_INDEXED} bytes"
    return None


def _check_length(text: str) -> str:
    dates.length_or_zero(text)
    return text


def _check_clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"'{text}' is no time of day: write hours and minutes, e.g. 09:00")
    return text


Text = Annotated[str, Field(min_length=1)]
Length = Annotated[str, AfterValidator(_check_length)]
TimeOfDay = Annotated[str, AfterValidator(_check_clock)]


class Step(BaseModel):
    """The fields that all steps share.

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


class Send(Step):
    """The fields that all steps with a message share; a template fills in what is None.

    Attributes:
        kind: Transactional messages ignore caps and quiet hours and go out before all others; the
            default is marketing.
        priority: Higher first among the messages of one sending domain; the default is 0.
        valid_for: A message that is not sent by then is not sent at all; `0` = for ever, None: as
            the organization's setting `delivery.valid_for` says.
        bulk: A message has two attempts, five seconds apart, instead of three.
    """

    kind: Literal[MESSAGE_KINDS] | None = None  # type: ignore[valid-type]
    priority: Annotated[int, Field(ge=-100, le=100)] | None = None
    valid_for: Length | None = None
    bulk: bool = False

    @property
    def content(self) -> Mapping[str, Any]:
        """The content of its messages, as long as no template gives it."""
        parts = {part: getattr(self, part, None) for part in TEXTS}
        return {part: value for part, value in parts.items() if value is not None}


class SendTexts(Send):
    """The fields that steps to contacts share; their texts are their own or those of a template.

    Attributes:
        template: Id of a template of the organization, or of a built-in one.
        category: Category of messages; None: the template's, else the organization's default.
    """

    parts: ClassVar[tuple[str, ...]]

    template: Text | None = None
    category: Text | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "SendTexts":
        if self.template is None:
            missing = missing_part(self.parts, self.content)
            if missing is not None:
                raise ValueError(f"The step has no '{missing}' and no 'template'")
        elif self.content:
            given = ", ".join(self.content)
            raise ValueError(f"a step with a template has no texts of its own: leave out {given}")
        return self


class SendEmail(SendTexts):
    """A mail; `{{ first_name }}` and other fields of the contact may stand in it.

    Attributes:
        sender: Sending domain, or an address of one; None: the template's, else the organization's
            default domain.
    """

    parts = PARTS["email"]

    subject: Text | None = None
    text: Text | None = None
    html: Text | None = None
    sender: Text | None = Field(default=None, alias="from")


class SendSms(SendTexts):
    """A text message."""

    parts = PARTS["sms"]

    text: Text | None = None


class SendPush(SendTexts):
    """A notification of an app."""

    parts = PARTS["push"]

    title: Text | None = None
    text: Text | None = None


class Wait(Step):
    """A length of time, or until a time of day, a weekday or both, in the contact's zone."""

    duration: Length | None = Field(default=None, alias="for")
    until: TimeOfDay | None = None
    weekday: Literal[WEEKDAYS] | None = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_of_them(self) -> "Wait":
        if (self.duration is None) == (self.until is None and self.weekday is None):
            raise ValueError(
                'a wait has either "for", a length, or "until" and "weekday", or one of the two'
            )
        return self


class Branch(Fork):
    """A fork by a segment rule about the contact.

    Attributes:
        rule: Result of `rules.parse`.
    """

    rule: Annotated[
        Any,
        WithJsonSchema({"type": "object", "description": "A rule: see segment-rule.schema.json"}),
    ]

    @field_validator("rule")
    @classmethod
    def _readable(cls, rule: Any) -> Any:
        try:
            return rules.parse_value(rule)
        except RuleError as error:
            where = f"{error.path}: " if error.path else ""
            raise ValueError(f"{where}{error.reason}") from None


class WaitFor(Fork):
    """A fork by an event of the contact before a timeout.

    Attributes:
        source: External ids of campaigns that it must come from; `program`: the step's own.
    """

    event: Text
    timeout: Length
    source: Text | Annotated[list[Text], Field(min_length=1)] | None = None

    @field_validator("event")
    @classmethod
    def _exact(cls, event: str) -> str:
        if problem := event_problem(event):
            raise ValueError(problem)
        return event


class Split(Step):
    """A fork by chance: each contact has its way, which is the same whenever it comes.

    Attributes:
        decide_after: Contacts that each way needs before a report names the best.
    """

    ways: Ways
    decide_after: Annotated[int, Field(ge=1)] = 500

    @property
    def targets(self) -> dict[str, str | None]:
        leads = {
            way_outcome(name): way.next or self.next
            for name, way in zip(names_of(self.ways), self.ways, strict=True)
        }
        return {"next": self.next, **leads}


class UpdateContact(Step):
    """Fields of the contact to set; null clears one."""

    values: dict[Text, Any] = Field(alias="set", min_length=1)

    @field_validator("values")
    @classmethod
    def _fits(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, value in values.items():
            if problem := contact_fields.problem_of(name, value):
                raise ValueError(problem)
        return values


class CreateTask(Step):
    """A task for the contact's owner."""

    title: Text
    due_in: Length | None = None


class Webhook(Step):
    """An event for another system.

    Attributes:
        url: Of a webhook endpoint of the organization.
        body: Its texts are templates; None: the contact's fields.
    """

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
    "split": Split,
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
    if kind not in TYPES:
        raise StepError(f"'{kind}' is no type of step: use {', '.join(TYPES)}.")
    try:
        return TYPES[kind].model_validate(config)
    except ValidationError as error:
        raise StepError(f"{sentence(error, 'step', TYPES[kind])}.") from None


def read_stored(text: str) -> dict[str, Any]:
    """The object of a stored step.

    Raises:
        StepError: it is none, or has numbers and nestings that Python does not read.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise StepError("The step's config is not a readable JSON object.")
    return config


def next_of(text: str) -> str | None:
    """Returns the name of the step that a stored step leads to by `next`. None: the one after it.
    The rest of the step may be wrong.

    Raises:
        StepError: it is no name.
    """
    try:
        config = read_stored(text)
    except StepError:
        return None
    try:
        return Step.model_validate({"next": config.get("next")}).next
    except ValidationError as error:
        raise StepError(f"{sentence(error, 'step', Step)}.") from None


def problem_of(kind: str, text: str) -> str | None:
    """Returns the problem of a step given as JSON text; None: it is right, or of no known type."""
    if kind not in TYPES:
        return None
    try:
        config = read_object(text)
        parse(kind, config)
        if kind in CHANNELS or kind == "webhook":
            # Code that only reads steps does not need Jinja2.
            from marketing_pipelines.domains.delivery.rendering import problem_of as problem_of_text

            return problem_of_text(config)
    except ValueError as error:
        return str(error)
    except StepError as error:
        return str(error).removesuffix(".")
    return None


def read_object(text: str) -> dict[str, Any]:
    """A JSON object, its decimal numbers as they are written.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise ValueError("is not valid JSON") from None
    if not isinstance(found, dict):
        raise ValueError("is not a JSON object")
    return found
