"""`timetable`: every clock, when it strikes next, whose it is, and where it is written."""

import datetime as dt
import inspect
from dataclasses import dataclass
from pathlib import Path

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
    from marketing_pipelines.definitions import defs
    from marketing_pipelines.scheduling import CATCH_UP_TAG

    found = []
    root = Path(__file__).resolve().parents[2]
    for schedule in defs.schedules or ():
        key = schedule.job_name.removesuffix("_job").replace("__", "/")
        asset = next(
            a for a in defs.assets or () if hasattr(a, "key") and a.key.to_user_string() == key
        )
        source = inspect.unwrap(asset.op.compute_fn.decorated_fn).__code__  # type: ignore[union-attr]
        zone = schedule.execution_timezone or get_settings().timezone
        local_now = now.astimezone(get_settings().zone if zone != "UTC" else dt.UTC)
        found.append(
            Clock(
                cron=str(schedule.cron_schedule),
                zone=zone,
                job=key,
                owner=", ".join(asset.owners_by_key[asset.key]),
                catch_up=schedule.tags[CATCH_UP_TAG],
                file=f"{Path(source.co_filename).relative_to(root)}:{source.co_firstlineno}",
                next_run=croniter(schedule.cron_schedule, local_now).get_next(dt.datetime),
            )
        )
    return sorted(found, key=lambda clock: clock.job)
