"""The days of the demo: the last one, as the installation's first demo fixed it, and the first."""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.demo import completejourney
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness import first_day
from marketing_pipelines.freshness.partitions import midnight
from marketing_pipelines.settings import Settings, get_settings


def last_day(
    connection: sa.Connection, settings: Settings, now: dt.datetime, *, as_recorded: bool
) -> dt.date | None:
    """The last day of the demo's events: that of this installation's first demo, else yesterday.

    Returns:
        A day in UTC that is over in the reporting zone, too; None: dates stay as recorded.

    Raises:
        BadInputError: recorded dates are wanted, and the first demo moved them.
    """
    loaded = _organization(connection)
    if loaded is None:
        today = now.astimezone(settings.zone).date()
        whole = midnight(today, settings.zone).date() - dt.timedelta(days=1)
        return None if as_recorded else whole
    if loaded.until is None:
        return None
    if as_recorded:
        raise BadInputError(
            f"The demo of this installation is moved to end on {loaded.until}: for --as-recorded "
            "name another folder in MARKETING_DATA_DIR (and another database, where "
            "MARKETING_DATABASE_URL is set)."
        )
    return dt.date.fromisoformat(loaded.until)


def sentences(connection: sa.Connection, until: dt.date | None, *, as_recorded: bool) -> list[str]:
    """Returns the command's sentences about its dates, before it loads anything."""
    is_first = _organization(connection) is None
    if until is None:
        if is_first or as_recorded:
            return [f"Dates stay as recorded in {completejourney.YEAR}, and no event is made up."]
        return [
            f"This installation has the demo with its recorded dates of {completejourney.YEAR}, "
            "and keeps them. To see it end yesterday, name another folder in MARKETING_DATA_DIR."
        ]
    kept = "" if is_first else "; the first demo of this installation fixed that"
    return [
        f"The recorded year is moved to {completejourney.first_day(until)} – {until}, by whole "
        f"weeks: weekdays and seasons are kept{kept}.",
        "Opens and clicks are made up from the recorded mailings (property made_up); everything "
        "else is recorded. Redemptions that would lie ahead are left out.",
    ]


def fit_first_day(connection: sa.Connection, settings: Settings) -> Settings:
    """Lets partitions begin with the data, and says so; returns the settings from then on."""
    noted = first_day.fit(connection, settings)
    if noted is None:
        return settings
    print(f"Partitions begin on {noted}, with the data ({settings.first_day_file}).")
    get_settings.cache_clear()
    return get_settings()


def _organization(connection: sa.Connection) -> Any:
    until = organizations.c.attributes[completejourney.UNTIL_ATTRIBUTE].astext
    return connection.execute(
        sa.select(until.label("until")).where(
            organizations.c.external_id == completejourney.ORGANIZATION
        )
    ).one_or_none()
