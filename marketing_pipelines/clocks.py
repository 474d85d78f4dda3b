"""Every clock of the loaded definitions, and the instants at which it strikes."""

import datetime as dt
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._utils.schedules import cron_string_iterator

from marketing_pipelines.definitions import defs
from marketing_pipelines.settings import get_settings, project_root


@dataclass(frozen=True)
class Clock:
    """One schedule."""

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


def clocks() -> list[Clock]:
    """The clocks of the loaded definitions, by job."""
    assets = {a.key: a for a in defs.assets or () if isinstance(a, dg.AssetsDefinition)}
    found = []
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        job = schedule.job_name.removesuffix("_job").replace("__", "/")
        asset = assets[dg.AssetKey(job.split("/"))]
        function: Any = asset.op.compute_fn
        source = inspect.unwrap(function.decorated_fn).__code__
        file = Path(source.co_filename).relative_to(project_root())
        found.append(
            Clock(
                cron=str(schedule.cron_schedule),
                zone=schedule.execution_timezone or get_settings().timezone,
                job=job,
                owner=", ".join(asset.owners_by_key[asset.key]),
                catch_up=str(schedule.metadata["catch_up"].value),
                file=f"{file}:{source.co_firstlineno}",
            )
        )
    return sorted(found, key=lambda clock: clock.job)
