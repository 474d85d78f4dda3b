"""The occurrence calendar as a page shows it: a row for a job, a column for a day."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from zoneinfo import ZoneInfo

from marketing_pipelines.observability.calendar import Occurrence

DID_NOT_RUN = ("failed", "skipped", "missed")


@dataclass(frozen=True)
class Calendar:
    """Every tick by job and by day of the reporting zone."""

    days: list[dt.date]
    rows: dict[str, dict[dt.date, list[Occurrence]]]


@dataclass(frozen=True)
class Gap:
    """Ticks of one job, one after the other, of which the same became for the same reason."""

    ticks: list[Occurrence]

    @property
    def first(self) -> Occurrence:
        return self.ticks[0]

    @property
    def last(self) -> Occurrence:
        return self.ticks[-1]


def calendar(
    occurrences: Iterable[Occurrence],
    *,
    jobs: Iterable[str],
    first: dt.date,
    last: dt.date,
    zone: ZoneInfo,
) -> Calendar:
    """The ticks of the jobs between two days, both included, oldest first in their day."""
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    found = Calendar(days, {job: {day: [] for day in days} for job in jobs})
    for occurrence in occurrences:
        day = occurrence.tick.astimezone(zone).date()
        if day in found.rows[occurrence.job]:
            found.rows[occurrence.job][day].append(occurrence)
    return found


def what_did_not_run(occurrences: Iterable[Occurrence]) -> list[Gap]:
    """Returns the ticks that failed, were skipped or were missed, the latest first."""
    by_job = sorted(occurrences, key=lambda o: (o.job, o.tick))
    runs = groupby(by_job, key=lambda o: (o.job, o.status, o.reason))
    gaps = [Gap(list(ticks)) for (_, status, _), ticks in runs if status in DID_NOT_RUN]
    return sorted(gaps, key=lambda gap: gap.last.tick, reverse=True)
