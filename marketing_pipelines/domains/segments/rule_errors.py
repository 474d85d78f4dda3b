"""The errors of a rule: the path of the condition, and the fault there."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from marketing_pipelines.domains.segments.operators import CountOperator, Operator
from marketing_pipelines.failures import BadInputError


class RuleError(BadInputError):
    """A rule that cannot be evaluated.

    Attributes:
        path: Path in the rule, e.g. `all[1].any[0].value`; empty: the whole.
        reason: The error there.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}." if path else f"The rule {reason}.")

    @property
    def problem(self) -> str:
        """The end of a sentence that the rule's own name begins, without a full stop."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


class MissingNameError(RuleError):
    """A rule with a name that the organization does not have, or does not have yet."""


def similar(name: object, names: Iterable[str]) -> str:
    """Returns the end of a sentence on an unknown name: known names that are spelled alike."""
    alike = difflib.get_close_matches(str(name), sorted(names))
    return f"; similar: {', '.join(alike)}" if alike else ""


def join(path: str, key: str) -> str:
    """The path of a key under a condition."""
    return f"{path}.{key}" if path else key


def error_of(error: ValidationError) -> RuleError:
    """Returns the first error of a rule that is not of the models' shape."""
    first = error.errors(include_url=False)[0]
    loc = first["loc"][:-1] if first["type"] == "missing" else first["loc"]
    return RuleError(_path(loc), _reason(first))


def _path(loc: Sequence[int | str]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("<"):
            path = join(path, part)
    return path


def _reason(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is an unknown key"
    if error["type"] == "missing":
        return f"has no '{error['loc'][-1]}'"
    if error["type"] == "literal_error":
        if error["loc"][-1] == "op" and "<event>" in error["loc"][-2:-1]:
            return f"is none of {' '.join(get_args(CountOperator))}"
        return f"'{error['input']}' is no operator: use {', '.join(get_args(Operator))}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[0].lower() + message[1:]
