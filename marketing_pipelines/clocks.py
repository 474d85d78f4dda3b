"""Every clock of the loaded definitions, and the instants at which it strikes."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from dagster._utils.schedules import cron_string_iterator

from marketing_pipelines import catalog
from marketing_pipelines.partitions import clock_zone
from marketing_pipelines.settings import get_settings


@dataclass(frozen=True)
class Clock:
    """One job's clock."""

    cron: str
    zone: str
    job: str
    owner: str
    catch_up: str
    file: str

    def ticks(self, since: dt.datetime) -> Iterator[dt.datetime]:
        """The instants from `since` on, by Dagster's own rule where clocks change."""
        instants = cron_string_iterator(since.timestamp(), self.cron, self.zone)
        return (instant.astimezone(dt.UTC) for instant in instants)

    def last_tick(self, now: dt.datetime) -> dt.datetime:
        """The latest instant that is not after `now`."""
        instants = cron_string_iterator(now.timestamp(), self.cron, self.zone, ascending=False)
        return next(instants).astimezone(dt.UTC)


def clocks() -> list[Clock]:
    """The clocks that run in this installation, by job."""
    return [clock for clock in every_clock() if catalog.jobs()[clock.job].policy.is_on]


def every_clock() -> list[Clock]:
    """The clocks of all jobs that have one, by job; also those that stand still here."""
    zone = get_settings().zone
    return [
        Clock(
            cron=policy.cron,
            zone=clock_zone(policy.cron, zone).key,
            job=key,
            owner=job.owner,
            catch_up=policy.catch_up,
            file=job.file,
        )
        for key, job in sorted(catalog.jobs().items())
        if (policy := job.policy).cron is not None
    ]
