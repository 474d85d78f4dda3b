"""Numbers of JSON as they were written."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def exact_numbers(raw: Any) -> Any:
    """A result of `json.loads` with floats as the decimals that they were written as."""
    if isinstance(raw, float):
        return Decimal(repr(raw))
    if isinstance(raw, Mapping):
        return {key: exact_numbers(value) for key, value in raw.items()}
    if isinstance(raw, list):
        return [exact_numbers(value) for value in raw]
    return raw


def refuse_constant(name: str) -> Any:
    """Refuses NaN and infinities, which JSON does not have.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is no number of JSON")
