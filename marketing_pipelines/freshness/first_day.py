"""The first day that has partitions, noted in the data folder so that partitions fit the data."""

import datetime as dt
import os

import sqlalchemy as sa

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.freshness.partitions import midnight, window
from marketing_pipelines.settings import Settings

# Every event marks its hour, every enrolment its day; finished partitions are added, since work
# removes the marks. Hours are UTC hours, days and months are the reporting zone's.
_EARLIEST = sa.text("""
    select min(partition) filter (where partition like '____-__-__-__:00') as hour,
           min(partition) filter (where partition like '____-__-__') as day
    from (
        select partition from analytics.stale_partitions
        union all
        select partition from analytics.finished_partitions
    ) as known
""")
_HAS_EVENTS = sa.text("""
    select exists (
        select from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :stop
    )
""")


def fit(connection: sa.Connection, settings: Settings) -> dt.date | None:
    """Notes the month of the earliest data, unless a variable names the first day.

    Returns:
        The day that was noted; None where the present one stays.

    Raises:
        ConfigurationError: the note cannot be written.
    """
    if "first_day" in settings.model_fields_set:
        return None
    earliest = _earliest_day(connection, settings)
    if earliest is None:
        return None
    day = max(earliest.replace(day=1), settings.earliest_day)
    if settings.first_day_file.exists() and day >= settings.first_day:
        return None
    _write(settings, day)
    return day


def notes(connection: sa.Connection, settings: Settings) -> list[str]:
    """Moves a noted first day back to data that were loaded before it, and says so."""
    day = fit(connection, settings) if settings.first_day_file.exists() else None
    if day is None:
        return []
    return [f"Partitions begin on {day} from now on: start `up` again if it is running."]


def _earliest_day(connection: sa.Connection, settings: Settings) -> dt.date | None:
    earliest = connection.execute(_EARLIEST).one()
    days = [] if earliest.day is None else [dt.date.fromisoformat(earliest.day)]
    if earliest.hour is not None:
        start = window("hour", earliest.hour, settings.zone).start
        if _is_empty_lead(connection, start, settings):
            start = midnight(settings.first_day, settings.zone)
        days.append(start.astimezone(settings.zone).date())
    return min(days, default=None)


def _is_empty_lead(connection: sa.Connection, start: dt.datetime, settings: Settings) -> bool:
    """Returns true if there is no event between an hour and the noted first day. Partitions of
    hours begin on the UTC day before that day, and the demo does them without events, too."""
    first = midnight(settings.first_day, settings.zone)
    if not first - dt.timedelta(days=2) <= start < first:
        return False
    has_events = connection.execute(_HAS_EVENTS, {"start": start, "stop": first}).scalar_one()
    return not has_events


def _write(settings: Settings, day: dt.date) -> None:
    path = settings.first_day_file
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(f"{day}\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"'{path}' cannot be written ({error.strerror}): make MARKETING_DATA_DIR writable, or "
            "set MARKETING_FIRST_DAY."
        ) from error
