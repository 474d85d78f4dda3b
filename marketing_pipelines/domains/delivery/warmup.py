"""Warm-up of sending domains: the places of a day, taken by claims and given back by settling.

Each place is a dated row's count and a date on the message, so that a reset that is missed or
repeated neither holds mails back nor lets too many through. The statement of `settling` gives back
the places of messages that were not handed over.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.freshness.partitions import midnight
from marketing_pipelines.settings import get_settings


def _statement(name: str) -> sa.TextClause:
    return sa.text(resources.files(__package__).joinpath("sql", f"{name}.sql").read_text())


_COUNTERS = sa.text("""
    select organization.external_id, domain.domain, reservation.reserved
    from delivery.warmup_reservations as reservation
    join delivery.sending_domains as domain on domain.id = reservation.domain_id
    join crm.organizations as organization on organization.id = domain.organization_id
    where reservation.day = :day
    order by 1, 2
""")


@dataclass(frozen=True)
class Counter:
    """The places taken on a day by one domain."""

    organization: str
    domain: str
    reserved: int


def reserve(
    connection: sa.Connection, ids: Sequence[int], now: dt.datetime
) -> tuple[set[int], list[Counter]]:
    """Takes places for claimed mails, in the transaction of their claim.

    Marketing mails beyond the day's cap are queued again for the next midnight of the reporting
    zone. Transactional ones take a place and are never held.

    Returns:
        The mails put back, and the new counts of the domains under warm-up.
    """
    zone = get_settings().zone
    today = now.astimezone(zone).date()
    domains = connection.execute(
        _statement("warmup_domains"), {"ids": list(ids), "today": today}
    ).scalars()
    values: dict[str, Any] = {"ids": list(ids), "domains": domains.all(), "today": today}
    if not values["domains"]:
        return set(), []
    values["midnight"] = midnight(today + dt.timedelta(days=1), zone)
    rows = connection.execute(_statement("reserve_places"), values).all()
    held = {row.id for row in rows if row.id is not None}
    counts = [Counter(row.organization, row.domain, row.reserved) for row in rows if row.id is None]
    return held, counts


def counters(connection: sa.Connection, day: dt.date) -> list[Counter]:
    """The places taken on a day, by domain."""
    return [Counter(*row) for row in connection.execute(_COUNTERS, {"day": day})]


def close_daily_counters(
    connection: sa.Connection, *, day: dt.date, at: dt.datetime
) -> list[sa.Row[Any]]:
    """Closes the days before `day`, with organization, domain, day, reserved and sent of each."""
    return list(connection.execute(_statement("close_warmup_days"), {"day": day, "at": at}))
