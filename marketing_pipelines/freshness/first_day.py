"""The first day that has partitions, noted in the data folder so that partitions fit the data."""

import datetime as dt
import os

import sqlalchemy as sa

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.freshness.partitions import window, window_at
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.tables import finished_partitions, stale_partitions

# Every event marks its hour here, and every hour that was exported stands there.
_HOURS = "analytics/contact_activity"


def fit(connection: sa.Connection, settings: Settings) -> dt.date | None:
    """Notes the month of the earliest event, unless a variable names the first day.

    Returns:
        The day that was noted; None where the present one stays.

    Raises:
        ConfigurationError: the note cannot be written.
    """
    if "first_day" in settings.model_fields_set:
        return None
    earliest = _earliest_hour(connection)
    if earliest is None:
        return None
    hour = window("hour", earliest, settings.zone)
    day = window_at("month", hour.start, settings.zone).date
    if settings.first_day_file.exists() and day >= settings.first_day:
        return None
    _write(settings, day)
    return day


def notes(connection: sa.Connection, settings: Settings) -> list[str]:
    """Moves a noted first day back to events that were loaded before it, and says so."""
    day = fit(connection, settings) if settings.first_day_file.exists() else None
    if day is None:
        return []
    return [f"Partitions begin on {day} from now on: start `up` again if it is running."]


def _earliest_hour(connection: sa.Connection) -> str | None:
    hours = sa.union_all(
        *(
            sa.select(sa.func.min(table.c.partition).label("partition")).where(
                table.c.asset == _HOURS
            )
            for table in (stale_partitions, finished_partitions)
        )
    ).subquery()
    earliest: str | None = connection.execute(
        sa.select(sa.func.min(hours.c.partition))
    ).scalar_one()
    return earliest


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
