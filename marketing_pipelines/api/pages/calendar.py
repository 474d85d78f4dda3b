"""The occurrence calendar as a page shows it: a row for a job, a column for a day."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from marketing_pipelines.occurrences import Occurrence

DID_NOT_RUN = ("failed", "skipped", "missed")
LONGEST_LIST = 200


@dataclass(frozen=True)
class Calendar:
    """Every tick by job and by day of the reporting zone."""

    days: list[dt.date]
    rows: dict[str, dict[dt.date, list[Occurrence]]] = field(default_factory=dict)


def calendar(
    occurrences: Iterable[Occurrence], *, first: dt.date, last: dt.date, zone: ZoneInfo
) -> Calendar:
    """The ticks between two days, both included, oldest first in their day."""
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    found = Calendar(days)
    for occurrence in occurrences:
        row = found.rows.setdefault(occurrence.job, {day: [] for day in days})
        day = occurrence.tick.astimezone(zone).date()
        if day in row:
            row[day].append(occurrence)
    return Calendar(days, dict(sorted(found.rows.items())))


def what_did_not_run(occurrences: Iterable[Occurrence]) -> list[Occurrence]:
    """The latest ticks that failed, were skipped or missed, newest first."""
    found = [o for o in occurrences if o.status in DID_NOT_RUN]
    return found[::-1][:LONGEST_LIST]
