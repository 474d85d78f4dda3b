"""Events that this domain publishes."""

import datetime as dt
from typing import ClassVar

from marketing_pipelines.queueing.bus import BusEvent


class CampaignStarted(BusEvent):
    """A scheduled campaign has become active at its time."""

    type: ClassVar[str] = "campaign.started"

    campaign_id: int
    campaign: str
    started_at: dt.datetime
    tick: dt.datetime


class CampaignCompleted(BusEvent):
    """The last contact of a campaign has finished."""

    type: ClassVar[str] = "campaign.completed"

    campaign_id: int
    campaign: str
    completed_at: dt.datetime
    tick: dt.datetime
