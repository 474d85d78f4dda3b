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

# Type of the events of steps `webhook`, which name their endpoint.
REACHED = "step.reached"


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

    Those of the time before an endpoint was added or last enabled are left out.

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
    return sorted(set(_write_operations(connection, since, now)))


def write_missing(
    connection: sa.Connection, endpoint_id: int, since: dt.datetime, now: dt.datetime
) -> int:
    """Writes the deliveries of an endpoint that are missing for events since an instant.

    Returns:
        Number of new deliveries.
    """
    given = {"endpoint_id": endpoint_id, "since": since, "now": now}
    statement = _sql("write_missing").execution_options(preserve_rowcount=True)
    of_organization: int = connection.execute(statement, given).rowcount
    return of_organization + len(_write_operations(connection, since, now, endpoint_id))


def _write_operations(
    connection: sa.Connection, since: dt.datetime, now: dt.datetime, endpoint_id: int | None = None
) -> list[int]:
    given = {"endpoint_id": endpoint_id, "since": since, "now": now}
    return list(connection.execute(_sql("publish_operations"), given).scalars())


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql")
    return sa.text(text.read_text(encoding="utf-8"))
