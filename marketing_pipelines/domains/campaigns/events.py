"""Events that this domain publishes."""

import datetime as dt
from typing import ClassVar

from marketing_pipelines.queueing.bus import BusEvent


class CampaignCompleted(BusEvent):
    """The last contact of a campaign has finished."""

    type: ClassVar[str] = "campaign.completed"

    campaign_id: int
    campaign: str
    completed_at: dt.datetime
    tick: dt.datetime
