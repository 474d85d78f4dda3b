"""`timetable`: every clock, when it strikes next, whose it is, and where it is written."""

import datetime as dt

from marketing_pipelines.cli.output import iso, print_table


def timetable() -> None:
    """Print the clock of every job: cron, next run, job, owner, file."""
    from marketing_pipelines.clocks import clocks, every_clock

    now = dt.datetime.now(dt.UTC)
    running = clocks()
    rows = [
        [
            c.cron,
            c.zone,
            iso(next(c.ticks(now))) if c in running else "off",
            c.job,
            c.catch_up,
            c.owner,
            c.file,
        ]
        for c in every_clock()
    ]
    print_table(["cron", "zone", "next run", "job", "catch-up", "owner", "file"], rows)
