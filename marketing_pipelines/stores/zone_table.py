"""`ops.zones`: the zones of the package `tzdata`, as statements read them."""

import datetime as dt
from zoneinfo import available_timezones

import sqlalchemy as sa

from marketing_pipelines.stores.tables import installation, zones
from marketing_pipelines.zones import VERSION, offsets

_FROM_THE_BEGINNING = "-infinity"


def stored_version(connection: sa.Connection) -> str | None:
    """The version from which the table was written."""
    found: str | None = connection.execute(sa.select(installation.c.zones_version)).scalar_one()
    return found


def is_older(connection: sa.Connection) -> bool:
    """Returns true if the table is older than the installed package. A newer table stays as it
    is."""
    stored = stored_version(connection)
    return stored is None or stored < VERSION


def write(connection: sa.Connection) -> None:
    """Replaces the table by the zones of the package that is installed."""
    connection.execute(sa.delete(zones))
    connection.execute(
        sa.text(
            "insert into ops.zones (name, starts_at, starts_local, utc_offsets) values"
            " (:name, cast(:starts_at as timestamptz[]), cast(:starts_local as timestamp[]),"
            " cast(:utc_offsets as interval[]))"
        ),
        [_row(name) for name in sorted(available_timezones())],
    )
    connection.execute(sa.update(installation).values(zones_version=VERSION))


def differing(connection: sa.Connection, names: list[str]) -> list[str]:
    """Returns the zones for which the table differs from Python's reading."""
    statement = sa.text(
        "select starts_at = cast(:starts_at as timestamptz[])"
        " and starts_local = cast(:starts_local as timestamp[])"
        " and utc_offsets = cast(:utc_offsets as interval[]) from ops.zones where name = :name"
    )
    return [name for name in names if not connection.execute(statement, _row(name)).scalar()]


def read_otherwise_by_the_server(
    connection: sa.Connection, names: list[str], around: dt.datetime
) -> list[str]:
    """Returns the zones that the server's own database reads otherwise. It compares one instant a
    week, from a year before the instant to two years after it."""
    statement = sa.text(
        "select zone.name from ops.zones as zone"
        " join pg_timezone_names as own on own.name = zone.name"
        " cross join generate_series(cast(:around as timestamptz) - interval '1 year',"
        " cast(:around as timestamptz) + interval '2 years', interval '7 days') as week"
        " where zone.name = any(cast(:names as text[])) and week at time zone zone.name"
        " <> ops.local_time(week, zone.starts_at, zone.utc_offsets)"
        " group by zone.name order by zone.name"
    )
    return list(connection.execute(statement, {"names": names, "around": around}).scalars())


def _row(name: str) -> dict[str, object]:
    of_zone = offsets(name)
    return {
        "name": name,
        "starts_at": [
            _FROM_THE_BEGINNING if one.starts_at is None else one.starts_at.isoformat()
            for one in of_zone
        ],
        "starts_local": [
            _FROM_THE_BEGINNING if one.starts_local is None else one.starts_local.isoformat()
            for one in of_zone
        ],
        "utc_offsets": [f"{one.utc_offset.total_seconds():.0f} s" for one in of_zone],
    }
