"""Every schedule of the loaded definitions, and the instants at which it fires."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from marketing_pipelines import registry
from marketing_pipelines.freshness import cron
from marketing_pipelines.settings import get_settings


@dataclass(frozen=True)
class Schedule:
    """One job's schedule."""

    cron: str
    zone: str
    job: str
    owner: str
    catch_up: str
    file: str

    def ticks(self, since: dt.datetime) -> Iterator[dt.datetime]:
        """The instants from `since` on, by Dagster's own rule at changes of summer time."""
        return cron.ticks(self.cron, self.zone, since)

    def last_tick(self, now: dt.datetime) -> dt.datetime:
        """The latest instant that is not after `now`."""
        return cron.last_tick(self.cron, self.zone, now)


def schedules() -> list[Schedule]:
    """The schedules that run in this installation, by job."""
    return [schedule for schedule in all_schedules() if registry.jobs()[schedule.job].policy.is_on]


def all_schedules() -> list[Schedule]:
    """The schedules of all jobs that have one, by job; also schedules that are off here."""
    zone = get_settings().zone
    return [
        Schedule(
            cron=policy.cron,
            zone=cron.clock_zone(policy.cron, zone).key,
            job=key,
            owner=job.owner,
            catch_up=policy.catch_up,
            file=job.file,
        )
        for key, job in sorted(registry.jobs().items())
        if (policy := job.policy).cron is not None
    ]
