"""What lets contacts in before each pass of the step engine: events and dates."""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from marketing_pipelines.domains.journeys.date_entries import start_by_dates
from marketing_pipelines.domains.journeys.enrolling import Begin, Items
from marketing_pipelines.domains.journeys.event_entries import start_by_events


@dataclass(frozen=True)
class Begun:
    """How many enrolments events and dates began."""

    by_events: int
    by_dates: int


def start_due(begin: Begin, tick: dt.datetime, reporting_zone: ZoneInfo, items: Items) -> Begun:
    """Begins the enrolments of programs of all kinds that events and dates ask for up to the tick.

    Several may do so at once. It costs a few look-ups where nothing is due.

    Args:
        begin: A transaction of read committed, e.g. `tick.sharing`.
        reporting_zone: The zone of organizations that have none.
        items: As `Tick.items`.
    """
    return Begun(
        by_events=start_by_events(begin, tick, items),
        by_dates=start_by_dates(begin, tick, reporting_zone, items),
    )
