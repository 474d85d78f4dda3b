"""The instants of a cron: computed by Dagster's own function alone. At changes of summer time
Dagster's rule applies: a local time that is skipped fires at the next existing one, a local time
that comes twice fires once.
"""

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo


def clock_zone(cron: str, zone: ZoneInfo) -> ZoneInfo:
    """The zone in which a cron fires: crons of every hour fire with the UTC hours."""
    return ZoneInfo("UTC") if cron.split()[1] == "*" else zone


def ticks(cron: str, zone: str, since: dt.datetime) -> Iterator[dt.datetime]:
    """The instants from `since` on, in UTC."""
    # Imported here: Dagster takes a second, and partitions are used without it.
    from dagster._utils.schedules import cron_string_iterator

    instants = cron_string_iterator(since.timestamp(), cron, zone)
    return (instant.astimezone(dt.UTC) for instant in instants)


def last_tick(cron: str, zone: str, now: dt.datetime) -> dt.datetime:
    """The latest instant that is not after `now`, in UTC."""
    from dagster._utils.schedules import cron_string_iterator

    instants = cron_string_iterator(now.timestamp(), cron, zone, ascending=False)
    return next(instants).astimezone(dt.UTC)
