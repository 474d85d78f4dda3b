"""Errors of the models of steps and triggers, each as one sentence."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from marketing_pipelines.domains.lifecycle.ways import Way


def sentence(error: ValidationError, what: str, model: type[BaseModel]) -> str:
    """Returns a model's first error as a sentence without a full stop.

    Args:
        what: Name of the described thing, as one word.
    """
    first = error.errors(include_url=False)[0]
    kind, loc = first["type"], first["loc"]
    if loc[:1] == ("source",):
        return "source: takes the external id of a campaign, a list of them, or program"
    path = _written(loc)
    if kind == "missing":
        return (
            f"{_written(loc[:-1])}: has no '{loc[-1]}'"
            if loc[1:]
            else f"The {what} has no '{path}'"
        )
    if loc[-1:] == ("[key]",):
        return f"{loc[0]}: has an empty name"
    reason = _REASONS.get(kind) or first["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        fields = Way.model_fields if loc[1:] else model.model_fields
        known = (field.alias or name for name, field in fields.items())
        reason = f"is an unknown key: use {', '.join(known)}"
    elif kind == "literal_error":
        choices = re.findall(r"'(\w+)'", first["ctx"]["expected"])
        reason = f"'{first['input']}' is none of {', '.join(choices)}"
    elif kind == "greater_than_equal":
        reason = f"takes a whole number from {first['ctx']['ge']} on"
    elif kind == "less_than_equal":
        reason = f"takes a whole number up to {first['ctx']['le']}"
    elif kind == "string_pattern_mismatch":
        reason = f"'{first['input']}' is no address that begins with http:// or https://"
    return f"{path}: {reason}" if path else reason


def _written(loc: Sequence[int | str]) -> str:
    """Returns where something stands, such as `ways[0].percent`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return "".join(parts).removeprefix(".")


_REASONS = {
    "string_type": "takes a text",
    "string_too_short": "is empty",
    "dict_type": "takes an object",
    "too_short": "is empty",
    "int_type": "takes a whole number",
    "bool_type": "takes true or false",
    "list_type": "takes a list",
    "model_type": "takes an object",
    "model_attributes_type": "takes an object",
}
