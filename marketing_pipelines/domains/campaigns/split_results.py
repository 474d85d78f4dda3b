"""Results of splits: each way with its shares and their confidence, and the best way."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from marketing_pipelines.domains.lifecycle import steps
from marketing_pipelines.domains.lifecycle.steps import Split, StepError
from marketing_pipelines.domains.lifecycle.ways import names_of

# The 97.5th percentile of the normal distribution: 95 % lie within so many deviations.
_DEVIATIONS = 1.959963984540054
DECIDE_AFTER = Split.model_fields["decide_after"].default


@dataclass(frozen=True)
class WayResults:
    """Contacts that went a way, and how many of them the campaign reached."""

    name: str
    contacts: int = 0
    sent: int = 0
    opened: int = 0
    clicked: int = 0
    goals: int = 0


@dataclass
class SplitResults:
    """One split.

    Attributes:
        ways: In the order of the step; ways that it no longer has come last.
        decide_after: Contacts that each way needs before one is the best.
        measure: The number by which ways are compared.
    """

    step: str
    measure: str
    ways: list[WayResults] = field(default_factory=list)
    decide_after: int = DECIDE_AFTER

    @property
    def verdict(self) -> str:
        """A sentence that names the best way, or why none is named."""
        if any(way.contacts < self.decide_after for way in self.ways):
            return f"No way is named the best before each has {self.decide_after:,} contacts."
        bounds = {way.name: wilson(getattr(way, self.measure), way.contacts) for way in self.ways}
        best = max(bounds, key=lambda name: bounds[name][0])
        highest = max(high for name, (_, high) in bounds.items() if name != best)
        if bounds[best][0] > highest:
            return f"Way {best} is the best by {self.measure}."
        return f"The intervals of {self.measure} overlap: no way is clearly the best."


def of_step(name: str, config: str, found: Sequence[WayResults], *, has_goal: bool) -> SplitResults:
    """Returns the results of a split.

    Args:
        config: The step's object as stored.
        found: The ways that contacts went.
        has_goal: Whether the campaign has one; otherwise ways are compared by clicks, or by opens
            where nobody clicked.
    """
    by_name = {way.name: way for way in found}
    has_clicks = any(way.clicked for way in found)
    measure = "goals" if has_goal else "clicked" if has_clicks else "opened"
    try:
        split = steps.parse("split", json.loads(config))
        assert isinstance(split, Split)
        listed, decide_after = names_of(split.ways), split.decide_after
    except StepError:
        listed, decide_after = [], DECIDE_AFTER
    names = [*listed, *(way for way in by_name if way not in listed)]
    ways = [by_name.get(way, WayResults(way)) for way in names]
    return SplitResults(name, measure, ways, decide_after)


def wilson(number: int, contacts: int) -> tuple[float, float]:
    """Returns the bounds of a share's 95 % interval by Wilson's score.

    Args:
        number: How many of the contacts count.
    """
    if contacts == 0:
        return 0.0, 1.0
    share, square = number / contacts, _DEVIATIONS**2
    middle = (share + square / (2 * contacts)) / (1 + square / contacts)
    spread = (
        _DEVIATIONS
        * math.sqrt(share * (1 - share) / contacts + square / (4 * contacts**2))
        / (1 + square / contacts)
    )
    return max(middle - spread, 0.0), min(middle + spread, 1.0)


def share(number: int, contacts: int) -> str:
    """Returns a share with its interval: `12.0% (10.1–14.2%)`."""
    if contacts == 0:
        return "–"
    low, high = wilson(number, contacts)
    return f"{number / contacts:.1%} ({100 * low:.1f}–{high:.1%})"
