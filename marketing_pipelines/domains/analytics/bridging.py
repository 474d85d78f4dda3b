"""The bridge from the bus to activity: triggers, `wait_for` and segment rules see its events.

An event keeps its instant: its own, the tick of the job that published it, else its publication.
Its id among the events of activity holds its number, so that it is written once.
"""

import datetime as dt
from collections.abc import Sequence
from importlib import resources

import sqlalchemy as sa


def bridge_events(connection: sa.Connection, event_ids: Sequence[int], now: dt.datetime) -> int:
    """Writes bus events about contacts into `analytics.contact_activity`.

    `email.replied` becomes `replied`, `form.submitted` becomes `form_submission`; others keep their
    name. The payload becomes the properties.

    Returns:
        Number of written events.
    """
    ids = list(event_ids)
    for month in connection.execute(_sql("months_of_bus_events"), {"ids": ids}).scalars().all():
        connection.execute(sa.select(sa.func.analytics.ensure_activity_month(month)))
    return connection.execute(_sql("bridge_events"), {"ids": ids, "now": now}).rowcount


def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text)
