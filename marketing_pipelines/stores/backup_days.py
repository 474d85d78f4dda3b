"""The days that backups are kept, and the day on which each is removed."""

import datetime as dt
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from marketing_pipelines import installation_settings

SUNDAY = 6


def age(backup_id: str) -> tuple[str, int, str]:
    """Orders ids by age: of one instant …Z, …Z-2, …Z-10."""
    return backup_id.partition("-")[0], len(backup_id), backup_id


def days_kept(
    backups: Mapping[str, dt.datetime], zone: ZoneInfo, keep: installation_settings.KeptBackups
) -> dict[str, int]:
    """The backups that stay, with the days that each does.

    The newest backup of a day counts for it: the newest `daily` days stay, and the newest `weekly`
    Sundays. A day without a backup counts for neither.

    Args:
        backups: When each whole backup was taken, by its id.
        zone: The reporting zone, for the days.
    """
    newest: dict[dt.date, str] = {}
    for backup_id, taken_at in sorted(backups.items(), key=lambda item: (item[1], age(item[0]))):
        newest[taken_at.astimezone(zone).date()] = backup_id
    days = sorted(newest, reverse=True)
    kept = {newest[day]: keep.daily for day in days[: keep.daily]}
    for day in [day for day in days if day.weekday() == SUNDAY][: keep.weekly]:
        kept[newest[day]] = max(kept.get(newest[day], 0), 7 * keep.weekly)
    return kept


def removal_days(
    backups: Mapping[str, dt.datetime],
    zone: ZoneInfo,
    keep: installation_settings.KeptBackups,
    now: dt.datetime,
) -> dict[str, dt.date]:
    """The day on which each backup is removed, if one is taken on each day from now on.

    A day of the past without a backup counts for nothing: of rare backups, old ones stay longer.
    """
    removed = {name: taken_at.astimezone(zone).date() for name, taken_at in backups.items()}
    known = dict(backups)
    at = max([*backups.values(), now - dt.timedelta(days=1)])
    while left := days_kept(known, zone, keep).keys() & backups.keys():
        at += dt.timedelta(days=1)
        removed |= dict.fromkeys(left, at.astimezone(zone).date())
        known[f"later {at.isoformat()}"] = at
    return removed
