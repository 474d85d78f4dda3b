"""`timetable`: every clock, when it strikes next, whose it is, and where it is written."""

import datetime as dt

from marketing_pipelines.cli.output import iso, print_table


def timetable() -> None:
    """Print the clock of every job: cron, next run, job, owner, file."""
    from marketing_pipelines.clocks import clocks

    now = dt.datetime.now(dt.UTC)
    rows = [
        [c.cron, c.zone, iso(next(c.ticks(now))), c.job, c.catch_up, c.owner, c.file]
        for c in clocks()
    ]
    print_table(["cron", "zone", "next run", "job", "catch-up", "owner", "file"], rows)
