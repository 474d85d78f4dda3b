"""`timetable`: the schedule of every job: cron, next tick, owner, file."""

import datetime as dt
from typing import TYPE_CHECKING

from marketing_pipelines.cli.output import iso, print_table
from marketing_pipelines.cli.session import connected, dagster_instance

if TYPE_CHECKING:
    from marketing_pipelines.clocks import Clock


def timetable() -> None:
    """Print the clock of every job: cron, next run, job, owner, file."""
    from marketing_pipelines.clocks import clocks, every_clock
    from marketing_pipelines.scheduling import schedule_name, stopped_clocks

    now = dt.datetime.now(dt.UTC)
    every, running = every_clock(), clocks()
    with connected(), dagster_instance() as instance:
        stopped = stopped_clocks(instance)

    def next_run(clock: "Clock") -> str:
        if clock not in running:
            return "off"
        return "stopped" if schedule_name(clock.job) in stopped else iso(next(clock.ticks(now)))

    print_table(
        ["cron", "zone", "next run", "job", "catch-up", "owner", "file"],
        [[c.cron, c.zone, next_run(c), c.job, c.catch_up, c.owner, c.file] for c in every],
    )
