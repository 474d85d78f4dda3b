"""The ledger of opportunities: points of each day on which their travel is near.

A day's partition is the calendar day of its label; the travel is as many days ahead as the calendar
says, also across daylight saving. A row per opportunity and day, so that a day that is done
again adds nothing twice, and is restated where the travel has moved.
"""

import datetime as dt
import json
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.leads.statements import read_sql
from marketing_pipelines.domains.segments.segment_graph import zone_of


def write_day(
    connection: sa.Connection, organization_id: int, date: dt.date, reporting_zone: ZoneInfo
) -> int:
    """Writes the ledger of a day as travel dates, stages and settings imply it now.

    Returns:
        Number of rows of the day.

    Raises:
        BadInputError: the settings or the zone of the organization cannot be used.
    """
    settings = settings_of(connection, organization_id).opportunities
    done = connection.execute(
        read_sql("score_opportunities"),
        {
            "organization_id": organization_id,
            "date": date,
            "zone": zone_of(connection, organization_id, reporting_zone).key,
            "bands": json.dumps([band.model_dump() for band in settings.bands]),
            "longest": max((band.up_to_days for band in settings.bands), default=0),
            "excluded": [stage.lower() for stage in settings.excluded_stages],
            "repeat_daily": settings.repeat == "daily",
        },
    ).one()
    return int(done.rows)
