"""The types of values that settings of organizations have, and the base of their groups."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Days = Annotated[int, Field(ge=1)]
Points = Annotated[float, Field(ge=0)]
SettingLength = Annotated[str, Field(pattern=r"^\d{1,5}(min|h|d|w)$")]
SettingName = Annotated[str, Field(min_length=1)]
Time = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class SettingGroup(BaseModel):
    """A group of settings: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
