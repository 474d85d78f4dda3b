"""Deliveries in a restored database: those that wait may have been made since its backup."""

import datetime as dt

import sqlalchemy as sa

from marketing_pipelines.domains.webhooks.tables import deliveries

# Their numbers are parts of the ids of events.
NUMBERED = (
    "ops.bus_events",
    "actions.scheduled_actions",
    "actions.runs",
    "ops.job_sessions",
    "ops.alerts",
    "lifecycle.enrolments",
)
GAP = 1_000_000_000


def fail_waiting(connection: sa.Connection, reason: str, now: dt.datetime) -> int:
    """Ends the deliveries that wait, as failed; returns their number."""
    return connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.state.in_(("draft", "waiting")))
        .values(state="failed", response=reason, ended_at=now)
    ).rowcount


def renumber_events(connection: sa.Connection) -> None:
    """Moves the numbers that ids of events are made of past those of the time after the backup.

    Receivers drop ids that they know, and a restore sets the sequences back.
    """
    for table in NUMBERED:
        sequence = sa.func.pg_get_serial_sequence(table, "id")
        connection.execute(sa.select(sa.func.setval(sequence, sa.func.nextval(sequence) + GAP)))
