"""`timetable`: the schedule of every job: cron, next tick, owner, file."""

import datetime as dt
from typing import TYPE_CHECKING

from marketing_pipelines.cli.output import iso, print_table
from marketing_pipelines.cli.session import connected, dagster_instance

if TYPE_CHECKING:
    from marketing_pipelines.freshness.schedules import Schedule


def timetable() -> None:
    """Print the schedule of every job: cron, next run, job, owner, file."""
    from marketing_pipelines.domains import load_jobs
    from marketing_pipelines.freshness.schedules import all_schedules, schedules
    from marketing_pipelines.jobs.scheduling import schedule_name, stopped_instigators

    load_jobs()
    now = dt.datetime.now(dt.UTC)
    every, running = all_schedules(), schedules()
    with connected(), dagster_instance() as instance:
        stopped = stopped_instigators(instance)

    def next_run(schedule: "Schedule") -> str:
        if schedule not in running:
            return "off"
        return (
            "stopped" if schedule_name(schedule.job) in stopped else iso(next(schedule.ticks(now)))
        )

    print_table(
        ["cron", "zone", "next run", "job", "catch-up", "owner", "file"],
        [[c.cron, c.zone, next_run(c), c.job, c.catch_up, c.owner, c.file] for c in every],
    )
