"""Settings of scores: signals of interest, and opportunities of travel."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from marketing_pipelines.domains.crm.setting_types import (
    MOST_DAYS,
    MOST_POINTS,
    Count,
    Days,
    Points,
    PointsByType,
    SettingGroup,
    SettingName,
)

# Types of events that show interest. `leads.signal_types` in the database names them too.
SIGNAL_POINTS: dict[str, float] = {
    "page_view": 5,
    "opened": 3,
    "clicked": 10,
    "form_submission": 20,
    "demo_request": 50,
}
DECAY_RATE = 2
REMOVE_BELOW = 10
MOST_BANDS = 100


class Intent(SettingGroup):
    """Points of signals of interest, their decay, and the bounds of the bands."""

    points: dict[str, Points] = Field(
        default=SIGNAL_POINTS,
        description="Points of a signal, by type of event; 0 = the type earns nothing",
    )
    decay_rate: PointsByType = Field(
        default=DECAY_RATE,
        description="Points that a signal loses with each 24 hours of its age; also by type of "
        "event, with a `default`",
    )
    remove_below: PointsByType = Field(
        default=REMOVE_BELOW,
        description="From its second day on, a signal with less left counts no more; also by type "
        "of event",
    )
    max_age_days: Days = Field(default=365, description="Older signals do not count")
    high_above: Points = Field(default=50, description="Scores above this are high")
    medium_above: Points = Field(default=20, description="Scores above this are medium")

    @field_validator("points")
    @classmethod
    def _with_defaults(cls, given: dict[str, float]) -> dict[str, float]:
        return SIGNAL_POINTS | given

    @model_validator(mode="after")
    def _in_order(self) -> "Intent":
        if self.medium_above >= self.high_above:
            raise ValueError("intent.medium_above must lie below intent.high_above")
        return self

    def decay_of(self, event_type: str) -> float:
        """Points that a signal of this type loses with each 24 hours."""
        return _of_type(self.decay_rate, event_type, DECAY_RATE)

    def least_of(self, event_type: str) -> float:
        """Points below which a signal of this type counts no more."""
        return _of_type(self.remove_below, event_type, REMOVE_BELOW)


class TravelBand(SettingGroup):
    """Days before the travel, and the points of each of them."""

    up_to_days: Annotated[Count, Field(le=MOST_DAYS)]
    points: Annotated[Count, Field(le=MOST_POINTS)]


class Opportunities(SettingGroup):
    """Points that opportunities earn as their travel comes near."""

    bands: list[TravelBand] = Field(
        default=[
            TravelBand(up_to_days=7, points=20),
            TravelBand(up_to_days=14, points=15),
            TravelBand(up_to_days=30, points=10),
        ],
        max_length=MOST_BANDS,
        description="Points of a day by the calendar days until the travel; later ones earn none",
    )
    excluded_stages: list[SettingName] = Field(
        default=["CONVERTED", "JUNK", "NOT_INTERESTED"],
        description="Stages, in any case, in which an opportunity earns nothing",
    )
    repeat: Literal["daily", "once_per_band"] = Field(
        default="daily", description="`daily`: each day adds its points; else only a band's first"
    )

    @field_validator("bands")
    @classmethod
    def _ascend(cls, given: list[TravelBand]) -> list[TravelBand]:
        days = [band.up_to_days for band in given]
        if days != sorted(set(days)):
            raise ValueError("the bands must ascend by up_to_days")
        return given


def _of_type(setting: float | dict[str, float], event_type: str, otherwise: float) -> float:
    if isinstance(setting, dict):
        return setting.get(event_type, setting.get("default", otherwise))
    return setting
