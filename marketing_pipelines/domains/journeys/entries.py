"""The entries of each pass of the step engine: events and dates enrol contacts."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from marketing_pipelines.domains.journeys.date_entries import start_by_dates
from marketing_pipelines.domains.journeys.event_entries import start_by_events
from marketing_pipelines.runs.items import Items
from marketing_pipelines.stores.postgres import Begin


@dataclass(frozen=True)
class Begun:
    """Numbers of enrolments by events and dates.

    Attributes:
        events_left_out: Events that arrived too late to enrol their contact, by trigger.
        not_dates: Contacts whose value is not a date, by trigger.
    """

    by_events: int
    by_dates: int
    events_left_out: Mapping[str, int] = field(default_factory=dict)
    not_dates: Mapping[str, int] = field(default_factory=dict)


def start_due(begin: Begin, tick: dt.datetime, reporting_zone: ZoneInfo, items: Items) -> Begun:
    """Begins the enrolments of programs of all kinds that events and dates ask for up to the tick.

    Several may do so at once. It costs a few look-ups where nothing is due.

    Args:
        begin: A transaction of read committed, e.g. `tick.sharing`.
        reporting_zone: The zone of organizations that have none.
        items: As `Tick.items`.
    """
    by_events = start_by_events(begin, tick, reporting_zone, items)
    by_dates = start_by_dates(begin, tick, reporting_zone, items)
    return Begun(
        by_events=by_events.begun,
        by_dates=by_dates.begun,
        events_left_out=by_events.left_out,
        not_dates=by_dates.not_dates,
    )
