"""Settings of an organization for the jobs that assist its sales."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from marketing_pipelines.domains.crm.setting_types import MOST_DAYS, Days, SettingGroup

MOST_HOURS = 24 * 365


def _is_days(value: Any) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and 0 <= value <= MOST_DAYS


def _days_by_stage(value: Any) -> Any:
    if _is_days(value):
        return value
    if not isinstance(value, dict) or not all(map(_is_days, value.values())):
        raise ValueError(
            f"it is a number of days from 0 to {MOST_DAYS}, or an object of such numbers by stage"
        )
    if "default" not in value:
        raise ValueError("it needs a `default` for the stages that it does not name")
    if len({stage.lower() for stage in value}) < len(value):
        raise ValueError("it names a stage twice: stages compare without case")
    return value


class Deals(SettingGroup):
    """Ages at which open deals are stale."""

    stale_after_days: Annotated[int | dict[str, int], PlainValidator(_days_by_stage)] = Field(
        default=7,
        description="Days without e-mail, call, meeting or note; or an object of days by stage: "
        '`{"default": 7, "contract sent": 21, "on hold": 0}`; 0 = never',
    )
    at_risk_after_days: Days = Field(
        default=30, description="Days after which a stale deal is tagged `at-risk` and escalated"
    )
    escalate_to: list[Literal["admin", "manager", "rep"]] = Field(
        default=["admin"],
        description="Roles whose users are notified of deals at risk; `[]` = none",
    )

    @property
    def days_by_stage(self) -> dict[str, int]:
        """Days until a deal is stale, by stage; `default`: those of all others."""
        days = self.stale_after_days
        return {"default": days} if isinstance(days, int) else dict(days)


class Insights(SettingGroup):
    """Bounds beyond which a day's numbers need attention."""

    stuck_days: Days = Field(
        default=5, description="Days without movement after which a stage is stuck"
    )
    response_hours: Annotated[float, Field(gt=0, le=MOST_HOURS)] = Field(
        default=2, description="Hours within which an e-mail of a contact should be answered"
    )
