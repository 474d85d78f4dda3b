"""`timetable`: every clock, when it strikes next, whose it is, and where it is written."""

import datetime as dt
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from marketing_pipelines.cli.output import iso, print_table
from marketing_pipelines.settings import get_settings


@dataclass(frozen=True)
class Clock:
    """One schedule of the loaded definitions."""

    cron: str
    zone: str
    job: str
    owner: str
    catch_up: str
    file: str
    next_run: dt.datetime


def timetable() -> None:
    """Print the clock of every job: cron, next run, job, owner, file."""
    rows = [
        [c.cron, c.zone, iso(c.next_run), c.job, c.catch_up, c.owner, c.file]
        for c in clocks(dt.datetime.now(dt.UTC))
    ]
    print_table(["cron", "zone", "next run", "job", "catch-up", "owner", "file"], rows)


def clocks(now: dt.datetime) -> list[Clock]:
    """The clocks of the loaded definitions, by job."""
    import dagster as dg

    from marketing_pipelines.definitions import defs

    root = Path(__file__).resolve().parents[2]
    assets = {a.key: a for a in defs.assets or () if isinstance(a, dg.AssetsDefinition)}
    found = []
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        job = schedule.job_name.removesuffix("_job").replace("__", "/")
        asset = assets[dg.AssetKey(job.split("/"))]
        function: Any = asset.op.compute_fn
        source = inspect.unwrap(function.decorated_fn).__code__
        zone = schedule.execution_timezone or get_settings().timezone
        found.append(
            Clock(
                cron=str(schedule.cron_schedule),
                zone=zone,
                job=job,
                owner=", ".join(asset.owners_by_key[asset.key]),
                catch_up=str(schedule.metadata["catch_up"].value),
                file=f"{Path(source.co_filename).relative_to(root)}:{source.co_firstlineno}",
                next_run=croniter(
                    str(schedule.cron_schedule), now.astimezone(ZoneInfo(zone))
                ).get_next(dt.datetime),
            )
        )
    return sorted(found, key=lambda clock: clock.job)
