"""Settings of one organization, stored in `crm.organizations.settings`.

Only differences from the defaults are stored. A value is refused when it is set; one that got in
otherwise is found when the organization's item is worked on, and stops that item only.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field, ValidationError, model_validator

from marketing_pipelines.domains.crm.contact_settings import Assignment, Enrichment, Welcome
from marketing_pipelines.domains.crm.lead_settings import Intent, Opportunities
from marketing_pipelines.domains.crm.sales_settings import Deals, Insights
from marketing_pipelines.domains.crm.setting_types import (
    AtLeastOne,
    Count,
    Days,
    SettingGroup,
    SettingLength,
    SettingName,
    Time,
)
from marketing_pipelines.domains.crm.stage_settings import Lifecycle, Recycling
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.failures import BadInputError

# Room is left for the number and the signature: 64 characters before the @ are allowed.
_BARE_ADDRESS = r"^[A-Za-z0-9._-]{1,26}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
_SECONDS = {"min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class FrequencyCaps(SettingGroup):
    """Most marketing messages per contact and channel; 0 = no cap."""

    day: Count = Field(default=0, description="In any 24 hours")
    week: Count = Field(default=0, description="In any 7 days")
    month: Count = Field(default=0, description="In any 30 days")


class QuietHours(SettingGroup):
    """No marketing messages between these times of the contact's zone; overnight works."""

    start: Time | None = Field(default=None, description="HH:MM; none = no quiet hours")
    end: Time | None = Field(default=None, description="HH:MM")

    @model_validator(mode="after")
    def _both_or_none(self) -> "QuietHours":
        if (self.start is None) != (self.end is None) or (self.start and self.start == self.end):
            raise ValueError(
                "quiet_hours needs a start and another end, or neither: set both with "
                "`quiet_hours 22:00-07:00`"
            )
        return self


class ValidFor(SettingGroup):
    """The time after which a message that has not gone out is not sent any more."""

    marketing: SettingLength = Field(
        default="7d", description="Marketing messages; `0d` = for ever"
    )
    transactional: SettingLength = Field(default="24h", description="Transactional ones")

    def seconds(self, kind: str) -> float:
        """Returns the length for a kind of message; 0 = for ever."""
        number, unit = re.fullmatch(r"(\d+)(\w+)", getattr(self, kind)).groups()  # type: ignore[union-attr]
        return float(number) * _SECONDS[unit]


class Delivery(SettingGroup):
    """Limits of messages."""

    valid_for: ValidFor = Field(
        default=ValidFor(), description="How long a message may wait before it is not sent any more"
    )
    unknown_hours: Days = Field(
        default=48,
        description="Hours for which a message of unknown outcome waits for its provider's event",
    )
    bounce_address: Annotated[str, Field(pattern=_BARE_ADDRESS)] | None = Field(
        default=None,
        description="Mailbox that bounces come back to, such as `bounces@example.org`: each mail's "
        "envelope sender is this address with the number of its message and a signature behind a "
        "`+`; none = the sender's own address",
    )


class Warmup(SettingGroup):
    """Limits of a new sending domain."""

    ramp: list[AtLeastOne] = Field(
        default=[50, 100, 200, 400, 800, 1_500, 3_000, 5_000, 10_000, 20_000],
        min_length=1,
        description="Most messages on the first day, the second, and so on; the last holds on",
    )

    @model_validator(mode="after")
    def _ascends(self) -> "Warmup":
        if self.ramp != sorted(self.ramp):
            raise ValueError("warmup.ramp must not fall")
        return self


class Campaigns(SettingGroup):
    """The time in which a scheduled campaign starts."""

    latest_start_hours: Annotated[int, Field(ge=1)] = Field(
        default=6, description="Hours after its time up to which a scheduled campaign still starts"
    )


class Journeys(SettingGroup):
    """The age at which executions of journeys are canceled."""

    stale_after_days: Days = Field(default=7, description="Without progress, outside a wait")


class Triggers(SettingGroup):
    """Limits on the events that let contacts into programs."""

    latest_event_hours: Count = Field(
        default=72, description="Oldest that an event may be when it arrives; 0 = any age"
    )


class Segmentation(SettingGroup):
    """Limits of the evaluation of segments."""

    timeout_seconds: Days = Field(default=120, description="Longest that one rule may take")
    largest_removal: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5,
        description="Share of the members that a rebuild may remove without a confirmation; "
        "1 = all of them",
    )


class Tracking(SettingGroup):
    """Opens and clicks of mail, counted by links of our own."""

    opens: bool = Field(default=False, description="An image in each mail; needs a public URL")
    clicks: bool = Field(default=False, description="Links that lead through the API; likewise")
    source: Literal["own", "provider"] | None = Field(
        default=None,
        description="Whose opens and clicks count; none = our own where they are on, else those of "
        "the provider",
    )


class Newsletter(SettingGroup):
    """The weekly issue that `delivery/newsletter` sends."""

    template: SettingName | None = Field(
        default=None, description="Template of the issues, a mail; none = there is no newsletter"
    )
    category: SettingName = Field(
        default="newsletter", description="Category whose subscribers get the issues"
    )
    segment: SettingName | None = Field(
        default=None, description="Segment of which they must be members; none = of no segment"
    )


class Exports(SettingGroup):
    """Limits of exports."""

    max_rows: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        default=10_000_000, description="Most rows of one file"
    )
    valid_days: Annotated[int, Field(ge=1, le=365)] = Field(
        default=7, description="Days for which a file is kept and its link is valid"
    )


class Reports(SettingGroup):
    """The mail of `analytics/daily_report` to admins."""

    send_empty: bool = Field(default=False, description="Also for days on which nothing happened")


# These are kept and checked, and nothing reads them in this release.
UNUSED: frozenset[str] = frozenset()


class OrganizationSettings(SettingGroup):
    """Everything an organization may set."""

    demo: bool = Field(
        default=False,
        description="Its contacts are made up: `development/test_data` adds activity of theirs",
    )
    intent: Intent = Intent()
    opportunities: Opportunities = Opportunities()
    frequency_caps: FrequencyCaps = FrequencyCaps()
    quiet_hours: QuietHours = QuietHours()
    delivery: Delivery = Delivery()
    warmup: Warmup = Warmup()
    deals: Deals = Deals()
    insights: Insights = Insights()
    campaigns: Campaigns = Campaigns()
    journeys: Journeys = Journeys()
    triggers: Triggers = Triggers()
    segments: Segmentation = Segmentation()
    tracking: Tracking = Tracking()
    newsletter: Newsletter = Newsletter()
    assignment: Assignment = Assignment()
    welcome: Welcome = Welcome()
    lifecycle: Lifecycle = Lifecycle()
    recycling: Recycling = Recycling()
    enrichment: Enrichment = Enrichment()
    exports: Exports = Exports()
    reports: Reports = Reports()


def settings_of(connection: sa.Connection, organization_id: int) -> OrganizationSettings:
    """The settings of an organization, defaults included.

    Raises:
        BadInputError: the stored settings cannot be used.
    """
    row = connection.execute(
        sa.select(organizations.c.external_id, organizations.c.settings).where(
            organizations.c.id == organization_id
        )
    ).one()
    return validated(row.settings, row.external_id)


def validated(stored: Any, organization: str) -> OrganizationSettings:
    """Returns the stored settings, read strictly.

    Raises:
        BadInputError: an unknown key or a value that cannot be used; the sentence names it.
    """
    try:
        return OrganizationSettings.model_validate(stored)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            reason = f"there is no setting '{key}'"
        else:
            reason = f"{key}: {first['msg']}".removeprefix(": ").replace("Value error, ", "")
        raise BadInputError(
            f"The settings of organization {organization} cannot be used: {reason}."
        ) from error


def set_values(
    connection: sa.Connection,
    organization_id: int,
    texts: Mapping[str, str],
    *,
    check: Callable[[OrganizationSettings], None] | None = None,
) -> None:
    """Stores values; the whole is validated when all are in place, and nothing is kept otherwise.

    Args:
        check: Refuses settings that only their reader can judge, such as rules; None: none do.
        texts: By key as shown, e.g. `intent.decay_rate`: JSON, or plain text where it is none;
            `null` takes the default again.

    Raises:
        BadInputError: no such setting, or a value that it cannot have.
    """
    row = connection.execute(
        sa.select(organizations.c.external_id, organizations.c.settings)
        .where(organizations.c.id == organization_id)
        .with_for_update()
    ).one()
    changed = row.settings
    for key, text in texts.items():
        changed = _with_value(changed, key.split("."), _value(key, text), row.external_id)
    settings = validated(changed, row.external_id)
    if check is not None:
        check(settings)
    connection.execute(
        sa.update(organizations)
        .where(organizations.c.id == organization_id)
        .values(settings=changed)
    )


def is_used(key: str) -> bool:
    """Returns true if this release reads the setting."""
    return key.partition(".")[0] not in UNUSED


def flat(settings: BaseModel, before: str = "") -> dict[str, Any]:
    """The settings by their dotted keys."""
    found: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            found |= flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            found[f"{before}{name}"] = [
                one.model_dump() if isinstance(one, BaseModel) else one for one in value
            ]
        else:
            found[f"{before}{name}"] = value
    return found


def described(model: type[BaseModel] = OrganizationSettings, before: str = "") -> dict[str, str]:
    """The meaning of every setting by its dotted key."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= described(field.annotation, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = str(field.description)
    return found


def _value(key: str, text: str) -> Any:
    if key == "quiet_hours" and (hours := re.fullmatch(r"([\d:]+)\s*-\s*([\d:]+)", text)):
        return {"start": hours[1], "end": hours[2]}
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _with_value(stored: Any, path: list[str], value: Any, organization: str) -> dict[str, Any]:
    if not isinstance(stored, dict):
        raise BadInputError(
            f"The settings of organization {organization} cannot be used: they are no object."
        )
    name, *rest = path
    if rest:
        below = _with_value(stored.get(name, {}), rest, value, organization)
        return {**stored, name: below} if below else {k: v for k, v in stored.items() if k != name}
    if value is None:
        return {key: kept for key, kept in stored.items() if key != name}
    return {**stored, name: value}
