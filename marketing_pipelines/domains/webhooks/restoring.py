"""Deliveries in a restored database: those that wait may have been made since its backup."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.domains.webhooks.tables import deliveries


def fail_waiting(connection: sa.Connection, reason: str, now: dt.datetime) -> int:
    """Ends the deliveries that wait, as failed; returns their number."""
    return connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.state == "waiting")
        .values(state="failed", response=reason, ended_at=now)
    ).rowcount
