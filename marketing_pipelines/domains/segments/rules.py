"""The rule language, as models with a JSON Schema, and the errors of a rule.

A rule is read once, strictly: `parse` refuses every rule that could not be evaluated, except for
names that only the database knows (attributes, segments), which the compiler looks up.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from marketing_pipelines.domains.segments import dates
from marketing_pipelines.domains.segments.buckets import Percent
from marketing_pipelines.domains.segments.json_numbers import exact_numbers, refuse_constant
from marketing_pipelines.domains.segments.operators import (
    CountOperator,
    Operator,
    ValueKind,
    kind_of,
)
from marketing_pipelines.domains.segments.rule_errors import RuleError, error_of, join

MAX_DEPTH = 32
MAX_CONDITIONS = 1_000
MAX_DIGITS = 200

Value = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]
Name = Annotated[str, Field(min_length=1)]


class RuleNode(BaseModel):
    """The base of conditions: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class All(RuleNode):
    """Every one of the conditions holds; of none: always."""

    all: list["Rule"]


class AnyOf(RuleNode):
    """At least one of the conditions holds; of none: never."""

    any: list["Rule"]


class Not(RuleNode):
    """The condition does not hold for the contact."""

    condition: "Rule" = Field(alias="not")


class InSegment(RuleNode):
    """The contact is a member of another segment, named by external id or number."""

    segment: Annotated[Any, WithJsonSchema({"type": ["integer", "string"]})]


class RandomShare(RuleNode):
    """A part of all contacts, chosen by a hash of their names and the salt."""

    percent: Percent
    salt: Name


class InShare(RuleNode):
    """The contact is in a random share, which stays the same."""

    random: RandomShare


class Comparison(RuleNode):
    """An operator and the value it compares with."""

    op: Operator
    value: Value = None

    @property
    def has_value(self) -> bool:
        """True if the rule gives a value, even null."""
        return "value" in self.model_fields_set

    @property
    def kind(self) -> ValueKind:
        """Returns the type to which the stored value is converted.

        Raises:
            ValueError: the operator does not fit the value; the text says why.
        """
        return kind_of(self.op, self.value, given=self.has_value)


class Attribute(Comparison):
    """A column or attribute of the contact."""

    attribute: Name


class Property(Comparison):
    """A property of an event."""

    property: Name


class EventCondition(RuleNode):
    """A condition on the number of a contact's events, or on the latest one."""

    event: Name
    op: CountOperator = ">="
    times: int = Field(default=1, ge=0, le=2**31 - 1, description="0 without an op: never")
    within: str | None = None
    since: str | None = None
    until: str | None = None
    source: Annotated[Any, WithJsonSchema({"type": ["string", "integer", "array"]})] = None
    where: list[Property] = []
    last: list[Property] | None = None

    @property
    def count_op(self) -> CountOperator:
        """The comparison of the number of events; `"times": 0` alone means never."""
        return "=" if self.times == 0 and "op" not in self.model_fields_set else self.op

    @property
    def prefix(self) -> str | None:
        """The beginning of the event type, if it ends with `*`."""
        return self.event[:-1] if self.event.endswith("*") else None

    @property
    def sources(self) -> list[str] | None:
        """External ids of campaigns; None: any source or none."""
        if self.source is None:
            return None
        listed = self.source if isinstance(self.source, list) else [self.source]
        return [str(name) for name in listed]


_KINDS = ("all", "any", "not", "attribute", "event", "segment", "random")


def kind_key_of(further: Sequence[str] = ()) -> Callable[[Any], str | None]:
    """Returns the function that finds the tag of a condition, which the tags of models hold.

    Args:
        further: Kinds of conditions that a language has besides those of segments.
    """

    def kind_key(value: Any) -> str | None:
        if isinstance(value, BaseModel):
            return None
        kinds = (*_KINDS, *further)
        named = [key for key in kinds if isinstance(value, Mapping) and key in value]
        return f"<{named[0]}>" if len(named) == 1 else None

    return kind_key


def kinds_message(further: Sequence[str] = ()) -> str:
    """Returns the error of a condition that has none of the kinds, or several."""
    return f"must be an object with just one of the keys {', '.join((*_KINDS, *further))}"


Rule: TypeAlias = Annotated[
    Annotated[All, Tag("<all>")]
    | Annotated[AnyOf, Tag("<any>")]
    | Annotated[Not, Tag("<not>")]
    | Annotated[Attribute, Tag("<attribute>")]
    | Annotated[EventCondition, Tag("<event>")]
    | Annotated[InSegment, Tag("<segment>")]
    | Annotated[InShare, Tag("<random>")],
    Discriminator(
        kind_key_of(),
        custom_error_type="condition",
        custom_error_message=kinds_message(),
    ),
]
for _model in (All, AnyOf, Not):
    _model.model_rebuild()
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Rule)


def json_schema() -> dict[str, Any]:
    """The language as a JSON Schema."""
    schema = _ADAPTER.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Rule"} | schema


def parse(text: str, *, language: TypeAdapter[Any] = _ADAPTER) -> Any:
    """Reads a rule from JSON, as `parse_value`.

    Raises:
        RuleError: it cannot be evaluated, whatever the data.
    """
    try:
        raw = json.loads(text, parse_float=Decimal, parse_constant=refuse_constant)
    except RecursionError:
        raise RuleError("", f"is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise RuleError("", f"is not JSON: {error}") from None
    return parse_value(raw, language=language)


def parse_value(raw: Any, *, language: TypeAdapter[Any] = _ADAPTER) -> Any:
    """Reads a rule from a result of `json.loads`.

    Args:
        language: The conditions that it may have.

    Raises:
        RuleError: it cannot be evaluated, whatever the data.
    """
    _refuse_unusable(raw, "", 0)
    try:
        rule = language.validate_python(exact_numbers(raw))
    except ValidationError as error:
        raise error_of(error) from None
    for count, (condition, path, depth) in enumerate(walk(rule), start=1):
        if depth >= MAX_DEPTH and isinstance(condition, (All, AnyOf, Not)):
            raise RuleError(path, f"is nested more than {MAX_DEPTH} deep")
        if count > MAX_CONDITIONS:
            raise RuleError("", f"has more than {MAX_CONDITIONS:,} conditions")
        _check(condition, path)
    return rule


def problem_of(text: str) -> str | None:
    """Returns the problem of a rule's JSON, without looking at data; None: it is right."""
    try:
        parse(text)
    except RuleError as error:
        return error.problem
    return None


def walk(rule: Any, path: str = "", depth: int = 0) -> Iterator[tuple[Any, str, int]]:
    """Every condition of a rule with its path and the number of groups around it."""
    yield rule, path, depth
    for below, key in children(rule):
        yield from walk(below, join(path, key), depth + 1)


def children(rule: Any) -> list[tuple[Any, str]]:
    """The conditions of a group, each with its key."""
    if isinstance(rule, All):
        return [(below, f"all[{place}]") for place, below in enumerate(rule.all)]
    if isinstance(rule, AnyOf):
        return [(below, f"any[{place}]") for place, below in enumerate(rule.any)]
    if isinstance(rule, Not):
        return [(rule.condition, "not")]
    return []


def predicates(condition: EventCondition) -> Iterator[tuple[Property, str]]:
    """The comparisons of an event condition, each with its key."""
    for key in ("where", "last"):
        for place, predicate in enumerate(getattr(condition, key) or []):
            yield predicate, f"{key}[{place}]"


def _check(condition: Any, path: str) -> None:
    """Checks the parts that the models cannot: operators, values and dates must fit."""
    if isinstance(condition, Attribute):
        _check_comparison(condition, path)
    elif isinstance(condition, InSegment):
        name = condition.segment
        if not name or isinstance(name, bool) or not isinstance(name, (int, str)):
            raise RuleError(join(path, "segment"), "takes an external id or a number")
    elif isinstance(condition, EventCondition):
        _check_event(condition, path)


def _check_comparison(comparison: Comparison, path: str) -> None:
    try:
        comparison.kind  # noqa: B018
    except ValueError as error:
        at = join(path, "value") if comparison.has_value else path
        raise RuleError(at, str(error)) from None


def _check_event(condition: EventCondition, path: str) -> None:
    given = condition.model_fields_set
    for key in ("op", "times"):
        if condition.last is not None and key in given:
            raise RuleError(join(path, key), "cannot be combined with last")
    for key, check in (
        ("within", dates.length),
        ("since", dates.require_date),
        ("until", dates.require_date),
    ):
        value = getattr(condition, key)
        if key in given and value is None:
            raise RuleError(join(path, key), "is null: leave it out")
        if value is not None:
            try:
                check(value)
            except ValueError as error:
                raise RuleError(join(path, key), str(error)) from None
    if "source" in given:
        named = condition.source if isinstance(condition.source, list) else [condition.source]
        if not named or not all(
            isinstance(name, (str, int)) and not isinstance(name, bool) for name in named
        ):
            raise RuleError(join(path, "source"), "takes external ids of campaigns")
    if "last" in given and not condition.last:
        raise RuleError(join(path, "last"), "takes at least one predicate")
    for predicate, key in predicates(condition):
        _check_comparison(predicate, join(path, key))


def _refuse_unusable(raw: Any, path: str, depth: int) -> None:
    """Values that no database holds, and nesting that no rule needs."""
    if depth > 4 * MAX_DEPTH:
        raise RuleError("", f"is nested more than {MAX_DEPTH} deep")
    if isinstance(raw, str):
        _refuse_text(raw, path)
    elif isinstance(raw, (int, Decimal)) and not isinstance(raw, bool):
        if abs(Decimal(raw).adjusted()) > MAX_DIGITS or len(str(raw)) > 2 * MAX_DIGITS:
            raise RuleError(path, f"has more than {MAX_DIGITS} digits")
    elif (isinstance(raw, float) and raw != raw) or raw in (float("inf"), float("-inf")):
        raise RuleError(path, "is no number")
    elif isinstance(raw, Mapping):
        for key, value in raw.items():
            _refuse_text(str(key), path)
            _refuse_unusable(value, join(path, str(key)), depth + 1)
    elif isinstance(raw, list):
        for place, value in enumerate(raw):
            _refuse_unusable(value, f"{path}[{place}]", depth + 1)


def _refuse_text(text: str, path: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise RuleError(path, "holds a character that PostgreSQL cannot store")
