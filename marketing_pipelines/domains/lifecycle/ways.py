"""The ways of a split: their names and shares."""

import bisect
import itertools
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from marketing_pipelines.domains.segments.buckets import BUCKETS, Percent, buckets_of
from marketing_pipelines.domains.segments.rules import Name


class Way(BaseModel):
    """One way out of a split.

    Attributes:
        name: None: A, B and so on, by its place.
        next: Name of the step that it leads to; None: where the split itself leads.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Name | None = None
    percent: Percent
    next: Name | None = None


def names_of(ways: Sequence[Way]) -> list[str]:
    """Returns the names of ways: those without one are A, B and so on, by their places."""
    return [way.name or ascii_uppercase[place] for place, way in enumerate(ways)]


def starts_of(ways: Sequence[Way]) -> list[int]:
    """Returns the first bucket of each way."""
    return list(itertools.accumulate((buckets_of(way.percent) for way in ways[:-1]), initial=0))


def way_of(ways: Sequence[Way], bucket: int) -> str:
    """Returns the name of the way to which a bucket belongs."""
    return names_of(ways)[bisect.bisect_right(starts_of(ways), bucket) - 1]


def way_outcome(name: str) -> str:
    """Returns the outcome of a split by which a contact goes a way."""
    return f"way {name}"


def _make_a_whole(ways: list[Way]) -> list[Way]:
    if not 2 <= len(ways) <= len(ascii_uppercase):
        raise ValueError(f"takes 2 to {len(ascii_uppercase)} ways")
    total = sum(buckets_of(way.percent) for way in ways)
    if total != BUCKETS:
        raise ValueError(f"the percentages are {total * 100 / BUCKETS:g} together, not 100")
    names = names_of(ways)
    if len(set(names)) < len(names):
        raise ValueError("two ways have the same name")
    return ways


Ways = Annotated[
    list[Way],
    Field(json_schema_extra={"minItems": 2, "maxItems": len(ascii_uppercase)}),
    AfterValidator(_make_a_whole),
]
