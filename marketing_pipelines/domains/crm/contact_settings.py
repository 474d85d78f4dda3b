"""Settings on the treatment of new contacts."""

from typing import Annotated

from pydantic import Field

from marketing_pipelines.domains.crm.events import CreatedBy
from marketing_pipelines.domains.crm.setting_types import Days, SettingGroup, SettingName


class Assignment(SettingGroup):
    """The users who become owners of new contacts, one after the other."""

    users: list[SettingName] | None = Field(
        default=None,
        description="External ids of the users who get new contacts without owner in turn; none = "
        "all users of role rep; inactive users get none",
    )


class Welcome(SettingGroup):
    """The mail to new contacts."""

    template: SettingName | None = Field(
        default=None,
        description="Template of the transactional mail to each new contact, such as `welcome`; "
        "none = no mail",
    )
    sources: list[CreatedBy] = Field(
        default=["form", "api", "manual"],
        description="Sources of the contacts that get it: form, api, manual, import",
    )


class Enrichment(SettingGroup):
    """Limits on the questions to an enrichment provider."""

    per_run: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=500, description="Most contacts that one night asks about; 0 = none"
    )
    again_after_days: Days = Field(
        default=30, description="Days after which it is asked about a contact again"
    )
