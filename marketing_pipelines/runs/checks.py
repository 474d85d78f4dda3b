"""Checks of a job's rows: their declaration, and their outcomes in a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

MAX_EXAMPLES = 10


@dataclass(frozen=True)
class Check:
    """A check that a job's own run reports.

    Attributes:
        name: Its name in the Dagster UI.
        description: The sentence that holds when it passes.
        blocking: True if nothing is published where it fails; otherwise it warns.
    """

    name: str
    description: str
    blocking: bool = True

    def passed(self) -> "CheckOutcome":
        """The outcome of a check that holds."""
        return CheckOutcome(self, passed=True)


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of a check in a run.

    Attributes:
        details: Numbers and examples for the Dagster UI, by name.
    """

    check: Check
    passed: bool
    details: Mapping[str, Any] = field(default_factory=dict)


def merged(outcomes: Sequence[CheckOutcome]) -> dict[str, CheckOutcome]:
    """One outcome per check: passed where all passed, numbers added, examples joined."""
    by_name: dict[str, CheckOutcome] = {}
    for outcome in outcomes:
        known = by_name.setdefault(outcome.check.name, outcome)
        if known is outcome:
            continue
        details = {
            key: known.details.get(key, type(value)()) + value
            for key, value in outcome.details.items()
        }
        by_name[outcome.check.name] = replace(
            known,
            passed=known.passed and outcome.passed,
            details={k: v[:MAX_EXAMPLES] if isinstance(v, list) else v for k, v in details.items()},
        )
    return by_name
