"""Deliveries listed, counted and replayed."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import sqlalchemy as sa

from marketing_pipelines.domains.webhooks import tasks
from marketing_pipelines.domains.webhooks.publishing import write_missing
from marketing_pipelines.domains.webhooks.tables import deliveries, endpoints
from marketing_pipelines.failures import BadInputError

MAX_AGE = dt.timedelta(days=30)
MAX_LISTED = 100


class DisabledEndpointError(BadInputError):
    """Nothing is written for a disabled endpoint."""


@dataclass(frozen=True)
class ReplayedDeliveries:
    """Numbers of a replay.

    Attributes:
        missing: Deliveries of events that had none.
        again: Deliveries that are made again.
    """

    missing: int
    again: int


@dataclass(frozen=True)
class EndpointDelivery:
    """One delivery to an endpoint.

    Attributes:
        id: Delivery number.
        event_id: Its `webhook-id`.
        state: draft, waiting, delivered or failed.
        attempts: Attempts that succeeded or failed.
        status: Status of the latest answer; null: none came.
        response: Start of the latest answer, or why none came.
        due_at: The next attempt is not before this; of waiting ones.
    """

    id: int
    event_id: str
    type: str
    state: str
    attempts: int
    status: int | None
    response: str | None
    published_at: dt.datetime
    due_at: dt.datetime
    ended_at: dt.datetime | None


def deliveries_of(
    connection: sa.Connection,
    endpoint_id: int,
    *,
    state: str | None = None,
    before: int | None = None,
    limit: int = MAX_LISTED,
) -> Sequence[EndpointDelivery]:
    """The deliveries of an endpoint, the newest first.

    Args:
        before: Only those with a smaller number.
    """
    columns = [deliveries.c[name] for name in EndpointDelivery.__dataclass_fields__]
    query = sa.select(*columns).where(deliveries.c.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(deliveries.c.state == state)
    if before is not None:
        query = query.where(deliveries.c.id < before)
    query = query.order_by(deliveries.c.id.desc()).limit(limit)
    return [EndpointDelivery(**row._mapping) for row in connection.execute(query)]


def replay(
    connection: sa.Connection,
    endpoint_id: int,
    since: dt.datetime,
    now: dt.datetime,
    *,
    with_delivered: bool = False,
) -> ReplayedDeliveries:
    """Makes the deliveries of events since an instant that are missing or failed.

    Args:
        with_delivered: True: those that were delivered, too, under their event ids.

    Raises:
        BadInputError: the instant is in the future, or more than 30 days ago.
        DisabledEndpointError: the endpoint is disabled.
    """
    if not now - MAX_AGE <= since <= now:
        raise BadInputError("since: give an instant of the last 30 days.")
    state = connection.execute(
        sa.select(endpoints.c.state)
        .where(endpoints.c.id == endpoint_id)
        .with_for_update(key_share=True)
    ).scalar()
    if state == "disabled":
        raise DisabledEndpointError(
            f"Endpoint {endpoint_id} is disabled: enable it before its deliveries are made again."
        )
    ended = ("failed", "delivered") if with_delivered else ("failed",)
    again = connection.execute(
        sa.update(deliveries)
        .where(
            deliveries.c.endpoint_id == endpoint_id,
            deliveries.c.state.in_(ended),
            deliveries.c.published_at >= since,
        )
        .values(
            state=sa.case((deliveries.c.fields.is_(None), "waiting"), else_="draft"),
            attempts=0,
            due_at=now,
            first_failed_at=None,
            ended_at=None,
        )
    ).rowcount
    missing = write_missing(connection, endpoint_id, since, now)
    tasks.ring(connection, [endpoint_id])
    return ReplayedDeliveries(missing, again)


def counts_of(connection: sa.Connection) -> dict[str, int]:
    """Numbers of deliveries that wait, and of endpoints by state."""
    return dict(connection.execute(_sql("counts")).one()._mapping)


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text)
