"""Writes the deliveries of events of the bus, and of events of the installation itself."""

import datetime as dt
from collections.abc import Sequence
from importlib import resources

import sqlalchemy as sa

from marketing_pipelines.domains.webhooks.tables import endpoints

# Types of events of the installation itself, for endpoints without organization.
OPERATIONS = (
    "alert.first",
    "alert.recovery",
    "alert.third",
    "health.changed",
    "job.completed",
    "job.failed",
)


def publish_events(
    connection: sa.Connection, event_ids: Sequence[int], now: dt.datetime
) -> list[int]:
    """Writes a delivery for each event and endpoint that wants it, once.

    Returns:
        The endpoints with new deliveries.
    """
    found = connection.execute(_sql("publish_events"), {"ids": list(event_ids), "now": now})
    return sorted(set(found.scalars()))


def publish_operations(
    connection: sa.Connection, since: dt.datetime, now: dt.datetime
) -> list[int]:
    """Writes the deliveries of ended jobs, alerts and changes of health to the operator, once.

    Args:
        since: Earlier ones are left out.

    Returns:
        The endpoints with new deliveries.
    """
    is_wanted = sa.select(
        sa.exists().where(endpoints.c.organization_id.is_(None), endpoints.c.state != "disabled")
    )
    if not connection.execute(is_wanted).scalar_one():
        return []
    found = connection.execute(_sql("publish_operations"), {"since": since, "now": now})
    return sorted(set(found.scalars()))


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql")
    return sa.text(text.read_text(encoding="utf-8"))
