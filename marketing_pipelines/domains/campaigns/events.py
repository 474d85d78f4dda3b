"""Events that this domain publishes."""

import datetime as dt
from typing import ClassVar

import sqlalchemy as sa

from marketing_pipelines.queueing import bus
from marketing_pipelines.queueing.bus import BusEvent


class CampaignStarted(BusEvent):
    """A campaign has become active: at its time, by hand or by a job."""

    type: ClassVar[str] = "campaign.started"
    about_contacts: ClassVar[bool] = False

    campaign_id: int
    campaign: str
    started_at: dt.datetime
    tick: dt.datetime


class CampaignCompleted(BusEvent):
    """The last contact of a campaign has finished."""

    type: ClassVar[str] = "campaign.completed"
    about_contacts: ClassVar[bool] = False

    campaign_id: int
    campaign: str
    completed_at: dt.datetime
    tick: dt.datetime


def publish_start(
    connection: sa.Connection,
    organization_id: int,
    campaign_id: int,
    campaign: str,
    started_at: dt.datetime,
    tick: dt.datetime,
) -> None:
    """Publishes that a campaign has become active.

    Args:
        campaign: External id.
    """
    event = CampaignStarted(
        organization_id=organization_id,
        campaign_id=campaign_id,
        campaign=campaign,
        started_at=started_at,
        tick=tick,
    )
    bus.publish(connection, [event])
