"""Settings of an organization for the jobs that assist its sales."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from marketing_pipelines.domains.crm.setting_types import Days, SettingGroup


def _is_days(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _days_by_stage(value: Any) -> Any:
    if _is_days(value):
        return value
    if not isinstance(value, dict) or not all(map(_is_days, value.values())):
        raise ValueError("it is a number of days, or an object of such numbers by stage")
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


class Insights(SettingGroup):
    """Bounds beyond which a day's numbers need attention."""

    stuck_days: Days = Field(
        default=5, description="Days without movement after which a stage is stuck"
    )
    response_hours: Annotated[float, Field(gt=0)] = Field(
        default=2, description="Hours within which an e-mail of a contact should be answered"
    )
