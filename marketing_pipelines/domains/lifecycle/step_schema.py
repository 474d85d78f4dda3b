"""The JSON Schema of steps, for editors."""

from typing import Any

from marketing_pipelines.domains.lifecycle.steps import TYPES, SendTexts, Step, problem_of


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a step as files of JSON lines have it: its type, and an object by type."""
    listed = [_schema_of(kind, model) for kind, model in TYPES.items()]
    # A reference begins at the root of the whole schema.
    shared = [each["properties"]["config"].pop("$defs", {}) for each in listed]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Step",
        "type": "object",
        "oneOf": listed,
        "$defs": {name: model for models in shared for name, model in models.items()},
    }


def _schema_of(kind: str, model: type[Step]) -> dict[str, Any]:
    config = model.model_json_schema(by_alias=True)
    config["description"] = config["description"].partition("\n\n")[0]
    if issubclass(model, SendTexts):
        config["anyOf"] = [{"required": form} for form in _forms(model.parts)]
    required = ["type"] if problem_of(kind, "{}") is None else ["type", "config"]
    return {"properties": {"type": {"const": kind}, "config": config}, "required": required}


def _forms(parts: tuple[str, ...]) -> list[list[str]]:
    """The keys of which a message needs all of one list."""
    if "html" in parts:
        return [["template"], ["subject", "text"], ["subject", "html"]]
    return [["template"], list(parts)]
