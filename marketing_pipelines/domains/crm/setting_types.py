"""The types of values that settings of organizations have, and the base of their groups."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

# A century: dates before it can still be computed.
MOST_DAYS = 36_500
# Sums of points are whole numbers that PostgreSQL holds.
MOST_POINTS = 1_000_000
AtLeastOne = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Days = Annotated[int, Field(ge=1, le=MOST_DAYS)]
Points = Annotated[float, Field(ge=0, le=MOST_POINTS)]
SettingLength = Annotated[str, Field(pattern=r"^\d{1,5}(min|h|d|w)$")]
SettingName = Annotated[str, Field(min_length=1)]
Time = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class SettingGroup(BaseModel):
    """A group of settings: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _is_points(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= MOST_POINTS


def _points_by_type(value: Any) -> Any:
    if _is_points(value):
        return value
    if isinstance(value, dict) and all(_is_points(one) for one in value.values()):
        return value
    raise ValueError(
        f"takes a number of at least 0, or such numbers by event type, at most {MOST_POINTS}, e.g. "
        '{"default": 2, "opened": 1}'
    )


# One number for all types of events, or one for each, `default` for the others.
PointsByType = Annotated[int | float | dict[str, int | float], PlainValidator(_points_by_type)]
